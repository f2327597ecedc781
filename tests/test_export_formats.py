"""What every format has in common, and the voice alone for peft and vLLM."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from conftest import tiny_recipe
from mynah.bot import load_bot
from mynah.card_usage import Usage, model_name, usage_text
from mynah.errors import SettingsError
from mynah.export_adapter import export_adapter
from mynah.pipeline import make_bot
from mynah.run_folder import RunFolder, hash_tree, read_json
from test_bad_input import fingerprint, needs_mount, small_disk

FORMATS = ["transformers", "adapter", "gguf", "ollama"]  # web has a test file of its own
PRIVATE = ("posts.jsonl", "cleaned.jsonl", "dropped.jsonl", "run.json", "samples.jsonl")


def exported(bot: RunFolder, form: str, *more: object) -> Path:
    done = tiny.mynah("export", bot.name, "--format", form, *more, "--json")
    assert done.code == 0, done.err
    assert done.json["format"] == form
    return Path(done.json["folder"])


@pytest.mark.parametrize("form", FORMATS)
def test_every_export_has_its_card_and_the_notice(bot: RunFolder, form: str) -> None:
    folder = exported(bot, form)
    card = (folder / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["mynah"]["machine_generated"] is True
    libraries = {"adapter": "peft", "gguf": "llama.cpp", "ollama": "llama.cpp"}
    assert head["library_name"] == libraries.get(form, "transformers")
    assert "**Machine-made.**" in card
    notice = read_json(folder / "machine-made.json")
    assert notice["machine_made"] is True
    assert notice["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert "was made by a machine" in notice["about"]
    assert (notice["format"], notice["bot"]) == (form, bot.name)
    assert [path.name for path in folder.iterdir() if path.name in PRIVATE] == []


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_has_a_folder_of_its_own_and_replaces_only_that(
    bot: RunFolder, form: str
) -> None:
    folder = exported(bot, form)
    assert folder == Path("bots") / bot.name / (
        "model" if form == "transformers" else f"model-{form}"
    )
    (folder / "old").write_text("of the export before", encoding="utf-8")
    first = hash_tree(folder / "README.md")
    assert exported(bot, form) == folder
    assert not (folder / "old").exists()
    assert hash_tree(folder / "README.md") == first
    stage = "export" if form == "transformers" else f"export-{form}"
    assert bot.stage_record(stage)["outputs"] == {folder.name: hash_tree(folder)}


@pytest.mark.parametrize("form", FORMATS)
def test_what_no_export_wrote_is_left_alone(bot: RunFolder, tmp_path: Path, form: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"a cat")
    refused = tiny.mynah("export", bot.name, "--format", form, "--output", photos)
    assert refused.code == 2
    assert f"{photos} is there and no export wrote it." in refused.err
    assert [path.read_bytes() for path in photos.iterdir()] == [b"a cat"]


def test_exports_go_when_the_posts_are_fetched_anew(bot: RunFolder, small_archive: Path) -> None:
    kept = [exported(bot, form) for form in ("adapter", "gguf")]
    again = tiny.mynah("fetch", small_archive, "--name", bot.name, "--replace")
    assert again.code == 0, again.err
    assert [folder for folder in kept if folder.exists()] == []


def test_an_untrained_bot_has_nothing_to_take_along(small_archive: Path) -> None:
    assert tiny.mynah("fetch", small_archive).code == 0
    for form in FORMATS:
        answer = tiny.mynah("export", "ferryclerk", "--format", form)
        assert (answer.code, "Run: mynah train ferryclerk" in answer.err) == (2, True)


def test_the_share_image_goes_along(bot: RunFolder) -> None:
    bot.preview.write_bytes(b"a picture")
    folder = exported(bot, "adapter")
    assert (folder / "preview.png").read_bytes() == b"a picture"
    assert "thumbnail: preview.png" in (folder / "README.md").read_text(encoding="utf-8")


@needs_mount
@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_one_sentence_and_the_old_export_stays(
    tiny_bot: RunFolder, tmp_path: Path, form: str
) -> None:
    """The writer of GGUF files is another library's: what it says of a full disk has no number."""
    sizes = [path.stat().st_size for path in tiny_bot.root.rglob("*") if path.is_file()]
    needed = sum(-(-size // 4_096) * 4 for size in sizes)  # a file takes whole pages
    with small_disk(tmp_path / "disk", f"size={needed + 200}k") as disk:
        shutil.copytree(tiny_bot.root, disk / "ana")
        words = ("export", "ana", "--format", form, "--bots", disk)
        assert tiny.mynah(*words).code == 0
        before = fingerprint(disk / "ana")
        with (disk / "filler").open("wb") as filler:
            filler.write(b"x" * (shutil.disk_usage(disk).free - 12_288))
        answer = tiny.mynah(*words)
        assert (answer.code, "Error: The disk is full: " in answer.err) == (2, True), answer.err
        assert fingerprint(disk / "ana") == before


# --- the voice alone ---


@pytest.fixture(params=["tiny_bot", "tiny_gpt2_bot"])
def voice(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[RunFolder, Path]:
    folder = request.getfixturevalue(request.param)
    return folder, export_adapter(folder, tmp_path / "voice")


def base_of(folder: RunFolder) -> Path:
    return Path(folder.stage_record("train")["config"]["base"])


def test_peft_beside_the_base_is_the_bot(voice: tuple[RunFolder, Path]) -> None:
    folder, target = voice
    base = AutoModelForCausalLM.from_pretrained(base_of(folder), dtype=torch.float32)
    untouched = base(input_ids=torch.tensor([[0, 40, 41]])).logits
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(base, target).eval()(torch.tensor([[0, 40, 41]])).logits
        mine = load_bot(folder, tiny.FP32).model(input_ids=torch.tensor([[0, 40, 41]])).logits
    torch.testing.assert_close(theirs, mine, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(theirs, untouched, atol=0.1)


def test_the_cards_own_lines_run_as_printed(
    voice: tuple[RunFolder, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, target = voice
    card = (target / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    (target / base_of(folder).name).symlink_to(base_of(folder))  # as if it came from the Hub
    monkeypatch.chdir(target)
    exec(code, {})
    posts = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(posts) >= 5
    assert posts[0].startswith("My dream is") and "<|" not in "".join(posts)


def test_its_tokenizer_opens_every_text_as_in_training(voice: tuple[RunFolder, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(voice[1])
    assert tokenizer("Fog")["input_ids"][0] == 0
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.chat_template is None


def test_vllm_finds_what_it_looks_for(tiny_bot: RunFolder, tmp_path: Path) -> None:
    """Its loader takes these fields and names apart: vllm/lora, `peft_helper` and `lora_model`."""
    target = export_adapter(tiny_bot, tmp_path / "voice")
    config = json.loads((target / "adapter_config.json").read_text(encoding="utf-8"))
    assert type(config["r"]) is int and type(config["lora_alpha"]) is int
    assert config["bias"] == "none"
    assert (config["use_dora"], config["use_rslora"], config["modules_to_save"]) == (
        *(False, False),
        None,
    )
    layers = set()
    with safe_open(target / "adapter_model.safetensors", framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            start, *middle, kind, last = name.removeprefix("base_model.model.").split(".")
            assert name.startswith("base_model.model.") and start == "model"
            assert kind in ("lora_A", "lora_B") and last == "weight"
            tensor = tensors.get_tensor(name)
            assert tensor.shape[0 if kind == "lora_A" else 1] == config["r"]
            assert tensor.dtype == torch.bfloat16
            layers.add(middle[-1])
    known = {*("q_proj", "k_proj", "v_proj", "o_proj"), *("gate_proj", "up_proj", "down_proj")}
    assert layers == known == set(config["target_modules"])


def test_the_card_names_vllm_only_for_bases_that_it_adapts(
    tiny_bot: RunFolder, tiny_gpt2_bot: RunFolder, tmp_path: Path
) -> None:
    cards = [
        (export_adapter(folder, tmp_path / folder.root.parent.name) / "README.md").read_text(
            "utf-8"
        )
        for folder in (tiny_bot, tiny_gpt2_bot)
    ]
    command = "vllm serve tiny-llama --enable-lora --max-lora-rank 8 --lora-modules ferryclerk=."
    assert command in cards[0]
    assert "vllm" not in cards[1]
    assert all("base_model_relation" not in card for card in cards)  # a folder is on no Hub


def test_without_an_adapter_the_other_format_is_named(
    small_archive: Path, tiny_gpt2: Path, bots: Path
) -> None:
    recipe = tiny_recipe(tiny_gpt2, recipe="huggingtweets", epochs=1.0)
    folder = make_bot(bots, [str(small_archive)], recipe).folder
    with pytest.raises(SettingsError, match=r"All weights .* --format transformers"):
        export_adapter(folder, bots / "out")
    assert exported(folder, "gguf").joinpath("ferryclerk-Q8_0.gguf").exists()


# --- how to use, on the card ---

RUN: dict[str, Any] = {
    "name": "Idas Käse & co",
    "stages": {"train": {"result": {"base": {"name": "smollm2-135m", "hub_id": "a/b"}, "rank": 9}}},
}


@pytest.mark.parametrize("form", ["adapter", "gguf", "ollama", "web"])
def test_the_lines_are_code_that_ends(form: Any) -> None:
    text = usage_text(Usage(form=form, file='x "y"-Q8_0.gguf'), RUN)
    fences = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert fences and all(fence.info in ("sh", "python") for fence in fences)
    for fence in fences:
        if fence.info == "python":
            compile(fence.content, form, "exec")
    assert not re.search(r"\n{3,}", text)
    assert "{{" not in text and "&#" not in text


def test_a_rounded_base_and_an_odd_rank_are_told() -> None:
    text = usage_text(Usage(form="adapter"), RUN)
    assert "--max-lora-rank 16" in text  # the next that vLLM has
    assert "rounded to four bits" in text
    assert "vllm serve a/b " in text


@pytest.mark.parametrize(
    ("name", "known_as"),
    [("Ferry+Clerk@sea", "ferry-clerk-sea"), ("ana_b-2.x", "ana_b-2.x"), ("漢字", "bot")],
)
def test_a_name_in_the_letters_of_other_programs(name: str, known_as: str) -> None:
    assert model_name(name) == known_as
