"""Intervals against what theory says of simple counts."""

import math

import numpy as np
import pytest

from benchmarks.statistics.bootstrap import (
    Interval,
    interval,
    rate_difference,
    rate_intervals,
    resampled,
)

COIN = np.column_stack([np.arange(400) % 10 < 3, np.ones(400)]).astype(int)  # 3 errors in 10 words


def width(found: Interval | None) -> float:
    assert found is not None
    return found.high - found.low


def limits(found: Interval | None) -> tuple[float, float]:
    assert found is not None
    return found.low, found.high


def test_limits_of_a_proportion():
    """Of 400 words with 3 wrong in 10, the standard error is √(0.3 · 0.7 / 400)."""
    [found] = rate_intervals(COIN, range(400))
    half = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    assert limits(found) == pytest.approx((0.3 - half, 0.3 + half), abs=0.004)


def test_two_groups():
    """One right, one wrong: both, one of each twice as often, or neither."""
    rates = resampled(np.array([[0, 1], [1, 1]]), ["a", "b"], draws=20_000)[:, 0] / 2
    shares = [np.mean(rates == rate) for rate in (0, 0.5, 1)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.015)
    assert interval(rates) == Interval(0, 1)


def test_a_seed_gives_one_result():
    first, again, other = (resampled(COIN, range(400), seed=seed) for seed in (1, 1, 2))
    assert first.shape == (10_000, 2)
    assert (first == again).all()
    assert not (first == other).all()


def test_groups_are_drawn_whole():
    """Four equal readings of a sentence know no more than one; as if independent, half as wide."""
    fourfold, sentences = np.repeat(COIN, 4, axis=0), [row // 4 for row in range(1600)]
    [alone], [together] = rate_intervals(COIN, range(400)), rate_intervals(fourfold, sentences)
    assert alone == together
    [apart] = rate_intervals(fourfold, range(1600))
    assert width(apart) == pytest.approx(width(alone) / 2, rel=0.08)


def test_groups_need_not_be_neighbours():
    order = np.random.default_rng(5).permutation(400)
    names = [str(i // 4) for i in range(400)]
    [sorted_], [mixed] = (
        rate_intervals(COIN[at], [names[i] for i in at], draws=4000)
        for at in (np.arange(400), order)
    )
    assert limits(mixed) == pytest.approx(limits(sorted_), abs=0.006)


def test_difficulty_that_both_share_cancels():
    """One system makes one error more in each sentence of ten words, whatever the sentence."""
    hard = np.random.default_rng(3).integers(0, 9, 50)
    theirs = np.column_stack([hard, np.full(50, 10)])
    ours = theirs + [1, 0]
    difference, found = rate_difference(ours, theirs, range(50))
    assert difference == pytest.approx(0.1)
    assert limits(found) == pytest.approx((0.1, 0.1))
    assert width(rate_intervals(ours, range(50))[0]) > 0.1  # each alone is much less sure
    assert rate_difference(theirs, theirs, range(50)) == (0, Interval(0, 0))


def test_nothing_to_resample():
    assert rate_intervals(COIN[:1], ["only"]) == [None]
    assert rate_intervals(COIN, ["one conversation"] * 400) == [None]
    assert rate_difference(COIN, COIN, ["one conversation"] * 400) == (0, None)


def test_draws_without_reference_words_are_left_out():
    """Two utterances, one of silence: a quarter of the draws have no words and so no rate."""
    [found] = rate_intervals(np.array([[1, 2], [1, 0]]), ["speech", "silence"])
    assert limits(found) == (0.5, 1.0)  # speech twice, or once with the silence
    assert rate_intervals(np.array([[1, 0], [1, 0]]), ["a", "b"]) == [None]
