"""A base that many processes read in one place: packed once, lent to whoever makes a bot of it.

Its weights travel as NumPy arrays. A store of objects in shared memory, such as Ray's, then holds
them once a machine, and every process there computes on those very bytes.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mynah.bases import BaseFiles, BaseInfo, find_base, lend
from mynah.calibration import memory_of
from mynah.config import DatasetConfig, TrainingConfig
from mynah.errors import BaseError, BaseNotInstalled
from mynah.model import locate_base
from mynah.plan import make_plan

# The report holds the base, the bot made of it, llama.cpp's copies of both and the posts' logits:
# with the embedded base a worker held 2,348 MB at most, 1,000 more than its training alone.
_JUDGING = 4  # times the weights
_LARGE_ARCHIVE = 1_000_000  # tokens: it has the largest steps
_BYTES_A_NUMBER = 4  # of what a training keeps: bf16 would be 2, but not every machine has it


@dataclass(frozen=True, kw_only=True)
class PackedBase:
    """All of a base that a machine without it needs."""

    name: str
    info: BaseInfo
    files: dict[str, bytes]  # config and tokenizer
    arrays: dict[str, NDArray[Any]]  # weights; bf16, which NumPy does not know, as int16
    dtypes: dict[str, str]  # torch's name of each weight's type


def pack_base(name: str) -> PackedBase:
    """Read a base into memory.

    Raises:
        BaseNotInstalled: it is not here.
        BaseError: its weights cannot be read.
    """
    folder, info = locate_base(name)
    weights = _weights(folder)
    return PackedBase(
        name=name,
        info=info,
        files={file.name: file.read_bytes() for file in folder.iterdir() if _small(file)},
        arrays={key: _array(each) for key, each in weights.items()},
        dtypes={key: str(each.dtype).removeprefix("torch.") for key, each in weights.items()},
    )


def _small(file: Path) -> bool:
    return file.is_file() and file.suffix not in (".safetensors", ".gguf", ".bin", ".lock")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = {}
    try:
        for file in sorted(folder.glob("*.safetensors")):
            found |= load_file(file)
    except (OSError, SafetensorError) as error:
        raise BaseError(f"The weights in {folder} cannot be read.") from error
    return found


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    plain = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    array: NDArray[Any] = plain.numpy()
    return array


@contextmanager
def borrowing(packed: PackedBase, *, to_change: bool = False) -> Iterator[None]:
    """Let the base's name stand for what was packed.

    Args:
        packed: the base.
        to_change: its weights are to be trained themselves, so they are copied.
    """
    with tempfile.TemporaryDirectory(prefix="mynah-base-") as folder:
        for name, data in packed.files.items():
            (Path(folder) / name).write_bytes(data)
        state = {key: _tensor(packed, key, to_change) for key in packed.arrays}
        files = BaseFiles(info=packed.info, folder=Path(folder), gguf=_own_gguf(packed))
        with lend(packed.name, replace(files, state=state)):
            yield


def _tensor(packed: PackedBase, key: str, copied: bool) -> torch.Tensor:
    array = np.array(packed.arrays[key]) if copied else packed.arrays[key]
    with warnings.catch_warnings():  # torch says that shared arrays must not be written to
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array).view(getattr(torch, packed.dtypes[key]))


def _own_gguf(packed: PackedBase) -> Path | None:
    """Return the file for llama.cpp where this machine has the same base; torch speaks without."""
    try:
        own = find_base(packed.name)
    except (BaseError, BaseNotInstalled):
        return None
    return own.gguf if own.info.sha256 == packed.info.sha256 else None


def memory_for(packed: PackedBase, training: TrainingConfig, dataset: DatasetConfig) -> int:
    """Return about how many bytes it takes to make a bot of a base, before a post is read."""
    plan = make_plan(training, tokens=_LARGE_ARCHIVE)
    shapes = [each.shape for each in packed.arrays.values()]
    sizes = [each.size for each in packed.arrays.values()]
    largest = max(sizes)  # the embeddings have no adapter
    layers = [each for each in shapes if len(each) == 2 and each[0] * each[1] < largest]
    trained = plan.rank * sum(map(sum, layers)) if plan.rank else sum(sizes)
    tokens = max(plan.batch_tokens / plan.accumulate, dataset.max_post_tokens)
    weights = sum(sizes) * (2 if plan.rank else _BYTES_A_NUMBER)
    kept = tokens * _BYTES_A_NUMBER
    training_alone = memory_of(_shape(packed), plan, weights, trained, kept)
    return training_alone + _JUDGING * weights


def _shape(packed: PackedBase) -> Any:
    """Return kind, width and depth as memory is reckoned by them; GPT-2 has names of its own."""
    import json

    config = json.loads(packed.files["config.json"])
    return SimpleNamespace(
        model_type=config.get("model_type"),
        hidden_size=config.get("hidden_size") or config.get("n_embd"),
        num_hidden_layers=config.get("num_hidden_layers") or config.get("n_layer"),
        intermediate_size=config.get("intermediate_size") or config.get("n_inner"),
    )
