"""A bot as one GGUF file: base and voice merged, for llama.cpp and all that is built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mynah.errors import BaseError
from mynah.gguf_files import Matrix, finish, permuted
from mynah.gguf_words import add_words
from mynah.model import Base

_BLOCK = 32  # weights that share a scale; a row of another length stays in f16
_EXACT = "position_embd.weight"  # is added to what is in fp32, and may not be rounded
# The first and the last layer decide most: they keep eight bits where the others have fewer.
_DECIDING = ("token_embd.weight", "output.weight")


@dataclass(frozen=True)
class Kind:
    """What llama.cpp knows of a kind of model."""

    name: str
    acts: str  # the one activation that it has there
    turned: bool = False  # whether rows of queries and keys stand in another order


# By transformers' model_type.
KINDS = {
    "gpt2": Kind("gpt2", "gelu_new"),
    "llama": Kind("llama", "silu", turned=True),
    "qwen2": Kind("qwen2", "silu"),
    "qwen3": Kind("qwen3", "silu"),
}
_SCALED = ("default", "linear", "llama3")  # rotary embeddings that are fixed numbers


def write_weights(path: Path, bot: Base, precision: str, describe: Callable[[Any], None]) -> None:
    """Write a loaded bot as a GGUF file.

    Args:
        path: the file; it is written in place.
        bot: in fp32, so that every weight is rounded once.
        precision: what matrices are rounded to, by llama.cpp's name in small letters.
        describe: writes what the file says about itself.

    Raises:
        BaseError: llama.cpp has no such model, or would read other words.
    """
    import gguf

    kind = _kind(bot)
    wanted = gguf.GGMLQuantizationType[precision.upper()]
    writer = gguf.GGUFWriter(path, kind.name)
    describe(writer)
    writer.add_file_type(_file_type(precision))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_shape(writer, bot.model, kind)
    words = bot.model.get_input_embeddings().weight.shape[0]
    add_words(writer, bot.tokenizer, count=words, separator=bot.separator)
    for name, weight in _tensors(bot.model, kind):
        _add(writer, name, weight, wanted)
    finish(writer)


def _kind(bot: Base) -> Kind:
    config = bot.model.config
    kind = KINDS.get(config.model_type)
    if kind is None:
        raise BaseError(
            f"Base '{bot.info.name}' is of the kind {config.model_type}, and Mynah writes GGUF "
            f"files of {', '.join(KINDS)}.",
            hint="Use --format transformers.",
        )
    acts = config.activation_function if kind.name == "gpt2" else config.hidden_act
    ropes = getattr(config, "rope_parameters", None) or {}
    if acts != kind.acts or ropes.get("rope_type", "default") not in _SCALED:
        raise BaseError(
            f"Base '{bot.info.name}' differs from what llama.cpp takes for {kind.name}.",
            hint="Use --format transformers.",
        )
    return kind


def _file_type(precision: str) -> int:
    from gguf import LlamaFileType

    name = "ALL_F32" if precision == "f32" else f"MOSTLY_{precision.upper()}"
    return int(LlamaFileType[name])


def _add_shape(writer: Any, model: Any, kind: Kind) -> None:
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if kind.name == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_rotation(writer, model)


def _add_rotation(writer: Any, model: Any) -> None:
    """Write how positions turn queries and keys: a base frequency, and factors where it is bent."""
    frequencies = model.model.rotary_emb.inv_freq.float().cpu().numpy()
    size, theta = 2 * len(frequencies), model.config.rope_parameters["rope_theta"]
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_freq_base(theta)
    plain = theta ** (-np.arange(0, size, 2, dtype=np.float32) / size)
    factors = (plain / frequencies).astype(np.float32)
    if not np.allclose(factors, 1, rtol=1e-4):
        writer.add_tensor("rope_freqs.weight", factors)


def _tensors(model: Any, kind: Kind) -> Iterator[tuple[str, Matrix]]:
    """Yield the weights under llama.cpp's names and in its layout, fp32; a tied head only once."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    config = model.config
    names = get_tensor_name_map(MODEL_ARCH[kind.name.upper()], config.num_hidden_layers)
    turned = {"attn_q": config.num_attention_heads} if kind.turned else {}
    if kind.turned:
        turned["attn_k"] = config.num_key_value_heads
    for name, weight in model.named_parameters():
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise BaseError(f"llama.cpp has no name for the weights '{name}'.")
        rows = weight.detach().float().cpu().numpy()
        layer = model.get_submodule(name.rpartition(".")[0])
        if rows.ndim == 2 and type(layer).__name__ == "Conv1D":
            rows = rows.T  # GPT-2 keeps [inputs, outputs]
        heads = turned.get(known.split(".")[-2])
        yield known, permuted(rows, heads) if heads else rows


def _add(writer: Any, name: str, weight: Matrix, wanted: Any) -> None:
    import gguf

    kinds = gguf.GGMLQuantizationType
    if weight.ndim == 1 or name == _EXACT:
        wanted = kinds.F32
    elif wanted not in (kinds.F32, kinds.F16):
        wanted = kinds.Q8_0 if name in _DECIDING else wanted
        wanted = kinds.F16 if weight.shape[1] % _BLOCK else wanted
    writer.add_tensor(name, gguf.quantize(np.ascontiguousarray(weight), wanted), raw_dtype=wanted)
