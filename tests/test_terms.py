"""Posts that a service gave under terms: where a bot of them may go."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hub_server import Hub
from mynah.blending import blend_bots
from mynah.config import BlendConfig, DatasetConfig, FetchConfig, TrainingConfig
from mynah.model_stages import train_bot
from mynah.run_folder import RunFolder, write_json
from mynah.stages import card_bot, fetch_posts
from mynah.terms import binding_terms
from tiny import Answer, mynah
from x_server import TOKEN, X, plain_posts, running_x

REPO = "ada/ferryclerk"
RIGHT = "--i-have-the-right-to"


@pytest.fixture
def consents(bots: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Return what a fetch over X's API writes into run.json."""
    monkeypatch.setenv("X_BEARER_TOKEN", TOKEN)
    with running_x(X(plain_posts(8))) as x:
        config = FetchConfig(x_api=x.web.url, i_have_the_right_to=True)
        folder = fetch_posts(bots, ["x:ferryclerk"], config, name="from-x")
    assert len(binding_terms(folder)) == 2
    return folder.read_run()["consents"]


def bind(bot: RunFolder, consents: list[dict]) -> None:
    write_json(bot.run, bot.read_run() | {"consents": consents})


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 2 and "Traceback" not in answer.err and answer.out == ""
    for word in words:
        assert word in " ".join(answer.err.split())


def test_a_bot_of_xs_api_goes_up_on_a_word_and_for_oneself_alone(
    bot: RunFolder, hub: Hub, consents: list[dict]
) -> None:
    bind(bot, consents)
    for words in ((), ("--dry-run",)):
        refused(
            mynah("push", bot.name, *words),
            "learned from x:ferryclerk",
            f"mynah push {bot.name} {RIGHT}",
        )
    for words in (("--public",), ("--public", RIGHT)):
        refused(mynah("push", bot.name, *words), "be published", "mynah make <archive.zip>")
    assert hub.repos == {}
    assert mynah("push", bot.name, RIGHT).code == 0
    assert hub.repos[REPO].private


def test_a_bot_that_began_from_such_a_flock_is_bound_as_well(
    bot: RunFolder, hub: Hub, bots: Path, consents: list[dict]
) -> None:
    run = bot.read_run()
    run["stages"]["train"]["config"]["flock"] = "from-x"
    write_json(bot.run, run)
    refused(mynah("push", bot.name, "--public"), "learned from x:ferryclerk")
    assert hub.repos == {}


def test_what_binds_a_flock_binds_its_bots_when_its_folder_is_gone(
    bot: RunFolder, mirror: RunFolder, hub: Hub, tiny_base: Path, consents: list[dict]
) -> None:
    """Only the flock's folder once knew: without it the bot went up for everybody to see."""
    flock = RunFolder(mirror.root.rename(mirror.root.with_name("flock")))
    bind(flock, consents)
    rank = flock.stage_record("train")["result"]["rank"]
    dataset = DatasetConfig(max_post_tokens=64)
    quick = TrainingConfig(base=str(tiny_base), epochs=0.1, rank=rank, flock="flock")
    train_bot(bot, quick, dataset)
    shutil.rmtree(flock.root)
    refused(mynah("push", bot.name, "--public"), "learned from x:ferryclerk", "be published")
    card_bot(bot)
    assert "may not be published" in " ".join(bot.card.read_text("utf-8").split())
    # The second generation: what learns on from that bot, as an update does.
    shutil.copytree(bot.root, bot.root.with_name("grown"))
    grown = RunFolder(bot.root.with_name("grown"))
    train_bot(grown, replace(quick, flock=bot.name), dataset)
    shutil.rmtree(bot.root)
    assert len(binding_terms(grown)) == 2


def test_what_binds_a_flock_binds_a_blend_of_its_bots(
    bot: RunFolder, mirror: RunFolder, consents: list[dict]
) -> None:
    run = mirror.read_run()
    run["stages"]["train"]["result"]["flock"] = {"name": "gone", "consents": consents}
    write_json(mirror.run, run)
    blend = blend_bots(bot.root.parent, [bot, mirror], BlendConfig())
    assert binding_terms(blend) == binding_terms(mirror) != ()
    refused(mynah("push", blend.name, "--public"), "learned from x:ferryclerk", "be published")


def test_an_export_and_the_card_repeat_the_terms(bot: RunFolder, consents: list[dict]) -> None:
    assert binding_terms(bot) == ()
    bind(bot, consents)
    done = mynah("export", bot.name)
    said = " ".join(done.err.split())
    assert done.code == 0 and "may not be published" in said and "24 hours" in said
    assert "may not be published" in (bot.model / "README.md").read_text(encoding="utf-8")
