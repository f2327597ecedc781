"""Base models as transformers loads them, and on what they run. See `bases` for their files."""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mynah.bases import SEPARATOR, BaseInfo, cache_folder, find_base
from mynah.errors import BaseError, UnsafeDownload
from mynah.published import PICKLED
from mynah.run_folder import replacing_folder, storage_errors

_TRIES = 7  # of a product that is timed; the fastest counts
_LARGEST = 127  # number that eight bits hold


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where and in which precision arithmetic runs, and why."""

    name: str  # cpu, cuda or mps
    dtype: torch.dtype
    reason: str
    int8: bool = False  # it multiplies eight bits fastest


@dataclass(frozen=True, kw_only=True)
class Base:
    """A loaded base: frozen weights, its tokenizer and the token between posts."""

    info: BaseInfo
    model: Any  # a transformers causal language model in evaluation mode
    tokenizer: Any
    separator: int  # id of the token that opens and ends every post
    device: Device

    @property
    def context(self) -> int:
        """Return how many tokens the model reads at once; some know no end."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or sys.maxsize)


def choose_device() -> Device:
    """Return the best device here; bf16 only where the hardware multiplies in it."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
        dtype = torch.bfloat16 if fast else torch.float32
        return Device(name="cuda", dtype=dtype, reason=torch.cuda.get_device_name())
    has = torch.cpu.get_capabilities()
    return choose_cpu(
        avx512_bf16=has.get("avx512_bf16", False),
        amx=has.get("amx_tile", False),
        vnni=has.get("avx512_vnni", False) or (has.get("avx_vnni", False) and int8_pays()),
    )


def choose_cpu(*, avx512_bf16: bool, amx: bool, vnni: bool = False) -> Device:
    """Return the processor with bf16 if it has instructions for it, else with fp32.

    With VNNI, of either width, eight bits are two to five times as fast as either; without it their
    sums overflow. Beside amx's tiles nobody has measured them.
    """
    int8 = vnni and not amx
    if amx or avx512_bf16:
        reason = f"the processor has {'amx' if amx else 'avx512_bf16'}"
        return Device(name="cpu", dtype=torch.bfloat16, reason=reason, int8=int8)
    reason = "the processor has neither avx512_bf16 nor amx"
    return Device(name="cpu", dtype=torch.float32, reason=reason, int8=int8)


def learning_device() -> Device:
    """Return the best device to learn on here.

    What is not multiplied in eight bits then is in fp32 where bf16 is slower: Intel's processors
    whose amx is not to be had have instructions for bf16, at half the speed of those for fp32.
    """
    device = choose_device()
    if device.name != "cpu" or not device.int8 or device.dtype != torch.bfloat16 or bf16_pays():
        return device
    return replace(device, dtype=torch.float32, reason="fp32 is faster here than bf16")


@functools.cache
def bf16_pays() -> bool:
    """Try whether a product of a training's size is faster in bf16 than in fp32."""
    x, weight = torch.ones(192, 576), torch.ones(3_072, 576)
    half, matrix = x.bfloat16(), weight.bfloat16()
    return _seconds(lambda: half @ matrix.T) < _seconds(lambda: x @ weight.T)


@functools.cache
def int8_is_exact() -> bool:
    """Try whether torch adds up products of eight bits here; with AVX2 alone its sums overflow."""
    codes, matrix = _largest_codes(torch.int8)
    return bool((torch._int_mm(codes, matrix.T) == matrix.shape[1] * _LARGEST**2).all())


@functools.cache
def int8_pays() -> bool:
    """Try whether torch multiplies eight bits exactly here, and faster than fp32."""
    if not int8_is_exact():
        return False
    codes, matrix = _largest_codes(torch.int8)
    x, weight = _largest_codes(torch.float32)
    return _seconds(lambda: torch._int_mm(codes, matrix.T)) < _seconds(lambda: x @ weight.T)


