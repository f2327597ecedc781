"""A bot as llama.cpp reads it: the base's own GGUF file, and the adapter beside it as another.

The embedded base has weights of four bits with a scale d and an offset m for each block of 32
(Q4_1: w = d q + m, q from 0 to 15). llama.cpp multiplies without an offset (Q4_0: w = d (q - 8))
in half the time, since it has that kind laid out for the processor's vectors. The two differ by
c = m + 8 d, one number a block, so that

    W x = W' x + C S x      W' the same q and d as Q4_0, C [outputs, blocks] of all c,
                            S [blocks, inputs] adding up the x of each block

which has the form of a low-rank adapter. Stacked with the bot's own (B A: [B C] [A; S]), it costs
little, and nothing is rounded again.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mynah.run_folder import storage_errors

Matrix = NDArray[np.float32]

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_BLOCK = 32  # weights that share a scale
_SCALE = 2  # bytes of a scale, and of an offset


@dataclass(frozen=True)
class Update:
    """What an adapter adds to one layer: second @ first."""

    layer: str  # llama.cpp's name of the weight
    first: Matrix  # [rank, inputs]
    second: Matrix  # [outputs, rank], its scale in it


def prepare(
    base: Path, bot: Path, weights: Path, adapter: Path, *, plain: Path
) -> tuple[Path, Path]:
    """Write what llama.cpp reads fastest of a GGUF base and a bot's adapter/; return both paths.

    Args:
        base: a GGUF file.
        bot: the folder of its adapter.
        weights: where the base goes with its offsets taken away; not written where it has none.
        adapter: where the adapter goes with the offsets in it.
        plain: where the adapter goes for the base as it is.

    Raises:
        ValueError: the base is not like Llama.
    """
    import gguf

    reader = gguf.GGUFReader(base)
    if _value(reader, "general.architecture") != "llama":
        raise ValueError("the base is not like Llama")
    heads = _value(reader, "llama.attention.head_count")
    kv_heads = _value(reader, "llama.attention.head_count_kv")
    updates, missing = adapter_updates(bot, heads=heads, kv_heads=kv_heads), offsets(reader)
    if not missing:
        write_adapter(plain, updates)
        return base, plain
    if not weights.exists():
        write_without_offsets(reader, weights)
    write_adapter(adapter, with_offsets(updates, missing))
    return weights, adapter


def _value(reader: Any, key: str) -> Any:
    return reader.fields[key].contents()


def adapter_updates(folder: Path, *, heads: int, kv_heads: int) -> Iterator[Update]:
    """Yield the layers of a bot's adapter/, as llama.cpp has them.

    Raises:
        KeyError: a layer that Llama does not have.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    tensors = read_safetensors(folder / "adapter_model.safetensors")
    turned = {"self_attn.q_proj": heads, "self_attn.k_proj": kv_heads}
    for name, first in tensors.items():
        stem, _, kind = name.partition(".lora_")
        if kind != "A.weight":
            continue
        block, _, layer = stem.partition(".layers.")[2].partition(".")
        second = tensors[f"{stem}.lora_B.weight"] * scale
        if layer in turned:
            second = permuted(second, turned[layer])
        yield Update(f"blk.{block}.{_NAMES[layer]}.weight", first, second)


def permuted(rows: Matrix, heads: int) -> Matrix:
    """Return the rows of a query's or key's weight in llama.cpp's order.

    Rotary embeddings turn pairs of a head's rows: transformers pairs row i with i + half, llama.cpp
    row 2i with 2i + 1.
    """
    half = len(rows) // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


def read_safetensors(path: Path) -> dict[str, Matrix]:
    """Return the tensors of a bf16 or fp32 file as fp32; numpy itself knows no bf16."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    found = {}
    for name, about in header.items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            found[name] = _numbers(raw[start + begin : start + end], about["dtype"]).reshape(
                about["shape"]
            )
    return found


def _numbers(raw: bytes, kind: str) -> Matrix:
    if kind == "F32":
        return np.frombuffer(raw, np.float32)
    if kind != "BF16":
        raise ValueError(f"tensors of kind {kind}")
    return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)


def write_adapter(path: Path, updates: Iterable[Update]) -> None:
    """Write a GGUF adapter in fp16, whole or not at all."""
    import gguf

    with _replacing(path) as new:
        writer = gguf.GGUFWriter(new, "llama")
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 0.0)  # none: the scale is in the second factor
        for update in updates:
            writer.add_tensor(f"{update.layer}.lora_a", update.first.astype(np.float16))
            writer.add_tensor(f"{update.layer}.lora_b", update.second.astype(np.float16))
        finish(writer)


def write_without_offsets(reader: Any, target: Path) -> None:
    """Write a GGUF base whose Q4_1 weights have become Q4_0; `offsets` is what they lack."""
    import gguf

    with _replacing(target) as new:
        writer = gguf.GGUFWriter(new, "llama")
        for key, field in reader.fields.items():
            if not key.startswith("GGUF.") and key != "general.architecture":
                kinds = field.types
                part = kinds[-1] if kinds[0] == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(key, field.contents(), kinds[0], part)
        for tensor in reader.tensors:
            kind, data = tensor.tensor_type, tensor.data
            if kind == gguf.GGMLQuantizationType.Q4_1:
                kind = gguf.GGMLQuantizationType.Q4_0
                blocks = _blocks(tensor)
                cut = np.delete(blocks, slice(_SCALE, 2 * _SCALE), axis=2)
                data = cut.reshape(len(blocks), -1)
            writer.add_tensor(tensor.name, data, raw_dtype=kind)
        finish(writer)


def offsets(reader: Any) -> dict[str, Matrix]:
    """Return c = m + 8 d of every Q4_1 weight of a GGUF base, [outputs, blocks]."""
    import gguf

    found = {}
    for tensor in reader.tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
            head = np.ascontiguousarray(_blocks(tensor)[:, :, : 2 * _SCALE]).view(np.float16)
            found[tensor.name] = head[..., 1].astype(np.float32) + 8 * head[..., 0]
    return found


def _blocks(tensor: Any) -> NDArray[np.uint8]:
    inputs, outputs = (int(size) for size in tensor.shape)
    return np.asarray(tensor.data).reshape(outputs, inputs // _BLOCK, -1)


def with_offsets(updates: Iterable[Update], missing: dict[str, Matrix]) -> Iterator[Update]:
    """Yield updates that also add what `write_without_offsets` took away."""
    for update in updates:
        lacks = missing.pop(update.layer, None)
        if lacks is None:
            yield update
            continue
        yield Update(
            update.layer,
            np.concatenate([update.first, _sums(lacks.shape[1])]),
            np.concatenate([update.second, lacks], axis=1),
        )
    for layer, lacks in missing.items():
        yield Update(layer, _sums(lacks.shape[1]), lacks)


def _sums(blocks: int) -> Matrix:
    """Return the matrix that adds up each block, [blocks, inputs]."""
    return np.repeat(np.eye(blocks, dtype=np.float32), _BLOCK, axis=1)


def finish(writer: Any) -> None:
    """Write all that a GGUF writer was given, and close it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a path that takes the place of `path` only when the block ends well."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        new = Path(name)
        try:
            yield new
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
