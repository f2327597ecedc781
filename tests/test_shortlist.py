"""Sampled softmax: exact where everything is listed, right on average where it is not."""

from __future__ import annotations

import torch
from torch import nn

from mynah.loss import _HeadLoss
from mynah.shortlist import Shortlist, choose_shortlist, make_shortlist

VOCABULARY, WIDTH = 12_000, 8


def head() -> torch.Tensor:
    return torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(0)) / 4


def hidden(rows: int = 20) -> torch.Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(1))


def listed(always: list[int], drawn: int) -> Shortlist:
    weight, kept = head(), torch.tensor(always)
    others = torch.ones(VOCABULARY, dtype=torch.bool)
    others[kept] = False
    return make_shortlist(weight, kept, others.nonzero()[:, 0], drawn)


def loss(shortlist: Shortlist, targets: torch.Tensor, seed: int = 0) -> torch.Tensor:
    columns = shortlist.draw(seed)
    place = columns.place[targets]
    found: torch.Tensor = _HeadLoss.apply(hidden(), columns.weight, place, columns.correction, None)
    return found


def test_what_the_posts_have_and_what_the_model_expects_is_always_there() -> None:
    weight, states = head(), hidden()
    found = choose_shortlist(weight, states, [[0, 7, 9, 0], [0, 11_999, 0]], likely=50)
    assert found is not None
    expected = torch.softmax(states @ weight.T, dim=-1).mean(dim=0)
    likeliest = set(expected.topk(50).indices.tolist())
    always = set(found.always.tolist())
    assert {0, 7, 9, 11_999} | likeliest <= always
    assert len(always) == 54 and not always & set(found.rest.tolist())
    assert len(always) + len(found.rest) == VOCABULARY


def test_where_most_tokens_matter_all_are_used() -> None:
    rows = [list(range(6_000))]
    assert choose_shortlist(head(), hidden(), rows) is None


def test_with_every_token_drawn_the_loss_is_exact() -> None:
    targets = torch.arange(20)
    plain = nn.functional.cross_entropy(hidden() @ head().T, targets, reduction="sum")
    found = loss(listed(list(range(20)), drawn=VOCABULARY), targets)
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-4)


def test_a_draw_estimates_the_sum_over_what_was_not_drawn() -> None:
    targets = torch.arange(20)
    plain = nn.functional.cross_entropy(hidden() @ head().T, targets, reduction="sum")
    shortlist = listed(list(range(20)), drawn=1_000)
    found = torch.stack([loss(shortlist, targets, seed) for seed in range(20)])
    torch.testing.assert_close(found.mean(), plain, rtol=2e-3, atol=0)
    naive = nn.functional.cross_entropy(
        hidden() @ shortlist.draw(0).weight.T, targets, reduction="sum"
    )
    assert naive < 0.9 * plain  # without the correction, tokens that were not drawn are forgotten


def test_the_same_seed_draws_the_same() -> None:
    shortlist = listed([1, 2, 3], drawn=10)
    first, again, other = (shortlist.draw(seed).place for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_each_draw_has_the_rows_of_its_tokens_in_one_place() -> None:
    shortlist = listed([1, 2, 3], drawn=10)
    where = shortlist.weight.data_ptr()
    for seed in (5, 6, 5):
        columns = shortlist.draw(seed)
        tokens = [1, *columns.place.nonzero()[:, 0].tolist()]  # the place of 1 is 0
        assert len(set(tokens)) == len(columns.weight) == 13
        assert torch.equal(columns.weight[columns.place[tokens]], head()[tokens])
        assert columns.weight.data_ptr() == where
