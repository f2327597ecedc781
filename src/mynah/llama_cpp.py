"""llama.cpp's own C interface, called in the library that the wheel `xllamacpp` carries.

The wheel's Python class is a server: it listens on a port, and which requests meet in one batch
depends on timing, so a seed would not repeat. The C functions below it have neither fault. They
are there on Linux and macOS; a structure that another build lays out otherwise is noticed before
anything is called with it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import time
from collections.abc import Sequence
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_float,
    c_int,
    c_int8,
    c_int32,
    c_size_t,
    c_uint32,
    c_void_p,
    pointer,
)
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mynah.sampling import Logits

_PACKAGE = "xllamacpp"
_LIBRARY = "xllamacpp.abi3.so"
AT_ONCE = 512  # tokens that go through the model at once
_ROUND = 64  # steps after which the threads are timed anew


class _ModelParams(Structure):
    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int),
        ("load_mode", c_int),
        ("lazy_mode", c_int),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
        ("_spare", c_void_p * 16),  # room for what another build has at the end
    )


class _ContextParams(Structure):
    _fields_ = (
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("n_rs_seq", c_uint32),
        ("n_outputs_max", c_uint32),
        ("n_outputs_max_per_seq", c_uint32),
        ("n_threads", c_int32),
        ("n_threads_batch", c_int32),
        ("ctx_type", c_int),
        ("rope_scaling_type", c_int),
        ("pooling_type", c_int),
        ("attention_type", c_int),
        ("flash_attn_type", c_int),
        ("rope_freq_base", c_float),
        ("rope_freq_scale", c_float),
        ("yarn_ext_factor", c_float),
        ("yarn_attn_factor", c_float),
        ("yarn_beta_fast", c_float),
        ("yarn_beta_slow", c_float),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int),
        ("type_v", c_int),
        ("moe_cache_size", c_size_t),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("embeddings", c_bool),
        ("offload_kqv", c_bool),
        ("no_perf", c_bool),
        ("op_offload", c_bool),
        ("swa_full", c_bool),
        ("kv_unified", c_bool),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
        ("_spare", c_void_p * 16),  # room for what another build has at the end
    )


class _Batch(Structure):
    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    )


# What fresh settings hold: with other fields before them, these would not be read where they are.
_KNOWN = {
    "n_batch": 2_048,
    "n_ubatch": 512,
    "n_seq_max": 1,
    "rope_scaling_type": -1,
    "flash_attn_type": -1,
    "yarn_beta_slow": -1.0,
    "defrag_thold": -1.0,
    "type_k": 1,
    "type_v": 1,
    "offload_kqv": True,
    "kv_unified": False,
}

_POINTER, _IDS = c_void_p, POINTER(c_int32)
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "llama_backend_init": (None, ()),
    "llama_log_set": (None, (c_void_p, c_void_p)),
    "llama_model_default_params": (_ModelParams, ()),
    "llama_context_default_params": (_ContextParams, ()),
    "llama_model_load_from_file": (_POINTER, (c_char_p, _ModelParams)),
    "llama_model_free": (None, (_POINTER,)),
    "llama_init_from_model": (_POINTER, (_POINTER, _ContextParams)),
    "llama_free": (None, (_POINTER,)),
    "llama_model_get_vocab": (_POINTER, (_POINTER,)),
    "llama_vocab_n_tokens": (c_int32, (_POINTER,)),
    "llama_model_n_ctx_train": (c_int32, (_POINTER,)),
    "llama_tokenize": (
        c_int32,
        (_POINTER, c_char_p, c_int32, _IDS, c_int32, c_bool, c_bool),
    ),
    "llama_detokenize": (
        c_int32,
        (_POINTER, _IDS, c_int32, c_char_p, c_int32, c_bool, c_bool),
    ),
    "llama_adapter_lora_init": (_POINTER, (_POINTER, c_char_p)),
    "llama_set_adapters_lora": (
        c_int32,
        (_POINTER, POINTER(_POINTER), c_size_t, POINTER(c_float)),
    ),
    "llama_get_memory": (_POINTER, (_POINTER,)),
    "llama_memory_seq_rm": (c_bool, (_POINTER, c_int32, c_int32, c_int32)),
    "llama_memory_seq_cp": (None, (_POINTER, c_int32, c_int32, c_int32, c_int32)),
    "llama_decode": (c_int32, (_POINTER, _Batch)),
    "llama_set_n_threads": (None, (_POINTER, c_int32, c_int32)),
    "llama_get_logits_ith": (POINTER(c_float), (_POINTER, c_int32)),
}


# Takes a line of llama.cpp's log and drops it; held here, since C keeps no count of references.
_SILENT = CFUNCTYPE(None, c_int, c_char_p, c_void_p)(lambda level, text, data: None)


class LlamaCppMissing(Exception):
    """llama.cpp cannot be had here; the sentence says why."""


@cache
def library() -> Any:
    """Return llama.cpp's functions, ready to call.

    Raises:
        LlamaCppMissing: the wheel is not here, hides its functions, or lays its structures out
            in another way than this module.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise LlamaCppMissing(f"{_PACKAGE} is not installed")
    path = Path((found.submodule_search_locations or [""])[0]) / _LIBRARY
    try:
        functions = ctypes.CDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(functions, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise LlamaCppMissing(f"{_PACKAGE} has no C interface here") from error
    fresh = functions.llama_context_default_params()
    if any(getattr(fresh, field) != value for field, value in _KNOWN.items()):
        raise LlamaCppMissing(f"this {_PACKAGE} is of another build than the one known")
    functions.llama_log_set(_SILENT, None)
    functions.llama_backend_init()
    return functions


class Model:
    """Weights with an adapter, and the words they know."""

    def __init__(self, path: Path, adapter: Path | None = None) -> None:
        """Map the files.

        Raises:
            LlamaCppMissing: see `library`.
            ValueError: llama.cpp cannot read a file.
        """
        self._c = library()
        self.handle = self._c.llama_model_load_from_file(
            os.fsencode(path), self._c.llama_model_default_params()
        )
        if not self.handle:
            raise ValueError(f"llama.cpp cannot read {path.name}")
        self._vocab = self._c.llama_model_get_vocab(self.handle)
        self.vocabulary: int = self._c.llama_vocab_n_tokens(self._vocab)
        self.longest: int = self._c.llama_model_n_ctx_train(self.handle)
        self.adapter = self._adapter(adapter) if adapter else None

    def _adapter(self, path: Path) -> Any:
        adapter = self._c.llama_adapter_lora_init(self.handle, os.fsencode(path))
        if not adapter:
            raise ValueError(f"llama.cpp cannot read {path.name}")
        return c_void_p(adapter)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of a text, nothing put before it.

        Args:
            text: what to encode.
            special: whether `<|...|>` in it stands for a token of that name.
        """
        raw = text.encode()
        room = (c_int32 * (len(raw) + 1))()
        count = self._c.llama_tokenize(self._vocab, raw, len(raw), room, len(room), False, special)
        return room[:count]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        given, size = (c_int32 * len(ids))(*ids), 16 * len(ids) + 16
        while True:
            room = ctypes.create_string_buffer(size)
            count = self._c.llama_detokenize(self._vocab, given, len(ids), room, size, False, False)
            if count >= 0:
                return room.raw[:count].decode(errors="replace")
            size = -count

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._c.llama_model_free(self.handle)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pace:
    """Chooses all threads or half of them by the clock; the logits are the same bit for bit.

    Alone, all are faster. Beside other work the threads wait for the one that was held up, at each
    of a thousand places a step, and fewer are up to twice as fast.
    """

    def __init__(self, most: int) -> None:
        self._choices = sorted({most, max(1, most // 2)}, reverse=True)
        self._costs: dict[int, float] = {}
        self._step = -1  # the first one also reads the weights from the disk: it shows nothing

    def threads(self) -> int:
        """Return how many threads to take next: each choice twice in turn, then the best."""
        turn = max(self._step, 0) % _ROUND // 2
        if turn < len(self._choices):
            return self._choices[turn]
        return min(self._choices, key=lambda choice: self._costs[choice])

    def took(self, seconds: float, tokens: int) -> None:
        """Note how long that was; one token alone takes as long as two more of a batch."""
        threads, again = self.threads(), self._step % 2 == 1
        if self._step >= 0:
            cost = seconds / (1 + tokens)
            self._costs[threads] = min(cost, self._costs[threads]) if again else cost
        self._step += 1


class Context:
    """Texts side by side in a model, each with its own tokens and positions."""

    def __init__(self, model: Model, *, texts: int, length: int, shared: int = 0) -> None:
        """Take the memory that texts need.

        Args:
            model: what reads them.
            texts: how many.
            length: most tokens of each.
            shared: tokens that all begin with. They are kept once, where each text otherwise has
                memory of its own; but then every text looks past the tokens of all others.
        """
        self._c, self._model = library(), model
        settings = self._c.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = shared + texts * (length - shared), texts
        settings.kv_unified = shared > 0
        settings.n_batch = settings.n_ubatch = max(AT_ONCE, texts)
        self._pace = Pace(_processors())
        settings.flash_attn_type = 1  # on, which is faster from ten texts upwards
        self.handle = self._c.llama_init_from_model(model.handle, settings)
        if not self.handle:
            raise MemoryError(f"llama.cpp found no room for {settings.n_ctx:,} tokens")
        self._memory = self._c.llama_get_memory(self.handle)
        if model.adapter:
            self._c.llama_set_adapters_lora(self.handle, model.adapter, 1, c_float(1.0))

    def copy(self, source: int, target: int) -> None:
        """Make one text what another is."""
        self._c.llama_memory_seq_rm(self._memory, target, -1, -1)
        self._c.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def clear(self, text: int) -> None:
        """Make a text empty."""
        self._c.llama_memory_seq_rm(self._memory, text, -1, -1)

    def read(self, tokens: Sequence[int], places: Sequence[tuple[int, int]]) -> Logits:
        """Read tokens, each at its place; return the logits after each, [tokens, vocabulary].

        Args:
            tokens: what to read, no more than 512.
            places: for each token, its text and its position there.
        """
        count = len(tokens)
        batch = _Batch(
            n_tokens=count,
            token=(c_int32 * count)(*tokens),
            pos=(c_int32 * count)(*(at for _, at in places)),
            n_seq_id=(c_int32 * count)(*[1] * count),
            seq_id=(_IDS * count)(*(pointer(c_int32(text)) for text, _ in places)),
            logits=(c_int8 * count)(*[1] * count),
        )
        threads, start = self._pace.threads(), time.perf_counter()
        self._c.llama_set_n_threads(self.handle, threads, threads)
        if status := self._c.llama_decode(self.handle, batch):
            raise RuntimeError(f"llama.cpp could not read {count} tokens (status {status})")
        rows = [self._c.llama_get_logits_ith(self.handle, at) for at in range(count)]
        self._pace.took(time.perf_counter() - start, count)  # the logits waited for the work
        width = self._model.vocabulary
        return np.stack([np.ctypeslib.as_array(row, (width,)) for row in rows])

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._c.llama_free(self.handle)
