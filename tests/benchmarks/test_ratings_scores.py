"""Strengths and intervals against truths that are known."""

import numpy as np
import pytest

from benchmarks.ratings.bradley_terry import preference, strengths
from benchmarks.ratings.scores import crossed


def test_known_strengths_are_found() -> None:
    true = np.array([1.0, 0.2, -1.2])
    rng = np.random.default_rng(4)
    n = 4_000
    wins = np.zeros((3, 3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        won = rng.binomial(n, 1 / (1 + np.exp(true[j] - true[i])))
        wins[i, j], wins[j, i] = won, n - won
    found = strengths(wins)
    # Standard error of a log-odds from 4,000 comparisons at these strengths is below 0.05.
    assert found == pytest.approx(true, abs=0.1)
    assert preference(found, 0, 2) == pytest.approx(1 / (1 + np.exp(-2.2)), abs=0.02)


def test_two_engines_have_the_closed_form_and_batches_are_fitted_apart() -> None:
    wins = np.array([[[0.0, 30.0], [10.0, 0.0]], [[0.0, 5.0], [0.0, 0.0]], np.zeros((2, 2))])
    found = strengths(wins)
    assert found[0, 0] - found[0, 1] == pytest.approx(np.log(30.5 / 10.5), abs=1e-6)
    assert found[1, 0] - found[1, 1] == pytest.approx(np.log(5.5 / 0.5), abs=1e-6)  # finite
    assert np.isnan(found[2]).all()


def test_engines_never_compared_are_not_ranked() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[2, 3] = 3
    assert np.isnan(strengths(wins)).all()
    wins[1, 2] = 1
    assert not np.isnan(strengths(wins)).any()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(9)
    held = 0
    for trial in range(60):
        people, turns = rng.normal(0, 0.4, 12), rng.normal(0, 0.4, 12)
        scores = 3.5 + people[:, None] + turns + rng.normal(0, 0.7, (12, 12))
        counts = np.stack([scores.ravel(), np.ones(144)], axis=1)
        raters, places = np.repeat(np.arange(12), 12), np.tile(np.arange(12), 12)
        sums = crossed(counts, raters.tolist(), places.tolist(), draws=300, seed=trial)
        low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
        held += low <= 3.5 <= high
    # A bootstrap over ratings alone would hold it in about half of the trials.
    assert held >= 53
