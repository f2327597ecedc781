"""Bots that come back from the Hub: Mynah's own, huggingtweets', and what is not to be trusted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors import safe_open

import tiny
from hub_server import Hub, Repo
from mynah.run_folder import RunFolder, read_json
from test_hub import BASE, on_hub_base, refused
from tiny import mynah

GREEDY = ("-n", "2", "--temperature", "0", "--max-tokens", "24", "--allow-copies", "--json")
CARD_2021 = """\
---
language: en
thumbnail: https://www.huggingtweets.com/anna-bela/1600000000000/predictions.png
tags:
- huggingtweets
widget:
- text: "My dream is"
---

A page of then.
"""

SAMPLING_2021 = {
    "do_sample": True,
    "max_length": 160,
    "min_length": 10,
    "prefix": "<|endoftext|>",
    "temperature": 1.0,
    "top_p": 0.95,
}
CONFIG_2021 = {
    "_name_or_path": "gpt2",
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 0,
    "embd_pdrop": 0.1,
    "eos_token_id": 0,
    "gradient_checkpointing": False,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 32,
    "n_head": 4,
    "n_inner": None,
    "n_layer": 2,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "scale_attn_weights": True,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": SAMPLING_2021},
    "torch_dtype": "float32",
    "transformers_version": "4.9.1",
    "use_cache": True,
    "vocab_size": 400,
}


def greedy(name: str) -> list[str]:
    said = mynah("say", name, "My dream is", *GREEDY)
    assert said.code == 0, said.err
    return [row["text"] for row in said.json["samples"]]


def text_of(model: Any, prompt: str) -> str:
    """Return what a model says greedily after the separator and a prompt, up to a new line."""
    words = tiny.tokenizer()
    ids = torch.tensor([[0, *words(prompt)["input_ids"]]])
    out = model.generate(ids, do_sample=False, min_new_tokens=3, max_new_tokens=24, pad_token_id=0)
    text: str = words.decode(out[0], skip_special_tokens=True)
    return text.split("\n")[0].rstrip()


@pytest.fixture
def tweets(hub: Hub) -> dict[str, bytes]:
    """Return the files of old/anna-bela, a bot as huggingtweets published them."""
    folder = Path("old")
    folder.mkdir()
    state = tiny.gpt2().state_dict()
    for block in range(2):  # what torch kept beside the weights then
        state[f"transformer.h.{block}.attn.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        state[f"transformer.h.{block}.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(CONFIG_2021), encoding="utf-8")
    parts = json.loads(tiny.tokenizer().backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(parts["vocab"]), encoding="utf-8")
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in parts["merges"])])
    (folder / "merges.txt").write_text(f"{merges}\n", encoding="utf-8")
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    settings = {**special, "add_prefix_space": False, "model_max_length": 1024}
    settings |= {"special_tokens_map_file": None, "tokenizer_class": "GPT2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "README.md").write_text(CARD_2021, encoding="utf-8")
    (folder / "training_args.bin").write_bytes(b"a pickle of settings")
    (folder / "tweets.txt").write_text("what they really said", encoding="utf-8")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    hub.repos["old/anna-bela"] = Repo(private=False, history=[files])
    return files


def test_a_bot_comes_back_as_it_went(bot: RunFolder, hub: Hub, bots: Path) -> None:
    before = greedy(bot.name)
    assert mynah("push", bot.name).code == 0
    done = mynah("pull", "ada/ferryclerk", "--name", "back", "--json")
    assert done.code == 0, done.err
    assert (done.json["kind"], done.json["revision"]) == (
        "whole",
        hub.repos["ada/ferryclerk"].sha,
    )
    assert greedy("back") == before
    back = RunFolder(bots / "back")
    run = back.read_run()
    assert run["name"] == "back"
    assert [each["handle"] for each in run["accounts"]] == ["ferryclerk"]
    pulled = run["stages"]["pull"]
    assert pulled["result"]["repo"] == "ada/ferryclerk" == back.pulled_from
    assert pulled["inputs"] == done.json["files"] and len(pulled["inputs"]["README.md"]) == 64
    assert back.report.read_bytes() == bot.report.read_bytes()
    assert back.card.read_bytes() == hub.repos["ada/ferryclerk"].files["README.md"]
    assert list(bots.glob(".pull*")) == []


def test_what_a_pulled_bot_can_and_cannot(bot: RunFolder, hub: Hub, bots: Path) -> None:
    assert mynah("push", bot.name).code == 0
    assert mynah("pull", "ada/ferryclerk", "--name", "back").code == 0
    said = mynah("say", "back", "-n", "1", "--max-tokens", "8")
    assert said.code == 0 and "copies of them go unnoticed" in said.err
    card = (bots / "back" / "README.md").read_bytes()
    assert "came from ada/ferryclerk" in mynah("card", "back").err
    assert (bots / "back" / "README.md").read_bytes() == card
    for verb in ("clean", "train", "report"):
        refused(mynah(verb, "back"), "was pulled from ada/ferryclerk", "mynah say back")
    refused(mynah("push", "back"), "is published there already")
    assert mynah("export", "back").code == 0
    assert (bots / "back" / "model" / "README.md").read_bytes() == card
    listed = {row["bot"]: row for row in mynah("list", "--json").json["bots"]}
    assert listed["back"]["accounts"] == ["ferryclerk"]


def test_an_adapter_finds_its_base_again(bot: RunFolder, hub: Hub, bots: Path) -> None:
    before = greedy(bot.name)
    on_hub_base(bot, hub)
    assert mynah("push", bot.name, "--adapter-only").code == 0
    done = mynah("pull", "ada/ferryclerk", "--name", "back", "--json")
    assert done.code == 0, done.err
    assert done.json["kind"] == "adapter" and "model.safetensors" not in done.json["files"]
    assert greedy("back") == before
    base = RunFolder(bots / "back").learned()["result"]["base"]
    assert base["hub_id"] == BASE
    del hub.repos[BASE]
    shutil.rmtree(constants.HF_HUB_CACHE)
    refused(mynah("pull", "ada/ferryclerk", "--name", "b2"), f"Base '{BASE}'", "--base")


def test_a_bot_of_huggingtweets_talks(hub: Hub, tweets: dict[str, bytes], bots: Path) -> None:
    done = mynah("pull", "old/anna-bela")
    assert done.code == 0, done.err
    assert "9 files; 7 of them are taken" in done.err and "shards" not in done.err
    assert greedy("anna-bela") == [text_of(tiny.gpt2(), "My dream is")] * 2
    folder = RunFolder(bots / "anna-bela")
    assert [each["handle"] for each in folder.read_run()["accounts"]] == ["anna", "bela"]
    kept = {path.name for path in folder.adapter.iterdir()}
    assert {"model.safetensors", "tokenizer.json"} <= kept
    everything = {path.name for path in folder.root.rglob("*")}
    assert everything.isdisjoint({"pytorch_model.bin", "training_args.bin", "tweets.txt"})
    inputs = folder.stage_record("pull")["inputs"]
    assert "pytorch_model.bin" in inputs and "tweets.txt" not in inputs


def test_an_old_card_says_from_now_on_that_a_machine_writes(
    hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    assert mynah("pull", "old/anna-bela").code == 0
    card = (bots / "anna-bela" / "README.md").read_text(encoding="utf-8")
    assert "machine_generated: true" in card and "> **Machine-made.**" in card
    assert "trainedAlgorithmicMedia" in card and "- huggingtweets\n" in card
    assert card.endswith("\n\nA page of then.\n")


@pytest.mark.parametrize(
    "card",
    [
        None,
        b"",
        b"\xff no utf-8",
        b"---\n[: {\n---\nx",
        b"---\n- a\n---\nx",
        b"---\nmynah: 3\n---\n",
    ],
)
def test_a_card_that_says_nothing(
    card: bytes | None, hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    files = {name: raw for name, raw in tweets.items() if name != "README.md"}
    hub.repos["old/anna-bela"].history.append(
        files if card is None else {**files, "README.md": card}
    )
    assert mynah("pull", "old/anna-bela").code == 0
    text = (bots / "anna-bela" / "README.md").read_text(encoding="utf-8")
    assert "machine_generated: true" in text and "> **Machine-made.**" in text
    [account] = read_json(bots / "anna-bela" / "run.json")["accounts"]
    assert account["handle"] == "anna-bela"


class Bomb:
    """What a pickle does when it is read the careless way."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("how", ["inside", "alone"])
