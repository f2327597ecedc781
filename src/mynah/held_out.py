"""The posts that a bot was never trained on: by them alone it can be judged."""

from __future__ import annotations

from mynah.cleaning import read_cleaned
from mynah.config import DatasetConfig, build
from mynah.dataset import Split, split
from mynah.errors import SettingsError, StageMissing
from mynah.run_folder import RunFolder, hash_tree


def read_split(folder: RunFolder, config: DatasetConfig) -> Split:
    """Return what a bot learns from and what it is judged by."""
    return split(read_cleaned(folder.require(folder.cleaned)), config)


def split_of_training(folder: RunFolder) -> Split:
    """Return the split that a bot was trained on: any other would judge it by what it knows.

    No post is left on the held-out side where a person only repeats themselves.

    Raises:
        StageMissing: the posts have been cleaned anew since the training.
        SettingsError: none was held out.
    """
    cleaned = folder.require(folder.cleaned)
    trained = folder.stage_record("train")
    if trained["inputs"].get(cleaned.name) != hash_tree(cleaned):
        raise StageMissing(
            f"The posts of bot '{folder.name}' have been cleaned anew since it was trained.",
            hint=f"Run: mynah train {folder.name}",
        )
    dataset = build(DatasetConfig, trained["config"]["dataset"])
    if not dataset.held_out:
        raise _nothing_held_out(folder)
    return read_split(folder, dataset)


def held_out_of_training(folder: RunFolder) -> Split:
    """Return the split that a bot was trained on, with at least one post that is new to it.

    Raises:
        StageMissing: the posts have been cleaned anew since the training.
        SettingsError: there is none.
    """
    parts = split_of_training(folder)
    if not parts.held_out:
        raise _nothing_held_out(folder)
    return parts


def _nothing_held_out(folder: RunFolder) -> SettingsError:
    return SettingsError(
        f"Bot '{folder.name}' has no held-out post that training did not see, to be judged by.",
        hint=f"Run: mynah train {folder.name} --held-out 0.1",
    )
