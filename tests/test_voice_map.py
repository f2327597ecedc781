"""A map of voices: distances by hand, places, groups, telling words, and what is remembered."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mynah.config import MapConfig
from mynah.errors import SettingsError
from mynah.map_page import map_text, stress_words
from mynah.map_stage import map_bots
from mynah.run_folder import RunFolder, read_json
from mynah.telling_words import telling_words
from mynah.voice_map import VoiceMap, lay_out
from tiny import mynah


def laid_out(whole: list[list[float]]) -> VoiceMap:
    """Return the map of bots that need so many bits per byte for everybody's post of ten bytes."""
    names = [f"bot{at}" for at in range(len(whole))]
    posts = [["ten bytes!", "ten again."] for _ in whole]
    bits = [[[10 * cost, 10 * cost] for cost in row] for row in whole]
    return lay_out(names, "b", posts, bits, seed=0)


def test_a_distance_is_what_it_costs_to_be_read_by_the_other() -> None:
    # bot0 needs 0.5 more than bot1 for bot1's posts, bot1 0.3 more than bot0 for bot0's.
    found = laid_out([[1.0, 2.0], [1.3, 1.5]])
    [distance] = found.distances
    assert distance.value == pytest.approx((0.5 + 0.3) / 2)
    assert distance.interval == pytest.approx((0.4, 0.4))  # all posts cost the same
    assert np.ptp(found.places[:, 0]) == pytest.approx(0.4) and not found.places[:, 1].any()
    assert [group.bots for group in found.groups] == [(0,), (1,)]
    assert found.meaning() == "bot0 and bot1 are 0.400 bits per byte apart."


def test_a_distance_does_not_depend_on_who_is_named_first() -> None:
    whole = [[1.0, 2.0, 1.8], [1.3, 1.5, 1.9], [1.6, 2.2, 1.1]]
    order = [2, 0, 1]
    turned = [[whole[i][j] for j in order] for i in order]
    one = {frozenset((d.first, d.second)): d.value for d in laid_out(whole).distances}
    two = {
        frozenset((order[d.first], order[d.second])): d.value for d in laid_out(turned).distances
    }
    assert one == pytest.approx(two)


def test_four_corners_of_a_square_are_drawn_as_they_are() -> None:
    corners = np.array([[0, 0], [0, 0.3], [0.4, 0.3], [0.4, 0]])
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    found = laid_out((1 + apart).tolist())
    drawn = np.linalg.norm(found.places[:, None] - found.places[None], axis=2)
    assert drawn == pytest.approx(apart, abs=1e-2)
    assert found.stress < 0.01
    assert "off by 0 % on the whole" in stress_words(found.stress)
    again = laid_out((1 + apart).tolist())
    assert np.array_equal(found.places, again.places)


def test_voices_that_are_near_each_other_are_a_group() -> None:
    apart = np.full((5, 5), 0.9)
    for near in ([0, 3], [1, 2, 4]):
        for i, j in itertools.product(near, near):
            apart[i, j] = 0.1 if i != j else 0
    found = laid_out((1 + apart).tolist())
    assert [group.bots for group in found.groups] == [(1, 2, 4), (0, 3)]
    assert [found.group_of(at) for at in range(5)] == [1, 0, 0, 1, 0]


def test_chance_may_bring_a_distance_below_zero_and_the_plane_bears_it() -> None:
    found = laid_out([[1.0, 1.0, 2.0], [0.9, 1.0, 2.0], [2.0, 2.0, 1.0]])
    assert found.distances[0].value == pytest.approx(-0.05)
    assert np.linalg.norm(found.places[0] - found.places[1]) == pytest.approx(0, abs=0.02)
    same = laid_out([[1.0] * 3] * 3)
    assert not same.places.any() and same.stress == 0


def test_far_too_many_sides_for_a_plane_are_owned_up_to() -> None:
    found = laid_out((2 - np.eye(12)).tolist())  # all equally far from each other
    assert found.stress > 0.2
    assert "trust the table" in stress_words(found.stress)
    assert "trust the table" in map_text(found)


SEA = [f"the ferry and the tide {number} again" for number in range(40)]
TOWN = [f"the tram and the queue {number} again" for number in range(40)]


def test_words_tell_groups_apart_and_not_what_all_say() -> None:
    sea, town = telling_words([SEA, TOWN], 5)
    assert (set(sea), set(town)) == ({"ferry", "tide"}, {"tram", "queue"})
    assert telling_words([SEA, TOWN], 1) == [[sea[0]], [town[0]]]
    assert telling_words([SEA, SEA], 5) == [[], []]
    assert telling_words([["!!", "..."], ["?"]], 5) == [[], []]


def test_shouting_a_word_makes_it_no_name() -> None:
    loud = [*SEA, "horn " * 500]
    assert "horn" not in telling_words([loud, TOWN], 9)[0]


