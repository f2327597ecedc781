"""Adapters: they start as the base itself, merge to what they were, and peft reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import tiny
from mynah.errors import BotError
from mynah.lora import (
    LoraLinear,
    adapted,
    add_adapter,
    join_members,
    load_adapter,
    merge_adapter,
    remove_adapter,
    save_adapter,
)
from mynah.model import Base

IDS = torch.tensor([[0, 40, 41, 42, 43, 44, 45]])


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def trained(base: Base, rank: int = 4) -> Base:
    """Put an adapter on a base that does something, in numbers that bf16 holds exactly."""
    add_adapter(base.model, rank=rank, alpha=2.0 * rank, seed=0)
    torch.manual_seed(3)
    with torch.no_grad():
        for layer in adapted(base.model).values():
            layer.lora_B.normal_(std=0.2)
            layer.lora_A.copy_(layer.lora_A.bfloat16())
            layer.lora_B.copy_(layer.lora_B.bfloat16())
    return base


def test_it_starts_as_the_base_itself(either_base: Base) -> None:
    before = logits(either_base.model)
    add_adapter(either_base.model, rank=4, alpha=8, seed=0)
    assert torch.equal(logits(either_base.model), before)


def test_every_linear_layer_of_every_block_has_one_and_nothing_else(
    base: Base, gpt2_base: Base
) -> None:
    for each, names in (
        (base, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
        (gpt2_base, ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]),
    ):
        add_adapter(each.model, rank=4, alpha=8, seed=0)
        found = list(adapted(each.model))
        assert len(found) == 2 * len(names)
        assert {name for name in names if sum(f.endswith(name) for f in found) == 2} == set(names)
        trainable = [n for n, p in each.model.named_parameters() if p.requires_grad]
        assert trainable and all(".lora_" in name for name in trainable)


def test_the_seed_decides_the_start(tiny_base: Path) -> None:
    starts = []
    for seed in (0, 0, 1):
        model = tiny.fp32(tiny_base).model
        add_adapter(model, rank=4, alpha=8, seed=seed)
        starts.append(torch.cat([layer.lora_A.flatten() for layer in adapted(model).values()]))
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


def test_a_linear_layer_adds_the_scaled_product_by_hand() -> None:
    plain = nn.Linear(2, 3, bias=False)
    layer = LoraLinear(plain, 1, 4.0, torch.Generator().manual_seed(0))
    plain.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    layer.lora_A.data = torch.tensor([[1.0, 2.0]])
    layer.lora_B.data = torch.tensor([[1.0], [0.0], [0.5]])
    # W x = [3, 5, 8]; A x = 13; scale 4 / 1: B A x = [52, 0, 26]
    assert layer(torch.tensor([3.0, 5.0])).tolist() == [55.0, 5.0, 34.0]
    # W + 4 B A = [[1+4, 0+8], [0, 1], [1+2, 1+4]]
    assert layer.merged().tolist() == [[5.0, 8.0], [0.0, 1.0], [3.0, 5.0]]


@pytest.mark.parametrize("members", [1, 2])
def test_what_was_damped_says_the_same_merged_joined_and_saved(
    members: int, tiny_base: Path, tmp_path: Path
) -> None:
    model = tiny.fp32(tiny_base).model
    add_adapter(model, rank=4, alpha=8.0, seed=0, members=members)
    for layer in adapted(model).values():
        half = layer.rank  # the second member has nothing to say, so nothing is lost in the join
        nn.init.normal_(layer.lora_B[:, :half], std=0.3)
        damping = torch.ones(layer.lora_A.shape[1])
        damping[::3] = 0.01
        layer.damping = damping
    before = logits(model)
    if members == 1:
        save_adapter(model, tmp_path, base="tiny", rank=4, alpha=8.0)
        loaded = tiny.fp32(tiny_base).model
        load_adapter(loaded, tmp_path)
        assert (logits(loaded) - before).norm() < 0.02 * before.norm()  # two bytes for a number
    join_members(model)
    assert all(layer.damping is None for layer in adapted(model).values())
    torch.testing.assert_close(logits(model), before, rtol=1e-3, atol=1e-3)
    merge_adapter(model)
    torch.testing.assert_close(logits(model), before, rtol=1e-3, atol=1e-3)


def test_gpt2s_layers_keep_inputs_first() -> None:
    conv = tiny.gpt2().transformer.h[0].mlp.c_fc
    layer = LoraLinear(conv, 2, 4.0, torch.Generator().manual_seed(0))
    assert layer.transposed
    assert layer.lora_A.shape == (2, 32) and layer.lora_B.shape == (128, 2)
    nn.init.normal_(layer.lora_B)
    assert layer.merged().shape == conv.weight.shape == (32, 128)
    x = torch.randn(5, 32)
    expected = x @ layer.merged() + conv.bias
    torch.testing.assert_close(layer(x), expected)


def test_merged_it_says_what_it_said(either_base: Base) -> None:
    untouched = logits(either_base.model)
    model = trained(either_base).model
    before = logits(model)
    assert not torch.allclose(before, untouched, atol=0.1)
    merge_adapter(model)
    assert adapted(model) == {}
    torch.testing.assert_close(logits(model), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["tiny_base", "tiny_gpt2"])
def test_saved_and_loaded_it_is_the_same(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    first = trained(tiny.fp32(folder)).model
    save_adapter(first, tmp_path, base="tiny", rank=4, alpha=8.0)
    second = tiny.fp32(folder).model
    load_adapter(second, tmp_path)
    assert torch.equal(logits(first), logits(second))


@pytest.mark.parametrize("kind", ["tiny_base", "tiny_gpt2"])
def test_peft_reads_it_and_says_the_same(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    peft = pytest.importorskip("peft")
    folder = request.getfixturevalue(kind)
    ours = trained(tiny.fp32(folder)).model
    save_adapter(ours, tmp_path, base=str(folder), rank=4, alpha=8.0)
    theirs = peft.PeftModel.from_pretrained(tiny.fp32(folder).model, tmp_path)
    torch.testing.assert_close(logits(theirs), logits(ours), rtol=1e-4, atol=1e-4)
    settings = {"do_sample": False, "max_new_tokens": 20, "pad_token_id": 0}
    said = theirs.generate(input_ids=IDS, **settings)
    assert torch.equal(said, ours.generate(input_ids=IDS, **settings))
    assert not torch.equal(said, tiny.fp32(folder).model.generate(input_ids=IDS, **settings))


def test_it_takes_two_bytes_a_number(base: Base, tmp_path: Path) -> None:
    model = trained(base).model
    save_adapter(model, tmp_path, base="tiny", rank=4, alpha=8.0)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert {each.dtype for each in tensors.values()} == {torch.bfloat16}
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum(each.numel() for each in tensors.values()) == numbers


def _spoil(folder: Path, how: str) -> None:
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "no weights":
        weights.unlink()
    elif how == "no config":
        config.unlink()
    elif how == "broken config":
        config.write_text("{", encoding="utf-8")
    elif how == "config of another kind":
        config.write_text("[]", encoding="utf-8")
    elif how == "other rank":
        row = json.loads(config.read_text(encoding="utf-8")) | {"r": 2}
        config.write_text(json.dumps(row), encoding="utf-8")


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "empty",
        "no weights",
        "no config",
        "broken config",
        "config of another kind",
        "other rank",
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(
    base: Base, tiny_base: Path, tmp_path: Path, how: str
) -> None:
    save_adapter(trained(base).model, tmp_path, base="tiny", rank=4, alpha=8.0)
    _spoil(tmp_path, how)
    with pytest.raises(BotError, match="does not fit this base") as caught:
        load_adapter(tiny.fp32(tiny_base).model, tmp_path)
    assert "mynah train" in caught.value.hint


@pytest.mark.parametrize("changes", [{"hidden_size": 64}, {"num_hidden_layers": 3}])
def test_an_adapter_of_another_base_is_refused(
    base: Base, tmp_path: Path, changes: dict[str, int]
) -> None:
    save_adapter(trained(base).model, tmp_path, base="tiny", rank=4, alpha=8.0)
    with pytest.raises(BotError, match="does not fit this base"):
        load_adapter(tiny.llama(**changes), tmp_path)


def test_an_adapter_of_a_larger_base_is_refused(tmp_path: Path, base: Base) -> None:
    """Every layer finds its part, but some parts find no layer."""
    larger = tiny.llama(num_hidden_layers=3)
    add_adapter(larger, rank=4, alpha=8, seed=0)
    save_adapter(larger, tmp_path, base="tiny", rank=4, alpha=8.0)
    with pytest.raises(BotError, match="does not fit this base"):
        load_adapter(base.model, tmp_path)


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_an_adapter_on_a_part_of_a_block_comes_back_there(
    either_base: Base, tmp_path: Path, kind: str
) -> None:
    """In GPT-2 a layer of the attention and one of the mlp have the same last name."""
    model = either_base.model
    add_adapter(model, rank=4, alpha=8, seed=0, modules=kind)
    names = set(adapted(model))
    assert names and all(("attn" in name) == (kind == "attention") for name in names)
    for layer in adapted(model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.02)
    save_adapter(model, tmp_path, base="tiny", rank=4, alpha=8.0)
    said = model(input_ids=torch.arange(9)[None]).logits
    remove_adapter(model)
    load_adapter(model, tmp_path)
    assert set(adapted(model)) == names
    torch.testing.assert_close(
        model(input_ids=torch.arange(9)[None]).logits, said, atol=0.05, rtol=0.05
    )
