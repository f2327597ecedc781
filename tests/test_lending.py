"""A base that is lent: the same model, computed on the lender's own memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tiny
from conftest import tiny_recipe
from mynah.bases import find_base
from mynah.fleet_worker import make_one
from mynah.flock_file import Order
from mynah.lending import PackedBase, borrowing, memory_for, pack_base
from mynah.model import Base, load_base
from mynah.shelf import open_shelf


@pytest.fixture(params=["llama", "gpt2"])
def packed(request: pytest.FixtureRequest, tiny_base: Path, tiny_gpt2: Path) -> PackedBase:
    """Return a base as Ray's store gives it: nobody may write to it."""
    made = pack_base(str(tiny_base if request.param == "llama" else tiny_gpt2))
    for array in made.arrays.values():
        array.flags.writeable = False
    return made


def addresses(packed: PackedBase, base: Base) -> tuple[set[int], set[int]]:
    lent = {array.ctypes.data for array in packed.arrays.values()}
    return {each.data_ptr() for each in base.model.parameters()}, lent


def test_a_lent_base_is_the_base_and_is_not_copied(packed: PackedBase) -> None:
    own = load_base(packed.name, tiny.FP32)
    with borrowing(packed):
        lent = load_base(packed.name, tiny.FP32)
        assert find_base(packed.name).info == own.info
    ids = torch.arange(20)[None]
    torch.testing.assert_close(lent.model(ids).logits, own.model(ids).logits, atol=0, rtol=0)
    used, shared = addresses(packed, lent)
    assert used <= shared
    assert lent.separator == own.separator
    assert find_base(packed.name).folder == Path(packed.name)  # again its own


def test_a_base_whose_weights_are_trained_is_copied(packed: PackedBase) -> None:
    with borrowing(packed, to_change=True):
        used, shared = addresses(packed, load_base(packed.name, tiny.FP32))
    assert not used & shared


def test_bf16_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tiny.save(tiny.llama().to(torch.bfloat16), tmp_path / "small")
    packed = pack_base(str(folder))
    assert set(packed.dtypes.values()) == {"bfloat16"}
    with borrowing(packed):
        lent = load_base(str(folder), tiny.FP32)
    own = load_base(str(folder), tiny.FP32)
    for name, each in own.model.state_dict().items():
        assert torch.equal(lent.model.state_dict()[name], each)


def test_the_recipe_of_2020_does_not_write_to_what_is_lent(
    packed: PackedBase, small_archive: Path, bots: Path
) -> None:
    """Writing to memory that is read-only would end the process, not raise an error."""
    if not json.loads(packed.files["config.json"]).get("n_embd"):
        pytest.skip("the recipe reads 1,024 tokens at once")
    recipe = tiny_recipe(Path(packed.name), recipe="huggingtweets", epochs=1.0)
    order = Order(name="ferry", sources=(str(small_archive),), recipe=recipe)
    note = make_one(order, "key", [str(small_archive)], packed, open_shelf(bots, None))
    assert note["status"] == "made", note


def test_memory_grows_with_the_batch(packed: PackedBase, tiny_base: Path) -> None:
    def needed(**training: object) -> int:
        recipe = tiny_recipe(tiny_base, **training)
        return memory_for(packed, recipe.train, recipe.dataset)

    assert needed(batch_tokens=256) < needed(batch_tokens=4_096) < needed(batch_tokens=8_192)
    assert needed(batch_tokens=4_096, accumulate=4) == needed(batch_tokens=1_024)