@pytest.mark.parametrize(
    "private",
    [
        "write to rosalind@harbour.example today",
        "ring +44 20 7946 0958 today",
        "@rosalind_harbour says so today",
        "look at https://harbour.example/rosalind today",
        "look at harbour.example today",
        "all of #rosalindharbour today",
        "pay to GB82 WEST 1234 5698 7654 32 today",
    ],
)
def test_a_name_on_a_map_is_nothing_private(private: str) -> None:
    [words, _] = telling_words([[private] * 40, TOWN], 50)
    assert "today" in words
    assert not {each for each in words if "rosalind" in each or "harbour" in each or "west" in each}
    assert not {each for each in words if "example" in each or any(map(str.isdigit, each))}


def test_what_was_said_twice_names_nobody() -> None:
    assert "rosalind" not in telling_words([[*SEA, "rosalind", "rosalind"], TOWN], 50)[0]


def test_bots_are_mapped_and_asked_only_once(bot: RunFolder, mirror: RunFolder, bots: Path) -> None:
    first = map_bots(bots, [bot, mirror], MapConfig(posts=5))
    assert first.measured == 20  # ten posts under two bots
    assert first.map.bots == (bot.name, mirror.name) and first.map.posts == (5, 5)
    assert first.map.distances[0].value > 0.1
    own, other = first.map.bits_per_byte[0]
    assert own < other
    again = map_bots(bots, [mirror, bot], MapConfig(posts=5))
    assert again.measured == 0
    assert again.map.distances[0].value == pytest.approx(first.map.distances[0].value)
    more = map_bots(bots, [bot, mirror], MapConfig(posts=6))
    assert more.measured == 4
    assert {path.name for path in bots.glob("map.*")} == {"map.html", "map.png"}


def test_what_is_remembered_is_no_text_and_may_be_damaged(
    bot: RunFolder, mirror: RunFolder, bots: Path
) -> None:
    map_bots(bots, [bot, mirror], MapConfig(posts=3))
    files = sorted((bots / ".map").glob("*.json"))
    assert len(files) == 2
    for file in files:
        assert all(len(mark) == 64 and bits > 0 for mark, bits in read_json(file).items())
    files[0].write_text("{", encoding="utf-8")
    assert map_bots(bots, [bot, mirror], MapConfig(posts=3)).measured == 6


def test_what_no_map_has_used_for_long_is_forgotten(
    bot: RunFolder, mirror: RunFolder, bots: Path
) -> None:
    """Nothing once took it away: of every bot that had been there hashes of its posts were left."""
    memory = bots / ".map"
    map_bots(bots, [bot, mirror], MapConfig(posts=3))
    gone, young = memory / f"{'0' * 64}.json", memory / f"{'1' * 64}.json"
    half = memory / f".{'2' * 64}.json.killed"
    for file in (gone, young, half):
        file.write_text("{}", "utf-8")
    for file in memory.iterdir():
        if file != young:
            os.utime(file, (1, 1))
    assert map_bots(bots, [bot, mirror], MapConfig(posts=3)).measured == 0  # in use, however old
    assert young.exists() and not gone.exists() and not half.exists()
    assert len(list(memory.iterdir())) == 3


def test_the_page_holds_all_it_shows_and_no_post(bot: RunFolder, mirror: RunFolder) -> None:
    answer = mynah("map", "--posts", 4)
    assert answer.code == 0, answer.err
    assert "ferryclerk and mirrorclerk are" in answer.out and "bits per byte apart" in answer.out
    page = (bot.root.parent / "map.html").read_text(encoding="utf-8")
    assert "<svg" in page and "ferryclerk" in page
    assert "<script" not in page and 'src="' not in page and 'href="http' not in page
    posts = [json.loads(line)["text"] for line in bot.cleaned.read_text("utf-8").splitlines()]
    assert not [post for post in posts if post in page]
    assert (bot.root.parent / "map.png").read_bytes().startswith(b"\x89PNG")


def test_files_of_a_map_go_where_they_are_wanted(bot: RunFolder, mirror: RunFolder) -> None:
    row = mynah("map", mirror.name, bot.name, "--posts", 2, "--output", "seen", "--json").json
    assert (row["page"], row["picture"]) == ("seen/map.html", "seen/map.png")
    assert [each["bot"] for each in row["bots"]] == [mirror.name, bot.name]
    assert Path("seen/map.html").exists() and not (bot.root.parent / "map.html").exists()


def test_bots_of_two_bases_get_no_map(
    bot: RunFolder, mirror: RunFolder, tiny_gpt2_bot: RunFolder, bots: Path
) -> None:
    shutil.copytree(tiny_gpt2_bot.root, bots / "other-base")
    answer = mynah("map")
    assert (answer.code, answer.out) == (2, "")
    assert "of 2 different bases" in answer.err
    assert f"mynah map {bot.name} {mirror.name}" in answer.err


def test_a_map_needs_two_bots(bot: RunFolder, bots: Path) -> None:
    with pytest.raises(SettingsError, match="two trained bots or more, and there is 1"):
        map_bots(bots, [bot], MapConfig())
