"""A bot of finished bots: exactly their sum, told apart in the report, and as safe as they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mynah.blending import blend_bots, merged_counts, shares
from mynah.config import BlendConfig, DatasetConfig, TrainingConfig
from mynah.copying import CopyIndex
from mynah.errors import BotError, BotExists, MynahError, SettingsError, StageMissing
from mynah.held_out import split_of_training, voices_of_blend
from mynah.lineage import check_lineage, first_broken
from mynah.lora import adapter_size
from mynah.model_stages import train_bot
from mynah.parentage import parents_of
from mynah.records import read_rows
from mynah.run_folder import RunFolder, write_json
from mynah.stages import clean_posts
from tiny import adapter_product, mynah

LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")
FEW = ("--samples", 4, "--resamples", 50, "--max-tokens", 24, "--max-draws", 2)


@pytest.fixture(scope="module")
def made(two_bots: list[RunFolder]) -> RunFolder:
    """Return a blend beside its parents. Copy its folder before changing anything in it."""
    return blend_bots(two_bots[0].root.parent, two_bots, BlendConfig(weights=(7, 3)))


@pytest.fixture
def blend(made: RunFolder, bot: RunFolder, mirror: RunFolder) -> RunFolder:
    """Return a blend in this test's folder, beside its parents."""
    folder = RunFolder(bot.root.parent / made.name)
    shutil.copytree(made.root, folder.root)
    run = folder.read_run()
    run["stages"]["blend"]["folders"] = [str(bot.root), str(mirror.root)]
    write_json(folder.run, run)
    return folder


def test_a_blend_is_the_weighted_sum_of_what_its_bots_learned(made: RunFolder) -> None:
    beside = made.root.parent
    for layer in LAYERS:
        first, second = (
            adapter_product(beside / name / "adapter", layer)
            for name in ("ferryclerk", "mirrorclerk")
        )
        both = adapter_product(made.adapter, layer)
        off = np.abs(both - (0.7 * first + 0.3 * second)).max() / np.abs(both).max()
        assert off < 0.01  # bf16 has eight bits
    ranks = [adapter_size(beside / name / "adapter")[0] for name in ("ferryclerk", "mirrorclerk")]
    assert adapter_size(made.adapter)[0] == sum(ranks)


def test_a_blend_may_be_cut_to_the_size_of_one_bot(bot: RunFolder, mirror: RunFolder) -> None:
    rank, _ = adapter_size(bot.adapter)
    folder = blend_bots(bot.root.parent, [bot, mirror], BlendConfig(rank=rank), name="cut")
    assert adapter_size(folder.adapter)[0] == rank
    whole = blend_bots(bot.root.parent, [bot, mirror], BlendConfig(), name="whole")
    exact, cut = (adapter_product(each.adapter, LAYERS[0]) for each in (whole, folder))
    # Eckart and Young: nothing of that rank is nearer, so not half of each bot's best is lost.
    least = np.linalg.svd(exact, compute_uv=False)[rank:]
    off = np.linalg.norm(exact - cut)
    assert off == pytest.approx(np.sqrt((least**2).sum()), rel=0.05, abs=0.02)


