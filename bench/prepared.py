"""What `mynah train` works out before its first step, for posts that no bot's folder holds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def prepared(
    base: Any, texts: Sequence[str], config: Any, languages: Mapping[str, float] | None = None
) -> Any:
    """Return the plan, the lessons and the learner of a training, by the stage's own function.

    Args:
        base: loaded to learn on.
        texts: the posts.
        config: the settings of the training.
        languages: what the posts are in, by their share; None: what the base knows.
    """
    from mynah.config import DatasetConfig
    from mynah.dataset import Example, Split
    from mynah.model_stages import prepare
    from mynah.run_folder import RunFolder, write_json

    parts = Split(train=tuple(Example(text=text, author="one") for text in texts), held_out=())
    stages = {"clean": {"result": {"languages": dict(languages or {})}}}
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        write_json(folder.run, {"name": "bench", "accounts": [], "stages": stages})
        return prepare(base, parts, config, DatasetConfig(), folder)
