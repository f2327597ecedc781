"""A voice over months: what chance explains, held-out posts alone, and posts without dates."""

from __future__ import annotations

import json
import random
from pathlib import Path

import tiny
from mynah.blending import blend_bots
from mynah.config import BlendConfig, DriftConfig
from mynah.drift import Drift, HeldMonth, compare_months, cost_months
from mynah.drift_page import drift_text, month_rows, notes
from mynah.drift_stage import draw_drift, has_months
from mynah.held_out import split_of_training
from mynah.run_folder import RunFolder
from mynah.versions import keep_version
from tiny import SENTENCES, mynah

CONFIG = DriftConfig()


def months_of(*counts: int) -> list[str]:
    return [f"2023-{at + 1:02}" for at, count in enumerate(counts) for _ in range(count)]


def held_of(bot: RunFolder, config: DriftConfig = CONFIG) -> tuple[HeldMonth, ...]:
    return draw_drift(bot, config).drifts[0].held


def mixed(count: int, seed: int = 0) -> list[str]:
    """Return posts of one voice: words of all sentences, in any order."""
    dice, words = random.Random(seed), " ".join(SENTENCES).split()
    return [" ".join(dice.sample(words, 12)) for _ in range(count)]


def test_a_month_with_a_new_word_stands_out_and_the_others_do_not() -> None:
    new = [f"hurrah {text} hurrah" for text in mixed(40, seed=1)]
    found = compare_months([*mixed(360), *new], months_of(*[40] * 10), [False] * 400, CONFIG)
    assert [each.stands_out for each in found] == [False] * 9 + [True]
    assert found[9].distance == max(each.distance or 0 for each in found)
    drift = Drift(voice="b", months=found, held=(), undated=0)
    assert "; 2023-10 stands out." in drift.meaning()


def test_months_of_one_voice_are_not_unusual() -> None:
    found = compare_months(mixed(400), months_of(*[40] * 10), [False] * 400, CONFIG)
    assert sum(each.beyond_chance for each in found) <= 1
    drift = Drift(voice="b", months=(), held=(), undated=0)
    assert drift.meaning() == "No month has 10 posts, so none can be compared with the whole."


def test_chance_alone_makes_few_posts_look_far_away() -> None:
    few, many = compare_months(mixed(52), months_of(12, 40), [True] * 52, CONFIG)
    assert few.distance and many.distance and few.distance > many.distance
    assert few.chance and many.chance and few.chance[1] > many.chance[1]
    assert not few.beyond_chance and not many.beyond_chance


def test_too_few_posts_of_a_month_are_counted_and_not_compared() -> None:
    found = compare_months(mixed(49), months_of(9, 40), [False] * 45 + [True] * 4, CONFIG)
    assert (found[0].posts, found[0].distance, found[0].chance) == (9, None, None)
    assert (found[1].posts, found[1].held_out) == (40, 4)
    drift = Drift(voice="b", months=found, held=(), undated=3)
    assert list(notes(drift)) == [
        "Without a date, and left out: 3 of the posts.",
        "One month with fewer than 10 posts is not compared.",
        "One month with fewer than 5 held-out posts is not judged by bits.",
    ]
    assert next(iter(month_rows(drift))) == ("2023-01", "9", "0", "", "", "")


def test_bits_per_byte_of_a_month_are_worked_out_by_hand() -> None:
    texts = ["ten bytes!"] * 5 + ["é"] * 6  # é is two bytes
    bits = {"base": [30.0] * 5 + [8.0] * 6, "bot": [20.0] * 5 + [1.0, 3.0] * 3}
    first, second = cost_months(texts, months_of(5, 6), bits, CONFIG)
    assert (first.month, first.posts) == ("2023-01", 5)
    assert (first.costs["base"].value, first.costs["bot"].value) == (3.0, 2.0)
    assert first.costs["bot"].interval == (2.0, 2.0)
    assert second.costs["bot"].value == 1.0
    low, high = second.costs["bot"].interval or (0, 0)
    assert 0.5 <= low < 1 < high <= 1.5
    assert cost_months(texts, months_of(4, 4, 3), bits, CONFIG) == ()


def test_only_held_out_posts_are_weighed(bot: RunFolder) -> None:
    drawn = draw_drift(bot, CONFIG)
    [drift] = drawn.drifts
    held = len(split_of_training(bot).held_out)
    assert sum(each.held_out for each in drift.months) == held
    cleaned = len(bot.cleaned.read_text("utf-8").splitlines())
    assert sum(each.posts for each in drift.months) == cleaned
    assert sum(each.posts for each in drift.held) <= held
    last = drift.held[-1]
    assert last.costs["bot"].value < last.costs["base"].value
    page = drawn.page.read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "<script" not in page and 'src="' not in page
    assert "which neither the bot nor an earlier version" in page
    assert drawn.picture.read_bytes().startswith(b"\x89PNG")
    posts = [json.loads(line)["text"] for line in bot.cleaned.read_text("utf-8").splitlines()]
    assert not [post for post in posts if post in page]


def test_an_earlier_version_is_set_beside_the_bot(bot: RunFolder) -> None:
    with bot.lock():
        keep_version(bot)
    held = held_of(bot)
    assert held and list(held[0].costs) == ["base", "bot", "version 1"]
    assert held[0].costs["version 1"] == held[0].costs["bot"]  # nothing has changed since
    assert list(held_of(bot, DriftConfig(versions=0))[0].costs) == ["base", "bot"]


