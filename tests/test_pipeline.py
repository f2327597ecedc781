"""The whole story on a tiny base: a bot, a blend, and the same again."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from conftest import tiny_recipe
from mynah.config import DatasetConfig
from mynah.errors import SettingsError
from mynah.pipeline import Made, Recipe, make_bot
from mynah.records import read_rows
from mynah.run_folder import RunFolder, hash_tree


def made(bots: Path, sources: list[Path], recipe: Recipe, **more: object) -> Made:
    return make_bot(bots, [str(source) for source in sources], recipe, **more)  # type: ignore[arg-type]


def test_a_finished_bot_has_every_file_and_its_lineage_holds(tiny_bot: RunFolder) -> None:
    names = {path.name for path in tiny_bot.root.iterdir()}
    assert names == {
        "run.json",
        "posts.jsonl",
        "cleaned.jsonl",
        "dropped.jsonl",
        "adapter",
        "report.json",
        "report.html",
        "samples.jsonl",
        "README.md",
        "pipeline.svg",
        ".lock",
    }
    stages = tiny_bot.read_run()["stages"]
    assert list(stages) == ["fetch", "clean", "train", "report", "say", "card"]
    for record in stages.values():
        for name, digest in record["outputs"].items():
            assert hash_tree(tiny_bot.root / name) == digest
    assert stages["clean"]["inputs"]["posts.jsonl"] == stages["fetch"]["outputs"]["posts.jsonl"]
    assert stages["train"]["inputs"]["cleaned.jsonl"] == stages["clean"]["outputs"]["cleaned.jsonl"]
    assert stages["report"]["inputs"]["adapter"] == stages["train"]["outputs"]["adapter"]


def test_the_card_tells_what_the_files_say(tiny_bot: RunFolder) -> None:
    card = tiny_bot.card.read_text(encoding="utf-8")
    record = tiny_bot.stage_record("report")["result"]
    assert record["verdict"] in card
    assert f"{record['bits_per_byte']['bot']:.3f}" in card
    assert "Ferry Clerk" in card and "@ferryclerk" in card
    assert tiny_bot.stage_record("clean")["outputs"]["cleaned.jsonl"][:12] in card


def test_the_same_posts_and_settings_make_the_same_bot(
    bots: Path, small_archive: Path, tiny_base: Path
) -> None:
    recipe = tiny_recipe(tiny_base, epochs=0.5)
    first, second = (made(bots, [small_archive], recipe, name=name) for name in ("one", "two"))
    assert hash_tree(first.folder.adapter) == hash_tree(second.folder.adapter)
    assert first.samples == second.samples and first.report == second.report
    other = made(bots, [small_archive], tiny_recipe(tiny_base, epochs=0.5, seed=1), name="three")
    assert hash_tree(other.folder.adapter) != hash_tree(first.folder.adapter)


def test_a_blend_of_two_accounts_with_weights(
    bots: Path, small_archive: Path, tiny_base: Path, tmp_path: Path
) -> None:
    quiet = tiny.write_archive(
        tmp_path / "gull.zip",
        [
            {"at": row["at"], "text": f"Kraa {number}: {row['text'].swapcase()}"}
            for number, row in enumerate(tiny.account_rows(40))
        ],
        handle="Gull7",
    )
    seen: list[str] = []
    result = made(
        bots,
        [small_archive, quiet],
        tiny_recipe(tiny_base, epochs=0.5),
        on_cleaned=lambda folder: seen.append(folder.name),
    )
    folder = result.folder
    assert folder.name == "ferryclerk-gull7" == seen[0]
    counts = folder.stage_record("clean")["result"]["by_author"]
    assert {author: row["downloaded"] for author, row in counts.items()} == {
        "ferryclerk": 130,
        "Gull7": 40,
    }
    train = folder.stage_record("train")["result"]
    assert (train["posts"], train["held_out"]) == (117 + 36, 13 + 4)
    # Half a pass over 117 posts and 36 that are repeated to weigh the same.
    alone = RunFolder(bots / "alone")
    made(bots, [small_archive], tiny_recipe(tiny_base, epochs=0.5), name="alone")
    single = alone.stage_record("train")["result"]["tokens"]
    assert 1.6 * single < train["tokens"] < 2.6 * single
    heavy = Recipe(
        **{
            **vars(tiny_recipe(tiny_base, epochs=0.5)),
            "dataset": DatasetConfig(max_post_tokens=64, weights=(3.0, 1.0)),
        }
    )
    weighted = made(bots, [small_archive, quiet], heavy, name="heavy").folder
    fewer = weighted.stage_record("train")["result"]["tokens"]
    assert fewer < 0.8 * train["tokens"]
    assert weighted.stage_record("train")["config"]["dataset"]["weights"] == [3.0, 1.0]


def test_as_many_weights_as_accounts(bots: Path, small_archive: Path, tiny_base: Path) -> None:
    answer = tiny.mynah("make", small_archive, "--base", tiny_base, "--weights", "2,1")
    assert answer.code == 2
    assert "2 weights for 1 accounts (ferryclerk)." in answer.err


def test_nothing_is_begun_that_cannot_be_judged(
    bots: Path, small_archive: Path, tiny_base: Path
) -> None:
    recipe = Recipe(**{**vars(tiny_recipe(tiny_base)), "dataset": DatasetConfig(held_out=0)})
    with pytest.raises(SettingsError, match="held_out must be above 0"):
        made(bots, [small_archive], recipe)
    assert not bots.exists()


def test_samples_begin_with_the_prompt(bots: Path, small_archive: Path, tiny_base: Path) -> None:
    result = made(bots, [small_archive], tiny_recipe(tiny_base, epochs=0.2), prompt="The gull")
    assert all(sample.text.startswith("The gull") for sample in result.samples)
    rows = list(read_rows(result.folder.samples))
    assert [row["text"] for row in rows] == [sample.text for sample in result.samples]
