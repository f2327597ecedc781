"""A style embedding: any encoder that transformers reads, the mean over its tokens.

Mean pooling as of Reimers and Gurevych 2019 ("Sentence-BERT", arXiv:1908.10084, section 3). Models
trained to tell authors apart are best, such as those of Wegmann et al. 2022 (arXiv:2204.04907).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from mynah.errors import BaseError, BaseNotInstalled
from mynah.model import load_tokenizer, quiet_transformers

_BATCH = 32  # texts at once
_LONGEST = 256  # tokens of a text that are read


def load_style_model(name: str) -> Callable[[Sequence[str]], Any]:
    """Return what makes vectors of texts, [texts, width], each of length 1.

    Raises:
        BaseNotInstalled: it is neither a folder nor to be had from the Hub.
        BaseError: the folder holds no encoder that transformers can read.
    """
    folder = _folder(name)
    model, tokenizer = _load(folder), load_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token

    @torch.no_grad()
    def embed(texts: Sequence[str]) -> Any:
        pieces = [
            _means(model, tokenizer, list(texts[start : start + _BATCH]))
            for start in range(0, len(texts), _BATCH)
        ]
        return torch.nn.functional.normalize(torch.cat(pieces), dim=1).numpy()

    return embed


def _means(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    given = tokenizer(
        texts, padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt"
    )
    states = model(
        input_ids=given["input_ids"], attention_mask=given["attention_mask"]
    ).last_hidden_state.float()
    real = given["attention_mask"][..., None].float()
    mean: torch.Tensor = (states * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)
    return mean


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the Hub's client has dozens of kinds; all mean "not to be had"
        raise BaseNotInstalled(
            f"Style model '{name}' is neither a folder here nor to be had from the Hub "
            f"({type(error).__name__}).",
            hint="Leave out --style-model: profiles of characters take its place.",
        ) from error


def _load(folder: Path) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with quiet_transformers():
            model = AutoModel.from_pretrained(
                folder, trust_remote_code=False, use_safetensors=True, local_files_only=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseError(
            f"{folder} cannot be read as a style model ({type(error).__name__}).",
            hint="It needs config.json and *.safetensors, as transformers saves them.",
        ) from error
    return model.eval()
