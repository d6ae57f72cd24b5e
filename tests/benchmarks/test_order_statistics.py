"""Percentiles and their limits against counts by hand, published ranks and simulated coverage."""

import math

import numpy as np
import pytest

from benchmarks.statistics.order import interval_ranks, percentile_interval
from benchmarks.statistics.proportions import wilson


@pytest.mark.parametrize(
    ("n", "share", "ranks"),
    [
        (200, 0.95, (184, 197)),  # P(B < 184) = 0.024, P(B >= 197) = 0.009
        (71, 0.95, (63, None)),  # 0.95 ** 71 > 0.025: even the greatest value may be too small
        (72, 0.95, (64, 72)),
        (10, 0.5, (2, 9)),  # the textbook's sign-test interval, 97.9 %
        (5, 0.5, (None, None)),
        (0, 0.5, (None, None)),
    ],
)
def test_ranks(n, share, ranks):
    assert interval_ranks(n, share) == ranks


def test_the_percentile_is_a_value_that_was_measured():
    values = list(range(1, 201))
    assert percentile_interval(values[::-1], 0.95) == (190, 184, 197)
    assert percentile_interval(values, 0.5)[0] == 100
    assert percentile_interval([], 0.5) == (None, None, None)
    assert percentile_interval([7.0], 0.5) == (None, None, None)
    assert percentile_interval([7.0, 9.0], 0.5)[0] == 7.0
    assert percentile_interval(values[:19], 0.95)[0] is None
    assert percentile_interval(values[:20], 0.95)[0] == 19
    assert percentile_interval(values[:100], 0.99) == (99, 97, None)


def test_turns_without_an_answer_count_as_later_than_all():
    values = [*range(1, 95), None, None, None, None, None, None]
    assert percentile_interval(values, 0.5)[0] == 50
    assert percentile_interval(values, 0.95)[0] == math.inf
    assert percentile_interval(values, 0.90)[0] == 90


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    true = math.log(20)  # p95 of the unit exponential
    hits = 0
    for sample in rng.exponential(size=(1_000, 200)):
        _, low, high = percentile_interval(list(sample), 0.95)
        assert low is not None
        assert high is not None
        hits += low <= true <= high
    assert 0.94 <= hits / 1_000 <= 0.985  # discrete ranks hold a little more than 95 %


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval([1.0], 95)
    with pytest.raises(ValueError, match="NaN"):
        percentile_interval([math.nan], 0.5)
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(112, 119, 0.883, 0.971), (19, 20, 0.764, 0.991), (190, 200, 0.910, 0.973)],
)
def test_wilson(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((successes / n, low, high), abs=6e-4)


def test_wilson_at_the_ends():
    assert wilson(0, 0) == (None, None, None)
    share, low, high = wilson(0, 20)
    assert (share, low) == (0.0, 0.0)
    assert high == pytest.approx(0.161, abs=1e-3)
    assert wilson(20, 20)[1:] == (pytest.approx(0.839, abs=1e-3), 1.0)
