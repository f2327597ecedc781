"""A batch of several bots: each says what it would say alone, whoever sits beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from mynah.errors import BotError
from mynah.lora import adapted, add_adapter, load_adapter, merge_adapter, save_adapter
from mynah.sampling import Logits
from mynah.serving.mixed_llama import MixedLlama, Turn
from mynah.serving.seats import read_adapter

RANKS = {"rook": 8, "heron": 8, "wren": 2, "crane": 3}
TEXTS = {"rook": [0, 5, 9], "heron": [0], "wren": [0, 7, 7, 7, 7, 7, 7], "crane": [0, 30]}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> dict[str, Path]:
    """Return adapters of several ranks, none of which leaves a base as it is."""
    made = {}
    for seed, (name, rank) in enumerate(RANKS.items()):
        model = tiny.fp32(tiny_base).model
        add_adapter(model, rank=rank, alpha=2.0 * rank, seed=seed)
        dice = torch.Generator().manual_seed(seed)
        for layer in adapted(model).values():
            layer.lora_B.data.normal_(std=0.3, generator=dice)
        made[name] = tmp_path_factory.mktemp(name)
        save_adapter(model, made[name], base="tiny", rank=rank, alpha=2.0 * rank)
    return made


@pytest.fixture
def mixed(tiny_base: Path) -> MixedLlama:
    return MixedLlama(tiny.fp32(tiny_base), rows=6, length=64)


def alone(tiny_base: Path, adapter: Path, tokens: list[int]) -> Logits:
    """Return the logits after a text, as transformers has them with the adapter merged."""
    model = tiny.fp32(tiny_base).model
    load_adapter(model, adapter)
    merge_adapter(model)
    with torch.inference_mode():
        logits: Logits = model(torch.tensor([tokens])).logits[0, -1].numpy()
    return logits


class Texts:
    """Texts of several bots that read together."""

    def __init__(self, mixed: MixedLlama, adapters: dict[str, Path]) -> None:
        self.mixed = mixed
        self.owned = {name: read_adapter(path, mixed.shape) for name, path in adapters.items()}
        self.read_so_far: list[int] = []

    def read(self, *turns: tuple[str, list[int]]) -> Logits:
        """Let each row go on; a row beyond those so far is a new text."""
        self.read_so_far += [0] * (len(turns) - len(self.read_so_far))
        made = [
            Turn(row, self.read_so_far[row], tokens, self.owned[name], *self.owned[name])
            for row, (name, tokens) in enumerate(turns)
        ]
        self.read_so_far = [turn.start + len(turn.tokens) for turn in made]
        return self.mixed.read(made)


def test_each_bot_reads_in_a_mixed_batch_what_it_reads_alone(
    mixed: MixedLlama, adapters: dict[str, Path], tiny_base: Path
) -> None:
    """The rows differ in bot, in rank and in length, and one bot has two of them."""
    texts = Texts(mixed, adapters)
    batch = [*TEXTS.items(), ("rook", [0, 12, 14, 90, 3])]
    for more in ([], [11], [200]):
        batch = [(name, tokens + more) for name, tokens in batch]
        fed = [(name, more or tokens) for name, tokens in batch]
        for (name, tokens), logits in zip(batch, texts.read(*fed), strict=True):
            np.testing.assert_allclose(
                logits, alone(tiny_base, adapters[name], tokens), atol=2e-3, err_msg=name
            )


def test_bots_differ_enough_that_a_mixed_up_seat_would_show(
    mixed: MixedLlama, adapters: dict[str, Path], tiny_base: Path
) -> None:
    logits = [alone(tiny_base, path, [0, 5, 9]) for path in adapters.values()]
    apart = [abs(one - other).max() for one in logits for other in logits if one is not other]
    assert min(apart) > 0.5


def test_a_row_and_a_seat_that_become_free_are_closed_up(
    mixed: MixedLlama, adapters: dict[str, Path], tiny_base: Path
) -> None:
    """The first text leaves; the last one moves to its place, its bot too, and all go on."""
    texts = Texts(mixed, adapters)
    texts.read(("rook", [0, 5, 9]), ("heron", [0, 8]), ("wren", [0, 7, 7, 7]))
    mixed.move(2, 0, 4)
    texts.read_so_far = [4, 2]
    wren, heron = texts.read(("wren", [3]), ("heron", [4]))
    np.testing.assert_allclose(wren, alone(tiny_base, adapters["wren"], [0, 7, 7, 7, 3]), atol=2e-3)
    np.testing.assert_allclose(heron, alone(tiny_base, adapters["heron"], [0, 8, 4]), atol=2e-3)


def test_a_beginning_read_in_pieces_is_the_beginning(
    mixed: MixedLlama, adapters: dict[str, Path]
) -> None:
    whole, pieces = Texts(mixed, adapters), Texts(mixed, adapters)
    text = [0, 4, 8, 15, 16, 23, 42]
    [at_once] = whole.read(("heron", text))
    for begin in (0, 3, 6):
        [logits] = pieces.read(("heron", text[begin : begin + 3]))
    np.testing.assert_allclose(logits, at_once, atol=1e-4)


def test_an_adapter_of_another_base_is_refused(
    mixed: MixedLlama, adapters: dict[str, Path], tmp_path: Path
) -> None:
    model = tiny.llama(num_hidden_layers=3)
    add_adapter(model, rank=2, alpha=4.0, seed=0)
    save_adapter(model, tmp_path, base="other", rank=2, alpha=4.0)
    with pytest.raises(BotError, match="does not fit this base"):
        read_adapter(tmp_path, mixed.shape)
