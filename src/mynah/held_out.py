"""The posts that a bot was never trained on: by them alone it can be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mynah.cleaning import read_cleaned
from mynah.config import DatasetConfig, build
from mynah.dataset import Split, split
from mynah.errors import BotError, SettingsError, StageMissing
from mynah.parentage import command, parents_of
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
        BotError: a blend's posts are not its parents' any more.
    """
    cleaned = folder.require(folder.cleaned)
    if voices := voices_of_blend(folder):
        return joined(voices)
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


def voices_of_blend(folder: RunFolder) -> list[Split]:
    """Return the split of each parent of a blend; none for a bot that was trained.

    What one parent has learned is not held out for another.

    Raises:
        BotError: the posts are not those that it was made with.
    """
    parents = parents_of(folder)
    if not parents:
        return []
    posts = list(read_cleaned(folder.require(folder.cleaned)))
    if folder.learned()["outputs"].get(folder.cleaned.name) != hash_tree(folder.cleaned):
        raise BotError(
            f"The posts of '{folder.name}' are not those that it was made with.",
            hint=f"Make it anew: {command(folder)}",
        )
    found, start = [], 0
    for parent in parents:
        own = posts[start : start + parent.posts]
        found.append(split(own, build(DatasetConfig, parent.dataset)))
        start += parent.posts
    return apart(found)


def apart(voices: Sequence[Split]) -> list[Split]:
    """Leave out what is held out of one voice and learned, or held out, of another before it."""
    known = {example.text for voice in voices for example in voice.train}
    made = []
    for voice in voices:
        new = tuple(example for example in voice.held_out if example.text not in known)
        known |= {example.text for example in new}
        made.append(replace(voice, held_out=new))
    return made


def joined(voices: Sequence[Split]) -> Split:
    """Return several voices as one split."""
    return Split(
        train=tuple(example for voice in voices for example in voice.train),
        held_out=tuple(example for voice in voices for example in voice.held_out),
    )


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
