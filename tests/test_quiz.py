"""Real or bot? The pairs are fair, the score is right, and no answer is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from mynah.cleaning import read_cleaned
from mynah.config import GenerationConfig, QuizConfig
from mynah.copying import words_of
from mynah.errors import BotBusy, BotError
from mynah.held_out import held_out_of_training
from mynah.quiz import Pair, Round, Score, fooled, mark, next_seed, pair_up, total
from mynah.quiz_stage import Quiz, keep_round, prepare_quiz, read_rounds
from mynah.run_folder import RunFolder
from tiny import Answer, mynah

# The small archive's sentences come again and again: by the usual rules no post of it is new.
ALL = ("--copied-words", "99", "--copied-share", "9")
# More than there are real posts: what so small a bot says is seldom as long as they are.
PAIRS = 40
QUIZ = ("--pairs", PAIRS, *ALL)
NEAR = GenerationConfig(copied_words=99, copied_share=9.0)


def test_a_real_post_stands_beside_the_generated_one_of_nearest_length() -> None:
    real = ["r" * 40, "R" * 80]
    generated = ["g" * 46, "g" * 43, "g" * 88, "g" * 93]
    pairs = pair_up(real, generated, count=2, seed=0)
    assert {(len(pair.real), len(pair.generated)) for pair in pairs} == {(40, 43), (80, 88)}


def test_posts_of_unlike_length_are_no_pair() -> None:
    # 15 % of 100 characters, and six where that is less.
    assert pair_up(["r" * 100], ["g" * 116], count=1, seed=0) == ()
    assert len(pair_up(["r" * 100], ["g" * 115], count=1, seed=0)) == 1
    assert pair_up(["r" * 10], ["g" * 17], count=1, seed=0) == ()
    assert len(pair_up(["r" * 10], ["g" * 16], count=1, seed=0)) == 1


TEXTS = st.lists(st.text("abc ", min_size=1, max_size=60), max_size=25)


@given(real=TEXTS, generated=TEXTS, count=st.integers(1, 9), seed=st.integers(0, 99))
def test_no_post_stands_in_two_pairs(
    real: list[str], generated: list[str], count: int, seed: int
) -> None:
    pairs = pair_up(real, generated, count=count, seed=seed)
    assert len(pairs) <= count
    for side, given_ in (("real", real), ("generated", generated)):
        texts = [getattr(pair, side) for pair in pairs]
        assert len(texts) == len(set(texts)) and set(texts) <= set(given_)
    assert pairs == pair_up(real, generated, count=count, seed=seed)


def test_no_real_post_comes_again_before_the_others_had_their_turn() -> None:
    real = [f"post {number:02}" for number in range(12)]
    generated = [f"said {number:02}" for number in range(12)]
    rounds = [pair_up(real, generated, count=4, seed=seed) for seed in (0, 4, 8)]
    assert sorted(pair.real for pairs in rounds for pair in pairs) == real
    again = pair_up(real, generated, count=4, seed=12)
    assert {pair.real for pair in again} == {pair.real for pair in rounds[0]}


def test_the_real_post_stands_on_either_side_equally_often() -> None:
    real, generated = [f"post {n:04}" for n in range(2000)], [f"said {n:04}" for n in range(2000)]
    sides = Counter(pair.answer for pair in pair_up(real, generated, count=2000, seed=1))
    assert 900 < sides[1] < 1100  # 4.5 standard deviations of 22


def test_what_is_shown_and_what_is_right() -> None:
    first = Pair(real="real", generated="said", real_first=True)
    second = Pair(real="real", generated="said", real_first=False)
    assert (first.shown, first.answer) == (("real", "said"), 1)
    assert (second.shown, second.answer) == (("said", "real"), 2)


def test_marks_are_given_by_hand() -> None:
    pairs = [
        Pair(real=f"r{n}", generated=f"g{n}", real_first=first)
        for n, first in enumerate([True, False, True, False])
    ]
    answers = [1, 1, 1]  # right, wrong, right; the fourth was not asked
    assert mark(pairs, answers) == Score(right=2, pairs=3)
    assert fooled(pairs, answers) == ["g1"]
    assert mark(pairs, []) == Score(right=0, pairs=0)


def test_rounds_add_up() -> None:
    rounds = [Round(seed=0, pairs=12, right=8, at=""), Round(seed=2, pairs=8, right=5, at="")]
    assert total(rounds).to_json() == {
        "pairs": 20,
        "right": 13,
        "share": 0.65,
        "low": 0.4329,
        "high": 0.8188,
    }
    assert (next_seed([]), next_seed(rounds[:1]), next_seed(rounds)) == (0, 12, 20)
    assert next_seed([Round(seed=5, pairs=5, right=0, at="")]) == 6
    assert total([]).to_json() == {"pairs": 0, "right": 0, "share": 0.0, "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (20, "told from the person nearly always"),
        (15, "told from the person more often than by guessing"),
        (14, "may well be guessing"),
        (10, "may well be guessing"),
        (6, "may well be guessing"),
        (5, "look more real than the real ones"),
    ],
)
def test_the_meaning_follows_the_interval(right: int, words: str) -> None:
    assert words in Score(right=right, pairs=20).meaning()


def asked(bot: RunFolder, *words: object) -> dict[str, object]:
    answer = mynah("quiz", bot.name, *QUIZ, *words, "--json")
    assert (answer.code, answer.err) == (0, "")
    return dict(answer.json)


def played(bot: RunFolder, typed: str, monkeypatch: pytest.MonkeyPatch, *words: object) -> Answer:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return mynah("quiz", bot.name, *QUIZ, *words)


def kept(bot: RunFolder) -> dict[str, object]:
    return dict(json.loads(bot.quiz.read_text(encoding="utf-8")))


def test_programs_get_pairs_and_a_key_and_nothing_is_written(bot: RunFolder) -> None:
    first = asked(bot)
    assert first == asked(bot) == asked(bot, "--seed", 0)
    assert first["seed"] == 0 and len(first["key"]) == len(first["pairs"]) > 2
    assert asked(bot, "--seed", 1)["pairs"] != first["pairs"]
    assert not bot.quiz.exists() and "quiz" not in bot.read_run()["stages"]


def test_real_posts_were_never_trained_on_and_the_others_are_real_to_nobody(
    bot: RunFolder,
) -> None:
    parts = held_out_of_training(bot)
    learned = {tuple(words_of(each.text)) for each in parts.train}
    written = {tuple(words_of(each.text)) for each in read_cleaned(bot.cleaned)}
    quiz = prepare_quiz(bot, QuizConfig(pairs=PAIRS, seed=5), NEAR)
    for pair in quiz.pairs:
        assert pair.real in {each.text for each in parts.held_out}
        assert tuple(words_of(pair.real)) not in learned
        assert tuple(words_of(pair.generated)) not in written
        assert pair.generated == " ".join(pair.generated.split())


def test_where_nothing_new_is_held_out_there_is_no_quiz(bot: RunFolder) -> None:
    answer = mynah("quiz", bot.name, "--pairs", "2")
    assert (answer.code, answer.out) == (2, "")
    assert "Of 13 held-out posts of bot 'ferryclerk', 0 say something new" in answer.err
    assert "mynah say ferryclerk --nearest" in answer.err


def test_answers_are_read_scored_and_kept(bot: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    key, said = str(asked(bot)["key"]), bot.samples.read_bytes()
    answer = played(bot, "\n".join(key), monkeypatch)
    assert bot.samples.read_bytes() == said  # what the card shows stays what was last said
    count = len(key)
    assert answer.code == 0, answer.err
    assert f"Pair {count} of {count}" in answer.out
    assert f"{count} of {count} right, 100 % (95 %: " in answer.out
    assert "50 % is guessing." in answer.out and "taken for real" not in answer.out
    [row] = kept(bot)["rounds"]
    assert (row["seed"], row["pairs"], row["right"]) == (0, count, count)
    assert row["at"].endswith("Z")
    assert (kept(bot)["pairs"], kept(bot)["right"], kept(bot)["share"]) == (count, count, 1.0)
    record = bot.stage_record("quiz")
    assert record["result"]["right"] == count
    assert list(record["outputs"]) == ["quiz.json", "report.html"]


def test_rounds_are_added_and_the_next_asks_about_other_posts(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = str(asked(bot)["key"]).translate({49: "2", 50: "1"})[:2]
    answer = played(bot, "\n".join([*wrong, "q"]), monkeypatch)
    assert "0 of 2 right" in answer.out and answer.out.count("By the bot, and taken for real") == 1
    key = str(asked(bot)["key"])
    answer = played(bot, key[0], monkeypatch)  # then the input ends
    assert "1 of 1 right" in answer.out and "All rounds: 1 of 3 right, 33 %" in answer.out
    assert [(row["seed"], row["pairs"], row["right"]) for row in kept(bot)["rounds"]] == [
        (0, 2, 0),
        (2, 1, 1),
    ]
    assert (kept(bot)["pairs"], kept(bot)["right"], kept(bot)["share"]) == (3, 1, 0.3333)


def test_what_is_no_answer_is_asked_again(bot: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = played(bot, "\n3\nreal\n1\nQ\n2\n", monkeypatch)
    assert answer.out.count("Which one is real?") == 5
    assert kept(bot)["pairs"] == 1


def test_without_an_answer_nothing_is_kept(bot: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = played(bot, "q\n", monkeypatch)
    assert answer.code == 0 and "nothing was kept" in answer.err
    assert not bot.quiz.exists() and "quiz" not in bot.read_run()["stages"]


def test_the_truth_is_shown_after_each_answer_where_wanted(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(asked(bot)["key"])
    other = "2" if key[0] == "1" else "1"
    shown = played(bot, f"{other}\n{key[1]}\n", monkeypatch, "--reveal").out
    assert f"Wrong: {key[0]} is real." in shown and f"Right: {key[1]} is real." in shown
    assert "is real." not in played(bot, "1\n2\n", monkeypatch).out


def test_answers_that_are_not_text_are_refused_and_those_before_count(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"1\n" + b" \n" * 10_000 + b"\xff\n"  # text is decoded a block at a time
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
    answer = mynah("quiz", bot.name, *QUIZ)
    assert answer.code == 2 and "not text" in answer.err
    assert kept(bot)["pairs"] == 1


@pytest.fixture
def quiz(bot: RunFolder) -> Quiz:
    return prepare_quiz(bot, QuizConfig(pairs=PAIRS), NEAR)


def test_rounds_with_other_weights_do_not_count(bot: RunFolder, quiz: Quiz) -> None:
    keep_round(bot, quiz, [1, 2])
    assert len(read_rounds(bot)) == 1
    tiny.scale_safetensors(bot.adapter / "adapter_model.safetensors", "base_model", 2.0)
    assert read_rounds(bot) == []
    with pytest.raises(BotError, match="trained anew meanwhile"):
        keep_round(bot, quiz, [1])
    keep_round(bot, prepare_quiz(bot, QuizConfig(pairs=PAIRS), NEAR), [1])
    assert [row.pairs for row in read_rounds(bot)] == [1]


def test_answers_wait_for_a_busy_bot(bot: RunFolder, quiz: Quiz) -> None:
    """Twenty answers must not be lost because a report runs when the last one comes."""
    held = threading.Event()

    def report() -> None:
        with bot.lock():
            held.set()
            time.sleep(0.5)

    other = threading.Thread(target=report)
    other.start()
    assert held.wait(10)
    assert keep_round(bot, quiz, [1]).pairs == 1
    other.join()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"rounds": [{"seed": 1}]}', '{"rounds": 3}', "{}"],
    ids=["cut", "list", "no counts", "no rounds", "empty"],
)
def test_damaged_rounds_are_told_before_anybody_answers(bot: RunFolder, text: str) -> None:
    bot.quiz.write_text(text, encoding="utf-8")
    answer = mynah("quiz", bot.name, *QUIZ)
    assert (answer.code, answer.out) == (2, "")
    assert "quiz.json is damaged" in answer.err and "Delete it" in answer.err


def test_made_of_other_posts_a_bot_forgets_its_rounds(
    bot: RunFolder, quiz: Quiz, small_archive: Path
) -> None:
    keep_round(bot, quiz, [1])
    mynah("fetch", small_archive, "--replace")
    assert not bot.quiz.exists()


def test_a_lock_is_not_waited_for_forever(bot: RunFolder) -> None:
    with bot.lock(), pytest.raises(BotBusy), bot.lock(0.05):
        pass


# Makes the terminal that it is on the one whose Ctrl-C it hears, and becomes the command.
ON_TERMINAL = """import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])"""


class Terminal:
    """A process on a terminal of its own: what it shows is read, what a person types is sent.

    Its end of the terminal stays open here as well, so that nothing it has shown is lost with it.
    """

    def __init__(self, *words: object) -> None:
        self.ours, self.its = os.openpty()
        os.set_blocking(self.ours, False)  # Ctrl-C throws away what was there to be read
        command = [sys.executable, "-m", "mynah", *map(str, words)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, *command],
            stdin=self.its,
            stdout=self.its,
            stderr=self.its,
            start_new_session=True,
        )
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.its)
        os.close(self.ours)

    def until(self, words: str, times: int = 1, seconds: float = 180.0) -> None:
        end = time.monotonic() + seconds
        while self.shown.count(words) < times:
            over = self.process.poll() is not None or time.monotonic() > end
            select.select([self.ours], [], [], 0 if over else 1)
            with contextlib.suppress(BlockingIOError):
                self.shown += os.read(self.ours, 65_536).decode(errors="replace")
                continue
            assert not over, f"{words!r} never came; there is:\n{self.shown}"

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a terminal of the Unix kind")
def test_on_a_terminal_control_c_keeps_what_was_answered(bot: RunFolder) -> None:
    with Terminal("quiz", bot.name, *QUIZ) as terminal:
        for number, keys in enumerate(["1\n", "2\n", "\x03"], start=1):
            terminal.until("Which one is real?", number)
            terminal.type(keys)
        terminal.until("Stopped.")
        assert terminal.process.wait(60) == 130
    assert "of 2 right" in terminal.shown and "Traceback" not in terminal.shown
    assert kept(bot)["pairs"] == 2
