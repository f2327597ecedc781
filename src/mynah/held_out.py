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


def held_out_of_training(folder: RunFolder) -> Split:
    """Return the split that the bot was trained on: any other would judge it by what it knows.

    Raises:
        StageMissing: the posts have been cleaned anew since the training.
        SettingsError: no post was held out.
    """
    trained = folder.stage_record("train")
    if trained["inputs"].get(folder.cleaned.name) != hash_tree(folder.require(folder.cleaned)):
        raise StageMissing(
            f"The posts of bot '{folder.name}' have been cleaned anew since it was trained.",
            hint=f"Run: mynah train {folder.name}",
        )
    parts = read_split(folder, build(DatasetConfig, trained["config"]["dataset"]))
    if not parts.held_out:
        raise SettingsError(
            f"Bot '{folder.name}' has no held-out post that training did not see, to be judged by.",
            hint=f"Run: mynah train {folder.name} --held-out 0.1",
        )
    return parts
