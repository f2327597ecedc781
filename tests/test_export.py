"""Out of the house: transformers alone runs the card's own lines and says what Mynah says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

import tiny
from mynah.bot import load_bot
from mynah.config import GenerationConfig
from mynah.errors import SettingsError
from mynah.export import export_transformers
from mynah.generation import generate
from mynah.run_folder import RunFolder, hash_tree
from mynah.speaking import talk
from mynah.torch_engine import TorchEngine

KINDS = ["tiny_bot", "tiny_gpt2_bot"]


@pytest.fixture(scope="module", params=KINDS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, Path]:
    """Return a bot, and the folder it was exported to in fp32."""
    folder = request.getfixturevalue(request.param)
    target = tmp_path_factory.mktemp("out") / "ferry bot"
    export_transformers(folder, load_bot(folder, tiny.FP32), target)
    return folder, target


def snippet(card: Path) -> str:
    """Return the Python that the card prints, letter by letter."""
    [code] = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    return code


def test_the_cards_own_lines_run_as_printed(exported: tuple[RunFolder, Path]) -> None:
    _, target = exported
    code = snippet(target / "README.md")
    assert 'generator("My dream is", num_return_sequences=5)' in code
    *lines, call = code.strip().splitlines()
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    posts = [row["generated_text"] for row in eval(call, scope)]
    assert len(posts) == 5 and len(set(posts)) > 1  # sampled, as the settings say
    assert all(post.startswith("My dream is") and "<|" not in post for post in posts)


@pytest.mark.parametrize("prompt", ["My dream is", "", "The 💜"])
def test_the_model_sees_the_separator_first_and_once(
    exported: tuple[RunFolder, Path], prompt: str
) -> None:
    folder, target = exported
    generator = pipeline("text-generation", model=str(target))
    seen: list[list[int]] = []
    generator.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"][0].tolist()),
        with_kwargs=True,
    )
    generator(prompt, max_new_tokens=3)
    plain = load_bot(folder, tiny.FP32).tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert seen[0] == [0, *plain]


@pytest.mark.parametrize("prompt", ["My dream is", "", "Fog"])
def test_greedy_it_says_what_mynah_says(exported: tuple[RunFolder, Path], prompt: str) -> None:
    folder, target = exported
    config = GenerationConfig(n=1, temperature=0.0, max_draws=1, max_tokens=40)
    [mine] = generate(TorchEngine(load_bot(folder, tiny.FP32)), prompt, config, None, seed=0)
    generator = pipeline("text-generation", model=str(target))
    [theirs] = generator(prompt, do_sample=False, max_new_tokens=40)
    assert theirs["generated_text"].split("\n")[0].rstrip() == mine.text


def test_the_settings_for_sampling_travel_with_it(exported: tuple[RunFolder, Path]) -> None:
    _, target = exported
    settings = json.loads((target / "generation_config.json").read_text(encoding="utf-8"))
    wanted = {
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.95,
        "min_new_tokens": 3,
        "max_new_tokens": 120,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    assert {key: settings.get(key) for key in wanted} == wanted
    tokenizer = AutoTokenizer.from_pretrained(target)
    assert tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.chat_template is None


def test_the_weights_are_plain_whole_and_merged(exported: tuple[RunFolder, Path]) -> None:
    folder, target = exported
    names = {path.name for path in target.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if "adapter" in name or name.endswith((".bin", ".pt"))]
    ids = torch.tensor([[0, 40, 41, 42]])
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(target)(input_ids=ids).logits
        mine = load_bot(folder, tiny.FP32).model(input_ids=ids).logits
        base = tiny.fp32(Path(folder.stage_record("train")["config"]["base"])).model
        untouched = base(input_ids=ids).logits
    torch.testing.assert_close(theirs, mine)
    assert not torch.allclose(theirs, untouched, atol=0.1)


def test_on_the_command_line(bot: RunFolder) -> None:
    before = hash_tree(bot.adapter)
    done = tiny.mynah("export", bot.name, "--json")
    assert done.code == 0, done.err
    assert done.json == {
        "bot": bot.name,
        "format": "transformers",
        "folder": str(bot.root.relative_to(Path.cwd()) / "model"),
    }
    first = hash_tree(bot.model)
    assert bot.stage_record("export")["outputs"] == {"model": first}
    assert tiny.mynah("export", bot.name).code == 0  # again, over the older one
    assert hash_tree(bot.model) == first
    greedy = GenerationConfig(n=1, temperature=0, allow_copies=True)  # in bf16, near ties part
    [post] = talk(TorchEngine(load_bot(bot, tiny.FP32)), bot, "Low tide", greedy).posts
    generator = pipeline("text-generation", model=str(bot.model), dtype=torch.float32)
    [theirs] = generator("Low tide", do_sample=False)
    assert theirs["generated_text"].split("\n")[0].rstrip() == post.text
    assert hash_tree(bot.adapter) == before


def test_a_folder_of_something_else_is_not_replaced(bot: RunFolder, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"a cat")
    refused = tiny.mynah("export", bot.name, "--output", photos)
    assert refused.code == 2
    assert f"{photos} is there and no export wrote it." in refused.err
    assert "--output" in refused.err
    assert [path.name for path in photos.iterdir()] == ["cat.jpg"]
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError):
        export_transformers(bot, None, file)  # type: ignore[arg-type]
    assert file.read_text(encoding="utf-8") == "mine"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert tiny.mynah("export", bot.name, "--output", empty).code == 0
    assert (empty / "config.json").exists()