def _largest_codes(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.full((192, 576), _LARGEST, dtype=dtype), torch.full(
        (576, 576), _LARGEST, dtype=dtype
    )


def _seconds(product: Callable[[], Tensor]) -> float:
    """Return what a product takes, the fastest of some tries."""
    took = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        product()
        took.append(time.perf_counter() - start)
    return min(took)


def exact_device() -> Device:
    """Return the processor with fp32: for weights that are rounded for others afterwards."""
    return Device(name="cpu", dtype=torch.float32, reason="to be rounded once")


def load_base(name: str, device: Device | None = None) -> Base:
    """Load a base by name (`smollm2-135m`), folder or Hub id.

    Raises:
        BaseNotInstalled: it is not on this machine and cannot be fetched.
        BaseError: the folder holds no language model that transformers can read.
    """
    device = device or choose_device()
    folder, info = locate_base(name)
    model = load_model(folder, device, find_base(name).state)
    tokenizer = load_tokenizer(folder)
    return Base(
        info=info,
        model=model,
        tokenizer=tokenizer,
        separator=separator_id(tokenizer, name),
        device=device,
    )


def locate_base(name: str) -> tuple[Path, BaseInfo]:
    """Return the folder that holds a base's safetensors, and what is known of it."""
    files = find_base(name)
    if files.folder is not None:
        return files.folder, files.info
    assert files.gguf is not None, "a base has one or the other"
    folder = cache_folder() / "bases" / files.info.sha256[:16]
    if not folder.is_dir():
        _convert_once(files.gguf, folder)
    return folder, files.info


def _convert_once(gguf: Path, folder: Path) -> None:
    """Convert, or wait until another process has."""
    from filelock import FileLock

    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _convert(gguf, folder)


def _convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF base once as bf16 safetensors: reading it takes ten seconds or more."""
    source: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The GGUF reader draws a bar that no setting reaches once tqdm is imported.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, **source)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
        # Saved as they are, these would make the next load look for a GGUF file.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.hf_quantizer = None
        with replacing_folder(folder) as new:
            model.to(torch.bfloat16).save_pretrained(new)
            tokenizer.save_pretrained(new)


def load_model(folder: Path, device: Device, state: Mapping[str, Any] | None = None) -> Any:
    """Load a causal language model, frozen, in evaluation mode.

    Args:
        folder: config.json, and the weights unless they are given.
        device: where to and in which precision.
        state: weights that are in memory; where they need no other place, they are not copied.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with quiet_transformers():
            kind = _class_of(folder) if state is not None else AutoModelForCausalLM
            model = kind.from_pretrained(
                None if state is not None else folder,
                dtype=device.dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                **({"config": _config_of(folder), "state_dict": dict(state)} if state else {}),
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseError(
            f"{folder} cannot be read as a language model ({type(error).__name__}).",
            hint="It needs config.json and *.safetensors, as transformers saves them.",
        ) from error
    return model.to(device.name).eval().requires_grad_(False)


def _config_of(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _class_of(folder: Path) -> Any:
    """Return the class of the model that a folder's settings describe."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # only to learn which class it is
        return type(AutoModelForCausalLM.from_config(_config_of(folder), trust_remote_code=False))


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer that lies beside a model's weights."""
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # the tokenizers library raises nothing more particular
        raise BaseError(
            f"{folder} holds no tokenizer that can be read ({type(error).__name__}).",
            hint="It needs tokenizer.json beside the weights, as transformers saves it.",
        ) from error


def separator_id(tokenizer: Any, name: str) -> int:
    """Return the id of `<|endoftext|>`, or of the tokenizer's own end token.

    Raises:
        BaseError: it has neither.
    """
    found = tokenizer.get_vocab().get(SEPARATOR, tokenizer.eos_token_id)
    if found is None:
        raise BaseError(f"Base '{name}' has no token that ends a text.", hint="Choose another.")
    return int(found)


def settle_tokenizer(tokenizer: Any, separator: int) -> None:
    """Make a base's tokenizer a bot's: every text opens with the separator, as every post does.

    A prefix in the model's settings would be used by transformers' pipeline alone.
    """
    from tokenizers.processors import TemplateProcessing

    name = tokenizer.convert_ids_to_tokens(separator)
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = name
    tokenizer.chat_template = None  # a bot continues a text, it does not answer one
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{name} $A", pair=f"{name} $A {name} $B", special_tokens=[(name, separator)]
    )


class quiet_transformers:  # noqa: N801 - reads as a verb in a with statement
    """Keep transformers' own bars and warnings off the terminal for a while."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._level = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._level)
        logging.enable_progress_bar()


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files, as they are, beside other weights."""
    for file in source.iterdir():
        if file.name.startswith(
            ("tokenizer", "vocab", "merges", "special_tokens", "chat_template")
        ):
            shutil.copy2(file, target / file.name)


def adopt_model(source: Path, target: Path) -> None:
    """Save a stranger's model anew: as safetensors, every weight accounted for, none of its code.

    Raises:
        UnsafeDownload: its pickle holds more than tensors.
        BaseError: it is no language model, or weights of it are missing.
    """
    from safetensors import SafetensorError

    tokenizer = load_tokenizer(source)
    try:
        with quiet_transformers():
            model, missing = _assemble(source)
            tokenizer.save_pretrained(target)
            model.save_pretrained(target)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _no_model(type(error).__name__) from error
    if missing:
        raise _no_model(f"{missing} of its weights are missing")


def _assemble(source: Path) -> tuple[Any, int]:
    """Return the model of the settings and weights in a folder, and how many weights it lacks."""
    model, found = _class_of(source).from_pretrained(
        None, config=_config_of(source), state_dict=_state(source), output_loading_info=True
    )
    return model, len(found["missing_keys"])


def _no_model(reason: str) -> BaseError:
    return BaseError(
        f"What came cannot be read as a language model ({reason}).",
        hint="Mynah pulls what transformers has saved: config.json, weights and tokenizer.",
    )


def _state(folder: Path) -> dict[str, Any]:
    """Return the weights in a folder; of a pickle torch takes the tensors and runs nothing."""
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        state |= load_file(file)
    if state:
        return state
    try:
        state = torch.load(folder / PICKLED, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(PICKLED) from error
    if not isinstance(state, dict) or not all(torch.is_tensor(each) for each in state.values()):
        raise _unsafe(PICKLED)
    return state


def _unsafe(name: str) -> UnsafeDownload:
    return UnsafeDownload(
        f"{name} holds more than numbers, so it was not read.",
        hint="Leave it alone, and report it on its page.",
    )
