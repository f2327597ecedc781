"""Adapters of one base added up to a new one, by peft: no post is read, nothing is trained.

An adapter changes a frozen matrix W by scale * B A. Weighted by w and summed over bots, the changes
are sum of w_i scale_i B_i A_i, a matrix of at most the sum of their ranks. All As below each other
and all Bs side by side hold it exactly (`cat`); the nearest matrix of a smaller rank is that of the
largest singular values (`svd`; Eckart and Young 1936, Psychometrika 1). Adding the As and the Bs up
on their own (`linear`) is another thing: it multiplies one bot's B with another one's A.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mynah.errors import ExtraMissing
from mynah.lora import CONFIG, WEIGHTS, fitting
from mynah.run_folder import read_json, write_json

Kind = Literal["cat", "svd", "linear"]
_NEW = "blend"


def require() -> Any:
    """Return peft.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ExtraMissing.of("blend", "To blend finished bots takes peft.") from error
    return peft


def mix_adapters(
    model: Any,
    adapters: Sequence[Path],
    weights: Sequence[float],
    target: Path,
    *,
    kind: Kind = "cat",
    rank: int | None = None,
) -> int:
    """Write the weighted sum of adapters into a folder; return its rank.

    Args:
        model: their base, freshly loaded; it is changed.
        adapters: folders, two or more.
        weights: of each.
        target: an empty folder.
        kind: how they are added up.
        rank: of the sum, for `svd`.

    Raises:
        ExtraMissing: peft is not installed.
        BotError: an adapter is not whole, or is another base's.
    """
    with warnings.catch_warnings():  # peft asks transformers by a name that has become old
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return _mix(require(), model, adapters, weights, target, kind, rank)


def _mix(
    peft: Any,
    model: Any,
    adapters: Sequence[Path],
    weights: Sequence[float],
    target: Path,
    kind: Kind,
    rank: int | None,
) -> int:
    # No bare numbers: peft would take those of the layers for them.
    names = [f"parent_{number}" for number in range(len(adapters))]
    with fitting(adapters[0]):
        mixed = peft.PeftModel.from_pretrained(model, adapters[0], adapter_name=names[0])
    for name, folder in zip(names[1:], adapters[1:], strict=True):
        with fitting(folder):
            mixed.load_adapter(folder, adapter_name=name)
    how: dict[str, Any] = {"combination_type": kind, "svd_rank": rank}
    mixed.add_weighted_adapter(names, list(weights), _NEW, svd_full_matrices=False, **how)
    # Told of no embeddings: else it would ask the Hub whether the base's have grown.
    alone: dict[str, Any] = {"adapter_name": _NEW, "save_embedding_layers": False}
    _write(peft.get_peft_model_state_dict(mixed, **alone), target)
    made = mixed.peft_config[_NEW]
    size = {"r": made.r, "lora_alpha": made.lora_alpha}
    ends = {"target_modules": sorted(made.target_modules)}
    write_json(target / CONFIG, read_json(adapters[0] / CONFIG) | size | ends)
    return int(made.r)


def _write(tensors: dict[str, Any], target: Path) -> None:
    """Write weights as a training does: in bf16, two bytes for each number."""
    from safetensors.torch import save_file

    rounded = {name: each.detach().bfloat16().contiguous() for name, each in tensors.items()}
    save_file(rounded, target / WEIGHTS, metadata={"format": "pt"})
