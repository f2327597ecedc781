"""Wilson's interval: published values, and what must hold of every count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.intervals import wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_mirrors(count: tuple[int, int]) -> None:
    right, total = count
    low, high = wilson(right, total)
    assert 0 <= low <= right / total + 1e-12 and right / total - 1e-12 <= high <= 1
    assert (1 - high, 1 - low) == pytest.approx(wilson(total - right, total), abs=1e-12)
    twice = wilson(2 * right, 2 * total)
    assert twice[1] - twice[0] < high - low  # more answers, more certainty
