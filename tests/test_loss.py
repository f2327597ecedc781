"""The loss against plain, slow arithmetic: full softmax in fp64, autograd, one post at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tiny
from mynah.fast_llama import body_of
from mynah.lora import adapted, add_adapter
from mynah.loss import IGNORE, Soft, _HeadLoss, bits_per_byte, pad, post_nats, training_loss
from mynah.model import Base

TEXTS = ["My dream is a queue.", "Fog.", tiny.SENTENCES[0], "Größe 💜 ⛴"]


def slow_nats(base: Base, row: list[int]) -> float:
    """Return -log p of one post, its tokens predicted one by one by transformers itself."""
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([row[:-1]])).logits[0].double()
    chances = torch.log_softmax(logits, dim=-1)
    return -sum(float(chances[at, token]) for at, token in enumerate(row[1:]))


def test_targets_are_the_next_tokens_and_padding_is_ignored() -> None:
    inputs, targets = pad([[0, 5, 6, 0], [0, 7, 0]], filler=9)
    assert inputs.tolist() == [[0, 5, 6], [0, 7, 9]]
    assert targets.tolist() == [[5, 6, 0], [7, 0, IGNORE]]


def test_each_posts_cost_is_the_sum_over_its_own_tokens(either_base: Base) -> None:
    rows = tiny.rows_of(either_base, TEXTS)
    nats = post_nats(either_base.model, rows, either_base.separator, budget=1_000)
    expected = [slow_nats(either_base, row) for row in rows]
    assert nats.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_company_and_padding_change_no_posts_cost(either_base: Base, budget: int) -> None:
    rows = tiny.rows_of(either_base)
    alone = [post_nats(either_base.model, [row], 0, budget)[0] for row in rows]
    together = post_nats(either_base.model, rows, either_base.separator, budget)
    other_filler = post_nats(either_base.model, rows, 17, budget)
    assert together.tolist() == pytest.approx([float(each) for each in alone], rel=1e-5)
    assert torch.equal(together, other_filler)


def test_bits_per_byte_by_hand(base: Base) -> None:
    rows = tiny.rows_of(base, TEXTS)
    size = sum(len(text.encode()) for text in TEXTS)
    assert size == 20 + 4 + 68 + 16  # "Größe" is 7 bytes, 💜 4, ⛴ 3, and two spaces
    expected = sum(slow_nats(base, row) for row in rows) / math.log(2) / size
    found = bits_per_byte(post_nats(base.model, rows, base.separator, 1_000), TEXTS)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_its_vocabulary() -> None:
    model = tiny.llama()
    nn.init.zeros_(model.get_input_embeddings().weight)  # tied: all logits are 0
    nats = post_nats(model, [[0, 5, 6, 0]], 0, 100)
    assert float(nats[0]) == pytest.approx(3 * math.log(400))
    # three tokens of log2(400) bits each, over two bytes
    assert bits_per_byte(nats, ["xy"]) == pytest.approx(3 * math.log2(400) / 2)


@pytest.mark.parametrize("positions", [1, 63, 64, 65, 200])
def test_the_heads_gradient_is_that_of_plain_cross_entropy(positions: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(positions, 16, requires_grad=True)
    weight = torch.randn(50, 16)
    targets = torch.randint(50, (positions,))
    plain = nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    (expected,) = torch.autograd.grad(3 * plain, hidden)
    fast = _HeadLoss.apply(hidden, weight, targets, None, None)
    (found,) = torch.autograd.grad(3 * fast, hidden)
    assert fast.item() == pytest.approx(plain.item(), rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", [1, 300])
def test_what_else_is_said_of_a_target_is_a_share_of_it(positions: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(positions, 16, requires_grad=True)
    said, weight, correction = (
        torch.randn(positions, 16),
        torch.randn(50_000, 16),
        torch.rand(50_000),
    )
    targets = torch.randint(50_000, (positions,))
    logits = hidden @ weight.T + correction
    mixed = 0.75 * nn.functional.one_hot(targets, 50_000)
    mixed = mixed + 0.25 * torch.softmax(said @ weight.T + correction, dim=-1)
    plain = nn.functional.cross_entropy(logits, mixed, reduction="sum")
    (expected,) = torch.autograd.grad(plain, hidden)
    soft = Soft(hidden=said, share=0.25)
    fast = _HeadLoss.apply(hidden, weight, targets, correction, soft)
    (found,) = torch.autograd.grad(fast, hidden)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    alone = nn.functional.cross_entropy(logits, targets, reduction="sum")
    assert fast.item() == pytest.approx(alone.item(), rel=1e-5)  # what is told is the target's


def test_the_loss_and_its_gradients_are_those_of_transformers_itself(either_base: Base) -> None:
    """What is written out by hand for speed computes what the model's own forward pass does."""
    model = either_base.model
    add_adapter(model, rank=4, alpha=8, seed=0)
    torch.manual_seed(1)
    for layer in adapted(model).values():
        nn.init.normal_(layer.lora_B, std=0.1)
    parameters = [each for each in model.parameters() if each.requires_grad]
    ids, targets = pad(tiny.rows_of(either_base, TEXTS), 0)
    logits = model(input_ids=ids).logits
    plain = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    expected = torch.autograd.grad(plain, parameters)
    loss = training_loss(model, body_of(model, int8=False), ids, targets)
    loss.backward()
    found = [each.grad for each in parameters]
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_a_head_that_is_trained_gets_its_gradient(gpt2_base: Base) -> None:
    model = gpt2_base.model.requires_grad_(True)
    ids, targets = pad(tiny.rows_of(gpt2_base, TEXTS), 0)
    training_loss(model, body_of(model, int8=False), ids, targets).backward()
    plain = model(input_ids=ids).logits
    loss = nn.functional.cross_entropy(plain.flatten(0, 1), targets.flatten(), reduction="sum")
    (expected,) = torch.autograd.grad(loss, [model.get_output_embeddings().weight])
    found = model.get_output_embeddings().weight.grad
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