def test_blending_is_quiet(bot: RunFolder, mirror: RunFolder) -> None:
    """A person once read a warning of one library about another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blend_bots(bot.root.parent, [bot, mirror], BlendConfig())


def test_a_blend_keeps_the_voices_apart(made: RunFolder) -> None:
    beside = made.root.parent
    parents = [RunFolder(beside / name) for name in ("ferryclerk", "mirrorclerk")]
    voices = voices_of_blend(made)
    assert [voice.train for voice in voices] == [split_of_training(one).train for one in parents]
    assert all(voice.held_out for voice in voices)
    parts = split_of_training(made)
    assert parts.held_out == voices[0].held_out + voices[1].held_out
    assert not {each.text for each in parts.held_out} & {each.text for each in parts.train}
    assert [(each.name, each.weight) for each in parents_of(made)] == [
        ("ferryclerk", 0.7),
        ("mirrorclerk", 0.3),
    ]


def test_a_blend_guards_the_posts_of_all_its_people(made: RunFolder) -> None:
    texts = [row["text"] for row in read_rows(made.cleaned)]
    for name in ("ferryclerk", "mirrorclerk"):
        own = list(read_rows(made.root.parent / name / "cleaned.jsonl"))
        index = CopyIndex(texts)
        assert own and all(index.overlap(row["text"]).same for row in own)


def test_what_the_people_allowed_is_inherited(bot: RunFolder, mirror: RunFolder) -> None:
    """Once for each line, however many of the bots have it."""
    shared = {"account": "both", "checks": [], "terms": ["Name the source."], "flags": []}
    own = {"account": "mirrorclerk", "checks": [], "terms": ["Ask again."], "flags": []}
    for folder, consents in ((bot, [shared]), (mirror, [shared, own])):
        write_json(folder.run, folder.read_run() | {"consents": consents})
    folder = blend_bots(bot.root.parent, [bot, mirror], BlendConfig())
    assert folder.read_run()["consents"] == [shared, own]
    card = folder.card.read_text("utf-8")
    assert card.count("Name the source.") == 1 and "Ask again." in card


def test_the_report_shows_how_much_of_each_voice_is_heard(blend: RunFolder) -> None:
    answer = mynah("report", blend.name, *FEW, "--tracker", "none", "--json")
    assert (answer.code, answer.err) == (0, "")
    [section] = [each for each in answer.json["sections"] if each["name"] == "voices"]
    figures = {each["name"]: each for each in section["figures"]}
    heard = [figures[f"heard_{name}"] for name in ("ferryclerk", "mirrorclerk")]
    assert sum(each["value"] for each in heard) == pytest.approx(1, abs=1e-3)
    for each, weight in zip(heard, (0.7, 0.3), strict=True):
        low, high = each["interval"]
        assert 0 <= low <= each["value"] <= high <= 1
        assert each["details"]["weight"] == pytest.approx(weight)
        assert each["ceiling"] > 0.5  # the bots know their own people's posts
    for name in ("ferryclerk", "mirrorclerk"):
        assert figures[f"alone_{name}"]["value"] > figures[f"gain_{name}"]["value"]
    assert "Its bots hear in its posts:" in answer.json["verdict"]
    assert "How much of each voice is heard" in blend.page.read_text("utf-8")
    assert mynah("card", blend.name).code == 0
    assert "ferryclerk is heard" in blend.card.read_text("utf-8")


def test_a_bot_that_was_trained_has_no_such_section(bot: RunFolder) -> None:
    report = json.loads(bot.report.read_text("utf-8"))
    assert "voices" not in [section["name"] for section in report["sections"]]


def test_the_card_says_that_nothing_was_trained(made: RunFolder) -> None:
    card = made.card.read_text("utf-8")
    assert "made without training: 70 % ferryclerk and 30 % mirrorclerk" in " ".join(card.split())
    assert "CYBORG" in card and "@mirrorclerk" in card
    assert "Training took" not in card and "has not been trained" not in card


def test_a_blend_does_what_a_bot_does(blend: RunFolder, tmp_path: Path) -> None:
    for words in (
        ("say", blend.name, "-n", 2, "--max-tokens", 16),
        ("who", "My dream is", "ferryclerk", "mirrorclerk", blend.name),
        ("export", blend.name, "--format", "adapter"),
        ("export", blend.name, "--output", tmp_path / "whole"),
        ("push", blend.name, "--dry-run"),
        ("card", blend.name),
        ("list",),
        ("lineage", blend.name),
    ):
        answer = mynah(*words, "--json")
        assert answer.code == 0, (words, answer.err)
    assert first_broken(check_lineage(blend)) is None


@pytest.mark.parametrize("verb", ["train", "clean", "update", "sweep"])
def test_what_means_nothing_is_refused(blend: RunFolder, verb: str) -> None:
    before = blend.run.read_bytes()
    answer = mynah(verb, blend.name)
    assert answer.code == 2 and "is a blend of 'ferryclerk' and 'mirrorclerk'" in answer.err
    assert "mynah blend ferryclerk mirrorclerk --weights 0.7,0.3 --name" in answer.err
    assert blend.run.read_bytes() == before


def test_lineage_names_the_parents(blend: RunFolder, bot: RunFolder, mirror: RunFolder) -> None:
    links = {link.name: link for link in check_lineage(blend) if link.stage == "parent"}
    assert [link.status for link in links.values()] == ["ok", "ok"]
    assert links["ferryclerk"].sha256 == bot.stage_record("train")["outputs"]["adapter"]
    shutil.rmtree(mirror.root)  # put away: the blend has all that it needs
    assert first_broken(check_lineage(blend)) is None
    weights = bot.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    broken = first_broken(check_lineage(blend))
    assert broken is not None and (broken.name, broken.status) == ("ferryclerk", "stale")
    assert broken.fix.startswith("mynah blend ferryclerk mirrorclerk")


def test_a_blend_whose_insides_were_changed_is_not_judged(blend: RunFolder) -> None:
    shutil.rmtree(blend.root / "parents" / "mirrorclerk")
    answer = mynah("report", blend.name, *FEW, "--tracker", "none")
    assert answer.code == 2 and "does not hold 'mirrorclerk' any more" in answer.err
    with blend.cleaned.open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(BotError, match="not those that it was made with"):
        split_of_training(blend)


def spoil(how: str, bot: RunFolder, mirror: RunFolder, gpt2: RunFolder) -> list[RunFolder]:
    """Make something wrong with two bots; return what is to be blended."""
    if how == "never trained":
        shutil.rmtree(mirror.adapter)
    if how == "cut short":
        file = mirror.adapter / "adapter_model.safetensors"
        file.write_bytes(file.read_bytes()[:100])
    if how == "cleaned anew":
        mirror.cleaned.write_text(mirror.cleaned.read_text("utf-8") + "\n", "utf-8")
    if how == "twice":
        return [bot, bot]
    if how == "copied":
        shutil.copytree(bot.root, bot.root.with_name("again"))
        return [bot, RunFolder(bot.root.with_name("again"))]
    if how == "another base":
        return [bot, gpt2]
    return [bot] if how == "one alone" else [bot, mirror]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("never trained", StageMissing, "has no adapter yet"),
        ("cut short", BotError, "not as its training wrote it"),
        ("cleaned anew", StageMissing, "cleaned anew since"),
        ("twice", SettingsError, "the same name"),
        ("copied", SettingsError, "adapters do not differ"),
        ("another base", SettingsError, "only bots of one base blend"),
        ("one alone", SettingsError, "two bots or more"),
    ],
)
def test_what_cannot_be_blended_is_refused(
    how: str,
    kind: type[MynahError],
    words: str,
    bot: RunFolder,
    mirror: RunFolder,
    tiny_gpt2_bot: RunFolder,
    tmp_path: Path,
) -> None:
    gpt2 = RunFolder(tmp_path / "other")
    shutil.copytree(tiny_gpt2_bot.root, gpt2.root)
    parents = spoil(how, bot, mirror, gpt2)
    with pytest.raises(kind, match=words) as refused:
        blend_bots(bot.root.parent, parents, BlendConfig(), name="new")
    assert refused.value.hint
    left = [path.name for path in bot.root.parent.iterdir()]
    assert not [name for name in left if name.startswith((".blend", "new"))]


@pytest.mark.parametrize(
    "weights", [(1.0,), (1.0, 2.0, 3.0), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))]
)
def test_weights_that_do_not_fit(weights: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError):
        shares(["a", "b"], weights)


def test_weights_are_proportions() -> None:
    assert shares(["a", "b"], (7, 3)) == shares(["a", "b"], (0.7, 0.3)) == [0.7, 0.3]
    assert shares(["a", "b", "c", "d"], None) == [0.25] * 4


def test_a_name_that_is_taken(blend: RunFolder, bot: RunFolder, mirror: RunFolder) -> None:
    with pytest.raises(BotExists):
        blend_bots(bot.root.parent, [bot, mirror], BlendConfig())
    (blend.root / "report.json").write_text("{}", "utf-8")
    blend_bots(bot.root.parent, [bot, mirror], BlendConfig(weights=(1, 3)), replace=True)
    assert [each.weight for each in parents_of(blend)] == [0.25, 0.75]
    assert not blend.report.exists()  # it told of another blend
    with pytest.raises(SettingsError, match="cannot take the place"):
        blend_bots(bot.root.parent, [bot, mirror], BlendConfig(), name=bot.name, replace=True)


def test_a_blend_is_not_blended_again(blend: RunFolder, bot: RunFolder) -> None:
    with pytest.raises(BotError, match="is a blend itself"):
        blend_bots(bot.root.parent, [blend, bot], BlendConfig(), name="more")


def test_two_bots_of_one_account_have_nothing_to_be_told_apart_by(
    bot: RunFolder, tiny_base: Path
) -> None:
    other = RunFolder(bot.root.with_name("other"))
    shutil.copytree(bot.root, other.root)
    clean_posts(other, clean_config(bot))
    train_bot(other, TrainingConfig(base=str(tiny_base), epochs=1.0, seed=1), dataset_config(bot))
    with pytest.raises(SettingsError, match="nobody could tell whose voice"):
        blend_bots(bot.root.parent, [bot, other], BlendConfig())


def clean_config(folder: RunFolder) -> Any:
    from mynah.config import CleaningConfig, build

    return build(CleaningConfig, folder.stage_record("clean")["config"])


def dataset_config(folder: RunFolder) -> Any:
    from mynah.config import build

    return build(DatasetConfig, folder.stage_record("train")["config"]["dataset"])


def test_counts_of_several_bots_add_up() -> None:
    one = {"downloaded": 5, "kept": 3, "dropped": {"short": 2}, "characters": 100}
    two = {"downloaded": 4, "kept": 4, "dropped": {"short": 0}, "characters": 300}
    first = {**one, "by_author": {"a": one}, "replaced": {"email": 1}, "languages": {"en": 1.0}}
    second = {**two, "by_author": {"b": two}, "replaced": {"email": 0}, "languages": {"de": 1.0}}
    found = merged_counts([first, second])
    assert (found["downloaded"], found["kept"], found["dropped"]) == (9, 7, {"short": 2})
    assert found["languages"] == {"de": 0.75, "en": 0.25} and found["replaced"] == {"email": 1}
    assert list(found["by_author"]) == ["a", "b"]


def test_without_the_extra_there_is_one_sentence() -> None:
    """In a process that cannot import peft, as where it is not installed."""
    script = (
        "import sys; sys.modules['peft'] = None\n"
        "from mynah.mixture import require\n"
        "try: require()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "ExtraMissing" in done.stdout and "pip install 'mynah[blend]'" in done.stdout
