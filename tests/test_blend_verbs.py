"""A blend of finished bots through every verb: it does what a bot does, or says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny
from hub_server import Hub
from mynah.avatars import keep_avatars
from mynah.blending import blend_bots
from mynah.card_metadata import voices
from mynah.config import STAGES, BlendConfig, DatasetConfig, TrainingConfig
from mynah.errors import BotError
from mynah.held_out import split_of_training
from mynah.lineage import check_lineage, first_broken
from mynah.lora import adapter_size
from mynah.model_stages import train_bot
from mynah.records import read_rows
from mynah.run_folder import RunFolder
from mynah.studio.bringing import what_is_there
from mynah.studio.desk import Studio, Wanted
from mynah.studio.foreman import Foreman
from mynah.studio.rights import Rights, session_id
from test_serve import alone, ask, running, texts
from tiny import mynah

NAME = "ferryclerk-mirrorclerk"
FEW = ("--max-tokens", 24, "--max-draws", 2)
NEAR = ("--copied-words", 99, "--copied-share", 9)  # tiny posts are made of the same sentences


@pytest.fixture(scope="module")
def made(two_bots: list[RunFolder]) -> Path:
    """Return a folder of two bots with avatars, and their blend. Copy it before changing it."""
    bots = two_bots[0].root.parent
    for each in two_bots:
        keep_avatars(each.avatars, {each.name: tiny.png()})
    blend_bots(bots, two_bots, BlendConfig(weights=(3, 1)))
    return bots


@pytest.fixture
def blend(made: Path, bots: Path) -> RunFolder:
    """Return a blend beside its bots, in this test's folder."""
    shutil.copytree(made, bots)
    assert (bots / NAME).is_dir()
    return RunFolder(bots / NAME)


def test_the_quiz_asks_for_both_voices(blend: RunFolder) -> None:
    answer = mynah("quiz", blend.name, "--pairs", 12, *NEAR, "--temperature", 1, "--json")
    assert answer.code == 0, answer.err
    held = {each.text: each.author for each in split_of_training(blend).held_out}
    shown = zip(answer.json["pairs"], answer.json["key"], strict=True)
    real = [(pair["first"], pair["second"])[int(key) - 1] for pair, key in shown]
    assert real and all(text in held for text in real)