def test_a_version_that_has_learned_from_the_posts_is_no_witness(bot: RunFolder) -> None:
    with bot.lock():
        keep_version(bot)
    version = RunFolder(bot.root / "versions" / "0001")
    run = json.loads(version.run.read_text("utf-8"))
    run["stages"]["train"]["config"]["dataset"]["held_out"] = 0.01
    version.run.unlink()  # a hard link to the bot's own
    version.run.write_text(json.dumps(run), encoding="utf-8")
    assert list(held_of(bot)[0].costs) == ["base", "bot"]


def alone(bot: RunFolder, mirror: RunFolder) -> dict[str, list[tuple[str, int, float | None]]]:
    """Return the distances of the months of two bots, each asked on its own."""
    found = {}
    for each in (bot, mirror):
        [drift] = draw_drift(each, CONFIG).drifts
        found[drift.voice] = distances_of(drift)
    return found


def distances_of(drift: Drift) -> list[tuple[str, int, float | None]]:
    return [(each.month, each.posts, each.distance) for each in drift.months]


def test_a_blend_has_each_voice_on_its_own(bot: RunFolder, mirror: RunFolder) -> None:
    """Its months once held the posts of all its accounts: they told who was busy when."""
    blend = blend_bots(bot.root.parent, [bot, mirror], BlendConfig())
    drawn = draw_drift(blend, CONFIG)
    assert {each.voice: distances_of(each) for each in drawn.drifts} == alone(bot, mirror)
    for each in drawn.drifts:
        own = sum(one.author == each.voice for one in split_of_training(blend).held_out)
        assert sum(month.held_out for month in each.months) == own
        assert all(set(month.costs) == {"base", "bot"} for month in each.held)
    page = drawn.page.read_text("utf-8")
    assert page.count("<svg") == 4 and "@ferryclerk: Months" in page and "@mirrorclerk: " in page
    answer = mynah("drift", blend.name)
    assert answer.code == 0 and "@mirrorclerk" in answer.out
    assert f"mynah report {blend.name}" in answer.err


def test_a_bot_trained_on_two_accounts_has_each_voice_on_its_own(
    bot: RunFolder, mirror: RunFolder, tiny_base: Path, bots: Path, tmp_path: Path
) -> None:
    rows = [{"at": "2024-01-02T10:00:00Z", "text": text} for text in mixed(30)]
    short = tmp_path / "short.jsonl"
    short.write_text("\n".join(json.dumps({**row, "author": "short"}) for row in rows), "utf-8")
    archives = [bot.stage_record("fetch"), mirror.stage_record("fetch")]
    sources = [spec for record in archives for spec in record["sources"]]
    quick = ("--base", tiny_base, "--max-post-tokens", 32, "--epochs", 0.2, "--tracker", "none")
    assert mynah("fetch", *sources, short, "--name", "both").code == 0
    assert mynah("clean", "both").code == 0
    assert mynah("train", "both", *quick).code == 0
    answer = mynah("drift", "both", "--json")
    assert answer.code == 0, answer.err
    voices = [each["voice"] for each in answer.json["voices"]]
    assert (voices, answer.json["left_out"]) == (["ferryclerk", "mirrorclerk"], ["short"])
    for each in draw_drift(RunFolder(bots / "both"), CONFIG).drifts:
        assert distances_of(each) == alone(bot, mirror)[each.voice]
    fewer = mynah("drift", "both", "--voices", 1)
    assert "Not followed, for posts of one month alone or fewer of them: @mirrorclerk" in fewer.out


def test_drift_is_shown_in_the_terminal(bot: RunFolder) -> None:
    answer = mynah("drift", bot.name)
    assert answer.code == 0, answer.err
    assert "2023-01" in answer.out and "By chance" in answer.out
    assert "held-out posts, which none of these has learned from" in answer.out
    assert "drift.html" in answer.err


def test_posts_without_dates_have_no_months(tiny_base: Path, bots: Path) -> None:
    lines = "\n".join(row["text"] for row in tiny.account_rows())
    Path("said.txt").write_text(lines, encoding="utf-8")
    quick = ("--base", tiny_base, "--max-post-tokens", 32, "--epochs", 0.2, "--tracker", "none")
    assert mynah("fetch", "said.txt", "--name", "said").code == 0
    assert mynah("clean", "said").code == 0
    assert mynah("train", "said", *quick).code == 0
    assert not has_months(RunFolder(bots / "said"))
    answer = mynah("drift", "said")
    assert (answer.code, answer.out) == (2, "")
    assert "No post of bot 'said' has a date, so there are no months to compare." in answer.err


def test_an_update_that_is_kept_draws_the_drift_anew(bot: RunFolder, tmp_path: Path) -> None:
    newer = tiny.write_archive(tmp_path / "ferry-later.zip", tiny.account_rows(170))
    answer = mynah("update", bot.name, newer, "--samples", 1, "--judged", 20, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["kept"] is (bot.root / "drift.html").exists()
    assert answer.json["kept"]
    assert "version 1" in drift_text(bot.name, draw_drift(bot, CONFIG).drifts)