def test_a_pickle_that_does_something_is_not_read(
    how: str, hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    state = {"transformer.wte.weight": Bomb()} if how == "inside" else Bomb()
    torch.save(state, "bomb.bin")
    bomb = Path("bomb.bin").read_bytes()
    hub.repos["old/anna-bela"].history.append(tweets | {"pytorch_model.bin": bomb})
    refused(mynah("pull", "old/anna-bela"), "pytorch_model.bin holds more than numbers")
    assert not Path("exploded").exists() and not (bots / "anna-bela").exists()


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ({"pytorch_model.bin": b"no weights"}, "holds more than numbers"),
        ({"config.json": b"{}"}, "cannot be read as a language model"),
        ({"config.json": b'{"model_type": "x", "auto_map": {"AutoConfig": "c.C"}}'}, "cannot be"),
        ({"vocab.json": b"", "merges.txt": b""}, "holds no tokenizer that can be read"),
        ({"model.safetensors": b"short"}, "cannot be read as a language model"),
    ],
)
def test_what_is_no_model_is_not_taken(
    spoiled: dict[str, bytes], said: str, hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    hub.repos["old/anna-bela"].history.append(tweets | spoiled)
    refused(mynah("pull", "old/anna-bela"), said)
    assert not (bots / "anna-bela").exists()


def test_weights_that_are_missing_are_not_made_up(
    hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    state = tiny.gpt2().state_dict()
    del state["transformer.h.1.mlp.c_fc.weight"]
    torch.save(state, "less.bin")
    less = Path("less.bin").read_bytes()
    hub.repos["old/anna-bela"].history.append(tweets | {"pytorch_model.bin": less})
    refused(mynah("pull", "old/anna-bela"), "1 of its weights are missing")


@pytest.mark.parametrize(
    "name", ["../evil.json", "a/../../evil", "/etc/evil", "..\\evil", "C:evil"]
)
def test_a_file_that_would_leave_the_folder(
    name: str, hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    hub.repos["old/anna-bela"].history.append(tweets | {name: b"{}"})
    refused(mynah("pull", "old/anna-bela"), "outside the bot's folder")
    assert hub.asked("GET", "/resolve/") == [] and list(Path.cwd().rglob("*evil*")) == []


def test_a_file_that_is_not_what_the_hub_says(
    hub: Hub, tweets: dict[str, bytes], tiny_gpt2: Path
) -> None:
    weights = (tiny_gpt2 / "model.safetensors").read_bytes()
    hub.repos["old/anna-bela"].history.append(tweets | {"model.safetensors": weights})
    hub.swap["model.safetensors"] = weights[:-1] + bytes([weights[-1] ^ 1])
    refused(mynah("pull", "old/anna-bela"), "model.safetensors is not what the Hub says it is.")


def test_safetensors_are_taken_where_there_are_both(
    hub: Hub, tweets: dict[str, bytes], tiny_gpt2: Path, bots: Path
) -> None:
    weights = (tiny_gpt2 / "model.safetensors").read_bytes()
    both = tweets | {"model.safetensors": weights, "pytorch_model.bin": b"not looked at"}
    hub.repos["old/anna-bela"].history.append(both)
    assert mynah("pull", "old/anna-bela").code == 0
    assert hub.asked("GET", "pytorch_model") == []
    with safe_open(bots / "anna-bela" / "adapter" / "model.safetensors", framework="pt") as kept:
        wanted = tiny.fp32(tiny_gpt2).model.state_dict()
        for name in kept.keys():  # noqa: SIM118
            torch.testing.assert_close(kept.get_tensor(name), wanted[name])


def test_a_name_that_is_taken(bot: RunFolder, hub: Hub, tweets: dict[str, bytes]) -> None:
    refused(mynah("pull", "old/anna-bela", "--name", bot.name), "is a bot 'ferryclerk' already")
    assert bot.cleaned.exists() and hub.seen == []
    done = mynah("pull", "old/anna-bela", "--name", bot.name, "--replace")
    assert done.code == 0
    assert not bot.cleaned.exists() and bot.pulled_from == "old/anna-bela"
    assert greedy(bot.name) == [text_of(tiny.gpt2(), "My dream is")] * 2


def test_a_pulled_bot_is_not_overwritten_unasked(
    hub: Hub, tweets: dict[str, bytes], small_archive: Path
) -> None:
    assert mynah("pull", "old/anna-bela").code == 0
    again = ("fetch", small_archive, "--name", "anna-bela")
    refused(mynah(*again), "is a bot 'anna-bela' already")
    assert mynah(*again, "--replace").code == 0
    refused(mynah("say", "anna-bela"), "has no adapter yet")


def test_what_is_not_there(hub: Hub, monkeypatch: pytest.MonkeyPatch, bot: RunFolder) -> None:
    refused(mynah("pull", "ada/nothing"), "There is no 'ada/nothing' on the Hub")
    refused(mynah("pull", "a/b/c"), "cannot be the name of a repository")
    hub.repos["ada/empty"] = Repo(private=False)
    refused(mynah("pull", "ada/empty"), "holds no weights that Mynah reads")
    assert mynah("push", bot.name).code == 0
    monkeypatch.delenv("HF_TOKEN")
    refused(
        mynah("pull", "ada/ferryclerk", "--name", "x"), "you are not logged in", "hf auth login"
    )
    hub.repos["ada/ferryclerk"].private = False
    assert mynah("pull", "ada/ferryclerk", "--name", "x").code == 0  # needs no login


def test_a_download_that_breaks_off_leaves_nothing(
    hub: Hub, tweets: dict[str, bytes], bots: Path
) -> None:
    hub.fail("GET", "/resolve/.*/config.json", 403, times=9)
    refused(mynah("pull", "old/anna-bela"), "may not do this")
    hub.faults.clear()
    assert list(bots.iterdir()) == []
    assert mynah("pull", "old/anna-bela").code == 0


def test_a_stranger_can_call_a_base_what_they_like(bot: RunFolder, hub: Hub, bots: Path) -> None:
    on_hub_base(bot, hub)
    assert mynah("push", bot.name, "--adapter-only").code == 0
    repo = hub.repos["ada/ferryclerk"]
    for base in (None, 7, ["x"], {}):
        raw = json.dumps({"base_model_name_or_path": base} if base is not None else {}).encode()
        repo.history.append(repo.files | {"adapter_config.json": raw})
        answer = mynah("pull", "ada/ferryclerk", "--name", "back")
        refused(answer)
        assert not (bots / "back").exists()