def test_a_picture_has_both_faces_and_says_cyborg(blend: RunFolder) -> None:
    pytest.importorskip("typst", reason="the extra mynah[share] is not installed")
    assert len(list(blend.avatars.iterdir())) == len(voices(blend.read_run())) == 2
    assert mynah("say", blend.name, "-n", 3, *FEW).code == 0
    answer = mynah("share", blend.name, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["kind"] == "CYBORG"
    assert "@ferryclerk-mirrorclerk" in answer.json["description"]
    page = blend.preview_page.read_text("utf-8")
    assert "CYBORG" in page and blend.preview.read_bytes().startswith(b"\x89PNG")


def test_a_table_and_a_map_leave_it_out_beside_its_bots(blend: RunFolder) -> None:
    """All its held-out posts are theirs: with a blend in the folder neither once did anything."""
    for words in (("who", "--table", "--posts", 2), ("map", "--posts", 2)):
        answer = mynah(*words, "--json")
        assert answer.code == 0, answer.err
        told = mynah(*words)
        said = " ".join(told.err.split())
        assert f"'{NAME}' is left out: it is a blend, and its posts are those of" in said
    assert [each["bot"] for each in answer.json["bots"]] == ["ferryclerk", "mirrorclerk"]
    shutil.rmtree(blend.root.parent / "ferryclerk")
    shutil.rmtree(blend.root.parent / "mirrorclerk")
    assert mynah("map").code == 2  # one bot alone is no map
    everybody = mynah("who", "My dream is a queue", "--json").json
    assert [each["bot"] for each in everybody["bots"]] == [NAME]


@pytest.mark.parametrize("form", ["adapter", "transformers", "gguf", "ollama"])
def test_every_export_names_its_bots(blend: RunFolder, form: str) -> None:
    answer = mynah("export", blend.name, "--format", form, "--json")
    assert answer.code == 0, answer.err
    target = Path(answer.json["folder"])
    card = " ".join((target / "README.md").read_text("utf-8").split())
    assert "75 % ferryclerk and 25 % mirrorclerk" in card and "CYBORG" in card
    texts = {row["text"] for row in read_rows(blend.posts)}
    for file in target.rglob("*"):
        words = file.read_text("utf-8") if file.suffix in (".json", ".md") else ""
        assert file.name != "posts.jsonl" and not [each for each in texts if each in words]


def test_what_goes_up_comes_back_and_talks(blend: RunFolder, hub: Hub) -> None:
    answer = mynah("push", blend.name, "--json")
    assert answer.code == 0, answer.err
    files = hub.repos[f"ada/{NAME}"].files
    assert not [name for name in files if "parents" in name or name.endswith("s.jsonl")]
    shutil.rmtree(blend.root)
    assert mynah("pull", f"ada/{NAME}").code == 0
    card = " ".join(blend.card.read_text("utf-8").split())
    assert "75 % ferryclerk and 25 % mirrorclerk" in card
    said = mynah("say", NAME, "The", "-n", 1, *FEW, "--json")
    assert said.code == 0 and said.json["samples"][0]["text"].startswith("The"), said.err


def test_the_service_lets_it_answer_among_its_bots(blend: RunFolder) -> None:
    """Its adapter is as wide as theirs together, and one batch holds all three."""
    names = ("ferryclerk", NAME, "mirrorclerk")
    with running(blend.root.parent) as (client, service):
        assert [name for name, _ in service.shelf.names()] == list(names)
        for name in names:
            said = texts(ask(client, name, prompt="The", n=2, temperature=0, echo=True))
            folder = RunFolder(blend.root.parent / name)
            assert sorted(said) == sorted(alone(folder, "The", n=2, temperature=0))


def test_a_bot_may_begin_from_it(blend: RunFolder, tiny_base: Path) -> None:
    bot = RunFolder(blend.root.parent / "ferryclerk")
    rank = adapter_size(blend.adapter)[0]
    nothing = {"learning_rate": 1e-12, "epochs": 0.1}  # what is left is the blend's adapter
    train = TrainingConfig(base=str(tiny_base), rank=rank, flock=NAME, **nothing)
    train_bot(bot, train, DatasetConfig(max_post_tokens=64))
    layer = "model.layers.0.self_attn.q_proj"
    own, theirs = (tiny.adapter_product(each.adapter, layer) for each in (bot, blend))
    assert np.allclose(own, theirs * train.flock_share, atol=1e-2 * np.abs(theirs).max())
    row = bot.stage_record("train")["result"]["flock"]
    assert (row["name"], row["accounts"]) == (NAME, ["ferryclerk", "mirrorclerk"])


def test_the_studio_shows_it_and_does_not_train_it(blend: RunFolder) -> None:
    """It once asked a blend for the file that its posts were read from, and broke off."""
    bots, me = blend.root.parent, session_id("a" * 40)
    foreman = Foreman(bots / ".studio")
    try:
        settings = {stage: kind() for stage, kind in STAGES.items()}
        studio = Studio(Rights(bots, local=True), foreman, settings)
        gallery = studio.gallery(me)
        assert "CYBORG" in gallery and "@ferryclerk @mirrorclerk" in gallery
        there = studio.there(me, NAME)
        assert there["origin"] == "blended of 75 % ferryclerk and 25 % mirrorclerk"
        shown = studio.counts(me, there)
        assert "blended of 75 % ferryclerk" in shown and "@mirrorclerk" in shown
        assert "Train those, and blend anew" in studio.progress(me, NAME)
        with pytest.raises(BotError, match="is a blend of 'ferryclerk' and 'mirrorclerk'"):
            studio.train(me, NAME, Wanted(effort="quick", consent=True))
    finally:
        foreman.close()
    alone = what_is_there(RunFolder(bots / "ferryclerk"))
    assert alone["origin"].startswith("read as x-archive")


def test_posts_fetched_in_its_place_are_no_blend_any_more(
    blend: RunFolder, small_archive: Path
) -> None:
    assert mynah("fetch", small_archive, "--name", NAME, "--replace").code == 0
    assert not (blend.root / "parents").exists()
    assert mynah("clean", NAME).code == 0
    assert first_broken(check_lineage(blend)) is None


def test_there_is_no_earlier_version_of_it(blend: RunFolder) -> None:
    answer = mynah("rollback", blend.name)
    assert answer.code == 2 and "is a blend of 'ferryclerk' and 'mirrorclerk'" in answer.err
    assert "Run mynah rollback ferryclerk, then: mynah blend" in " ".join(answer.err.split())
