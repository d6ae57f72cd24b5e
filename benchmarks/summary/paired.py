"""Differences between two sides, each with a cluster bootstrap interval.

Of two engines of one run: over the same turns, and every sample draws whole conversations for both
at once, so what is hard for both cancels. Of two runs over different turns: each side is drawn by
itself. 10,000 draws, fixed seed. Knows nothing of pages.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.statistics.bootstrap import DRAWS, SEED, resampled, resampled_quantiles
from benchmarks.suite.rows import TurnRow
from benchmarks.summary.figure import TOO_SMALL, Figure, clusters_note
from benchmarks.summary.metrics import METRICS, Metric

Key = tuple[str, int, int]


def key_of(row: TurnRow) -> Key:
    """What two engines have in common of a turn."""
    return row.conversation, row.turn, row.repeat


def paired(
    ours: Sequence[TurnRow], theirs: Sequence[TurnRow]
) -> tuple[list[TurnRow], list[TurnRow]]:
    """The rows of the turns that both sides have, in one order."""
    found = {key_of(row): row for row in theirs}
    both = sorted((row for row in ours if key_of(row) in found), key=key_of)
    return both, [found[key_of(row)] for row in both]


def differences(ours: Sequence[TurnRow], theirs: Sequence[TurnRow]) -> dict[str, Any]:
    """Every metric of `ours` minus that of `theirs`, over the turns both have."""
    mine, others = paired(ours, theirs)
    return {
        "n": len(mine),
        "unpaired": len(ours) + len(theirs) - 2 * len(mine),
        "draws": DRAWS,
        "seed": SEED,
        "metrics": {m.key: difference(m, mine, others).json() for m in METRICS},
    }


def difference(
    metric: Metric, ours: Sequence[TurnRow], theirs: Sequence[TurnRow], *, pairs: bool = True
) -> Figure:
    """One metric of `ours` minus that of `theirs`; `pairs`: row i of both is the same turn."""
    n = min(len(ours), len(theirs))
    if n == 0:
        return Figure(None, None, None, 0, metric.unit, "no turn in common")
    sides = []
    for number, rows in enumerate((ours, theirs)):
        seed = SEED if pairs else SEED + number
        sides.append(_value_and_draws(metric, rows, seed))
    (value, draws, mine), (other, other_draws, others) = sides
    if value is None or other is None:
        return Figure(None, None, None, 0, metric.unit, "not on both sides")
    n = min(mine, others)
    groups = min((ours, theirs), key=lambda rows: len({r.cluster for r in rows}))
    note = clusters_note([row.cluster for row in groups])
    apart = _minus(value, other)
    if note == TOO_SMALL:
        return Figure(apart, None, None, n, metric.unit, note)
    with np.errstate(invalid="ignore"):  # never less never is not a number, and is left out
        low, high = _limits(draws - other_draws)
    return Figure(apart, low, high, n, metric.unit, note if low is not None else TOO_SMALL)


def _value_and_draws(
    metric: Metric, rows: Sequence[TurnRow], seed: int
) -> tuple[float | None, np.ndarray, int]:
    """The metric, its resampled values `[draws]`, and how many rows count in it."""
    groups = [row.cluster for row in rows]
    if metric.percentile is not None:
        values = np.array([math.inf if row.v2v_ms is None else row.v2v_ms for row in rows])
        rank = math.ceil(len(values) * metric.percentile - 1e-9)
        draws = resampled_quantiles(values, groups, [metric.percentile], seed=seed)[:, 0]
        return float(np.sort(values)[rank - 1]), draws, len(rows)
    assert metric.counts is not None
    counts = metric.counts(rows)
    edits, length = counts.sum(axis=0)
    if not length:
        return None, np.empty(0), 0
    sums = resampled(counts, groups, seed=seed)
    rates = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
    return float(edits / length), rates, int((counts[:, 1] > 0).sum())


def _minus(value: float, other: float) -> float | None:
    return None if math.isinf(value) and math.isinf(other) else value - other


def _limits(draws: np.ndarray) -> tuple[float | None, float | None]:
    """The central 95 %, as values that were drawn (some may be infinite)."""
    known = np.sort(draws[~np.isnan(draws)])
    if not len(known):
        return None, None
    low, high = (known[max(0, math.ceil(len(known) * at) - 1)] for at in (0.025, 0.975))
    return float(low), float(high)
