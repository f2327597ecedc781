"""What a model makes of texts: each short cut beside the long way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from mynah.bot import load_bot
from mynah.config import ReportConfig
from mynah.errors import BaseError, BaseNotInstalled
from mynah.evaluation.style import style
from mynah.evaluation.texts import Texts
from mynah.examination import costs_once_shown, set_exam
from mynah.model import Base
from mynah.run_folder import RunFolder
from mynah.scoring import completed, last_states, nats_after
from mynah.style_model import load_style_model

TEXTS = tiny.SENTENCES[:9]


def nats_of(base: Base, ids: list[int], start: int) -> float:
    """Return -log p of the tokens from `start` on, one pass over everything."""
    with torch.inference_mode():
        logits = base.model(input_ids=torch.tensor([ids])).logits[0].float()
    at = torch.arange(start, len(ids))
    return -float(torch.log_softmax(logits[at - 1], dim=-1)[range(len(at)), ids[start:]].sum())


def test_costs_after_posts_shown_are_those_of_one_long_text(either_base: Base) -> None:
    base = either_base
    ids = base.tokenizer(list(TEXTS), add_special_tokens=False)["input_ids"]
    shown = [base.separator, *ids[0], *ids[1]]
    rows = [[*row, base.separator] for row in ids[2:]]
    expected = [nats_of(base, [*shown, *row], len(shown)) for row in rows]
    found = nats_after(base.model, shown, rows, base.separator, 64)
    assert found == pytest.approx(expected, abs=1e-3)


def test_posts_are_shown_as_lines(base: Base) -> None:
    costs = costs_once_shown(base, TEXTS[:2], TEXTS[2:4])
    shown = [base.separator, *base.tokenizer(f"{TEXTS[0]}\n{TEXTS[1]}\n")["input_ids"]]
    for at, text in enumerate(TEXTS[2:4]):
        row = base.tokenizer(f"{text}\n")["input_ids"]
        assert costs[at] == pytest.approx(nats_of(base, [*shown, *row], len(shown)), abs=1e-3)
    assert costs_once_shown(base, [], TEXTS) == costs_once_shown(base, TEXTS, []) == {}


def greedy(bot: Base, first: list[int], tokens: int) -> list[int]:
    """Continue with the likeliest token, one after another."""
    ids = list(first)
    for _ in range(tokens):
        with torch.inference_mode():
            ids.append(int(bot.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(first) :]


def test_completed_is_what_greedy_decoding_completes(tiny_bot: RunFolder) -> None:
    bot = load_bot(tiny_bot, tiny.FP32)
    ids = bot.tokenizer(list(tiny.SENTENCES), add_special_tokens=False)["input_ids"]
    firsts = [[bot.separator, *row[:6]] for row in ids]
    likely = [greedy(bot, first, 5) for first in firsts]
    wrong_last = [[*rest[:-1], (rest[-1] + 1) % 400] for rest in likely]
    wrong_first = [[(rest[0] + 1) % 400, *rest[1:]] for rest in likely]
    pairs = list(zip(firsts * 3, [*likely, *wrong_last, *wrong_first], strict=True))
    count = len(ids)
    expected = [True] * count + [False] * 2 * count
    assert completed(bot.model, pairs, bot.separator, 128) == expected
    assert completed(bot.model, [], bot.separator, 128) == []


def test_states_are_those_at_the_end_of_each_text(base: Base) -> None:
    rows = tiny.rows_of(base, TEXTS)
    found = last_states(base.model, rows, base.separator, 64)
    assert found.shape == (len(rows), 32)
    for row, state in zip(rows, found, strict=True):
        with torch.inference_mode():
            out = base.model(input_ids=torch.tensor([row]), output_hidden_states=True)
        assert np.allclose(out.hidden_states[-1][0, -1].numpy(), state, atol=1e-4)


def test_an_exam_is_marked_post_by_post(base: Base) -> None:
    exam = set_exam(TEXTS, TEXTS[:4], TEXTS[4:6], most=5)
    marks = exam.put_before(base)
    rows = tiny.rows_of(base, TEXTS[:6])
    expected = [nats_of(base, row, 1) for row in rows]
    assert marks.held_out + marks.others == pytest.approx(expected, abs=1e-2)
    assert (len(marks.held_out), len(marks.others)) == (4, 2)
    assert (len(marks.completed), len(marks.guessed)) == (5, 4)


# --- a style embedding ---


def test_a_style_model_gives_the_mean_over_real_tokens(tiny_base: Path, base: Base) -> None:
    embed = load_style_model(str(tiny_base))
    found = embed(TEXTS[:3])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    ids = base.tokenizer([TEXTS[1]], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = base.model.model(input_ids=ids).last_hidden_state[0]
    mean = states.mean(dim=0).numpy()
    assert np.allclose(found[1], mean / np.linalg.norm(mean), atol=1e-4)
    texts = Texts(
        learned=TEXTS * 3,
        held_out=TEXTS * 2,
        bot=TEXTS * 2,
        floors={"base": ["9 9 9 9", "?!"] * 9},
    )
    assert style(texts, ReportConfig(resamples=9), embed).value == pytest.approx(1.0)


def test_a_style_model_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    with pytest.raises(BaseNotInstalled, match="neither a folder here nor") as missing:
        load_style_model("nobody/nothing")
    assert "--style-model" in missing.value.hint
    with pytest.raises(BaseError, match="cannot be read as a style model"):
        load_style_model(str(tmp_path))
