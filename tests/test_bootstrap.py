"""Intervals: formulas against printed examples, resampling against what can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import (
    centred,
    difference_interval,
    drawn,
    mean_interval,
    newcombe,
    percentiles,
    ratio_draws,
    weights,
    wilson,
)

CONFIG = ReportConfig(resamples=400)


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilsons_interval_is_that_of_the_printed_table(
    hits: int, size: int, low: float, high: float
) -> None:
    assert wilson(hits, size) == pytest.approx((low, high), abs=5e-5)


def test_no_texts_have_no_interval() -> None:
    assert wilson(0, 0) is None
    assert newcombe((0, 0), (1, 2)) is None


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),  # Newcombe 1998, 17:873, table II, method 10
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_newcombes_interval_is_that_of_the_printed_table(
    first: tuple[int, int], second: tuple[int, int], interval: tuple[float, float]
) -> None:
    assert newcombe(first, second) == pytest.approx(interval, abs=5e-5)


def test_the_middle_of_a_hundred_and_one_values() -> None:
    assert percentiles(np.arange(101.0)) == (2.5, 97.5)
    assert percentiles(np.array([np.nan, 1.0, np.inf])) == (1.0, 1.0)
    assert percentiles(np.array([np.nan])) is None


def test_centred_values_have_the_estimate_for_their_mean() -> None:
    low, high = centred(np.arange(101.0), 10.0) or (0, 0)  # mean 50, so all move by -40
    assert (low, high) == (-37.5, 57.5)


def test_a_mean_of_equal_numbers_is_certain() -> None:
    assert mean_interval([3, 3, 3], CONFIG) == (3.0, 3.0)
    assert difference_interval([3, 3], [1, 1, 1], CONFIG) == (2.0, 2.0)


def test_two_numbers_have_three_means() -> None:
    assert set(ratio_draws([0, 4], [1, 1], CONFIG)) == {0.0, 2.0, 4.0}
    assert mean_interval([0, 4], CONFIG) == (0.0, 4.0)


def test_draws_are_the_same_for_a_seed_and_others_for_another_stream() -> None:
    assert (drawn(9, CONFIG) == drawn(9, CONFIG)).all()
    assert (drawn(9, CONFIG) != drawn(9, CONFIG, stream=1)).any()
    assert (drawn(9, CONFIG) != drawn(9, ReportConfig(resamples=400, seed=1))).any()


@given(size=st.integers(1, 20), taken=st.integers(1, 30))
def test_weights_count_what_is_taken(size: int, taken: int) -> None:
    counts = weights(size, taken, ReportConfig(resamples=5))
    assert counts.shape == (5, size)
    assert (counts.sum(axis=1) == taken).all()
