"""The base that is shown posts: the same tokens as one long prompt, in both engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny
from available import needs_llama
from mynah.config import GenerationConfig
from mynah.engines import open_base
from mynah.generation import generate
from mynah.llama_engine import LlamaEngine
from mynah.model import Base
from mynah.prompted import Prompted, fitting, lines
from mynah.run_folder import RunFolder
from mynah.torch_engine import TorchEngine
from test_engines import spoken

__all__ = ["spoken"]  # a fixture
SHOWN = tiny.SENTENCES[:3]


@pytest.fixture
def engine(base: Base) -> TorchEngine:
    return TorchEngine(base)


def test_it_reads_the_posts_before_its_own(engine: TorchEngine) -> None:
    prompted = Prompted(engine, SHOWN)
    ids = lines(engine, SHOWN)
    assert engine.decode(ids) == "".join(f"{text}\n" for text in SHOWN)
    assert prompted.longest == engine.longest - len(ids)
    start = [engine.separator, *engine.encode("The")]
    plain = engine.begin([start[0], *ids, *start[1:]], 1, 200).first
    assert np.array_equal(prompted.begin(start, 1, 50).first, plain)


def test_its_posts_are_single_lines_without_what_was_shown(engine: TorchEngine) -> None:
    config = GenerationConfig(n=6, max_tokens=20, max_draws=1)
    texts = [each.text for each in generate(Prompted(engine, SHOWN), "", config, None, seed=0)]
    assert len(texts) == 6
    assert not [text for text in texts if "\n" in text or text.startswith(SHOWN[0])]


def test_the_newest_posts_that_fit_are_shown(engine: TorchEngine) -> None:
    sizes = [len(engine.encode(f"{text}\n")) for text in tiny.SENTENCES]
    shown = fitting(engine, tiny.SENTENCES, 30)
    count = len(shown)
    assert 0 < count < len(tiny.SENTENCES)
    assert shown == list(tiny.SENTENCES[-count:])
    assert sum(sizes[-count:]) <= engine.longest // 2 < sum(sizes[-count - 1 :])
    assert fitting(engine, tiny.SENTENCES, 2) == list(tiny.SENTENCES[-2:])
    assert fitting(engine, tiny.SENTENCES, 0) == fitting(engine, [], 30) == []


@needs_llama
def test_a_long_beginning_is_kept_once_and_read_the_same(
    spoken: RunFolder, tiny_base: Path
) -> None:
    """Rows that share it are told apart, and a row that left does not take it along.

    llama.cpp keeps what it has read in sixteen bits, and how it multiplies them is the processor's
    matter: its logits are up to 0.011 away. Those of two rows are 0.8 apart at least.
    """
    reference = TorchEngine(tiny.fp32(tiny_base))
    llama = open_base(spoken, "llama", reference.bot)
    assert isinstance(llama, LlamaEngine)
    start = [llama.separator, *lines(llama, tiny.SENTENCES[:7])]
    assert 200 < len(start) < 240
    rows, plain = llama.begin(start, 3, 250), reference.begin(start, 3, 250)
    assert np.abs(rows.first - plain.first).max() < 1e-2
    ours, theirs = [rows.join() for _ in range(3)], [plain.join() for _ in range(3)]
    for tokens in ((7, 9, 11), (5, 6, 8)):
        mine = rows.read(dict(zip(ours, tokens, strict=True)))
        reads = plain.read(dict(zip(theirs, tokens, strict=True)))
        for row, other in zip(ours, theirs, strict=True):
            assert np.abs(mine[row] - reads[other]).max() < 0.03
            assert all(np.abs(mine[row] - reads[at]).max() > 0.5 for at in theirs if at != other)
    rows.read({ours[0]: 3})
    again = rows.join()
    assert again in ours[1:]
    fresh = rows.read({ours[0]: 4, again: 7})[again]
    fork = reference.begin(start, 1, 250)
    alone = fork.read({fork.join(): 7})
    assert np.abs(fresh - next(iter(alone.values()))).max() < 0.03


@needs_llama
def test_the_untouched_base_speaks_through_llama_cpp(spoken: RunFolder, base: Base) -> None:
    assert open_base(spoken, "llama", base).name == "llama.cpp"
    assert open_base(spoken, "auto", base).name.startswith("torch on ")


def test_without_a_gguf_file_the_base_speaks_through_torch(tiny_bot: RunFolder, base: Base) -> None:
    assert open_base(tiny_bot, "auto", base).name.startswith("torch on ")


def test_rows_are_fewer_where_the_beginning_is_long(engine: TorchEngine) -> None:
    """Thirty-two copies of a long cache would not fit into a laptop."""
    rows = engine.begin([0], 32, 1_000)
    assert [rows.join() is not None for _ in range(10)] == [True] * 8 + [False] * 2


def test_a_post_ends_with_its_first_line(engine: TorchEngine) -> None:
    """What came after a new line was drawn to its end once, and thrown away."""
    [newline] = engine.encode("\n")

    class OneLine(TorchEngine):
        def begin(self, start, rows, length):
            made = super().begin(start, rows, length)
            made.first = np.full_like(made.first, -50.0)
            made.first[newline] = 50.0
            return made

    config = GenerationConfig(n=1, max_tokens=30, max_draws=1)
    [post] = generate(OneLine(engine.bot), "Low tide", config, None, seed=0)
    assert (post.text, post.tokens) == ("Low tide", 1)
