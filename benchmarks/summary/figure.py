"""One figure of `results.json`: its value, its 95 % interval, of how many, and what to say of it.

No figure stands alone: whoever makes one gives n, and an interval or the reason why there is none.
What never happened (a percentile that falls on turns without an answer) is `math.inf`, in JSON the
word "never". Knows nothing of rows, engines or pages.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.statistics.bootstrap import FEW_GROUPS, Interval, rate_intervals
from benchmarks.statistics.order import percentile_interval
from benchmarks.statistics.proportions import wilson

NEVER = "never"
TOO_SMALL = "n too small"
LEAST_GROUPS = 5  # with fewer conversations drawn there are hardly two different samples
LEAST_TRIALS = 5  # of a share
DIGITS = 6  # beyond them, sums of floats differ between machines


@dataclass(frozen=True)
class Figure:
    """`low` and `high` are None where there is no limit on that side; then `note` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str  # ms, share, score, s, count
    note: str = ""

    @property
    def known(self) -> bool:
        return self.value is not None

    @property
    def has_interval(self) -> bool:
        return self.low is not None or self.high is not None

    def json(self) -> dict[str, Any]:
        """As it stands in `results.json`."""
        limits = [_number(self.low), _number(self.high)] if self.has_interval else None
        found = {"value": _number(self.value), "ci95": limits, "n": self.n, "unit": self.unit}
        return found | ({"note": self.note} if self.note else {})

    @staticmethod
    def of(found: dict[str, Any]) -> "Figure":
        """The figure that `json` wrote."""
        low, high = found["ci95"] or (None, None)
        return Figure(
            _back(found["value"]),
            _back(low),
            _back(high),
            found["n"],
            found["unit"],
            found.get("note", ""),
        )


def percentile(values: Sequence[float | None], share: float, unit: str = "ms") -> Figure:
    """A percentile with its order-statistic interval; None among the values: it never happened."""
    value, low, high = percentile_interval(values, share)
    note = ""
    if value is None or (low is None and high is None):
        note = TOO_SMALL
    elif low is None or high is None:
        note = f"{TOO_SMALL} for the {'lower' if low is None else 'upper'} limit"
    return Figure(value, low, high, len(values), unit, note)


def share(successes: int, n: int) -> Figure:
    """A share of n trials with its Wilson interval."""
    value, low, high = wilson(successes, n)
    if n < LEAST_TRIALS:
        return Figure(value, None, None, n, "share", TOO_SMALL if n else "nothing to count")
    return Figure(value, low, high, n, "share")


def share_of(answers: Iterable[bool]) -> Figure:
    """The share of those that are true."""
    known = list(answers)
    return share(sum(known), len(known))


def pooled(
    values: Sequence[tuple[float, float]],
    groups: Sequence[Hashable],
    unit: str,
    n: int | None = None,
) -> Figure:
    """Sum of the first numbers over the sum of the second, with a cluster bootstrap interval.

    `n` is how many rows count; those whose second number is above 0 unless told.
    """
    counts = np.asarray(values, np.float64).reshape(-1, 2)
    rows = int((counts[:, 1] > 0).sum()) if n is None else n
    total = counts.sum(axis=0)
    if not total[1]:
        return Figure(None, None, None, 0, unit, "nothing to count")
    limits, note = None, clusters_note(groups)
    if note != TOO_SMALL:
        limits = rate_intervals(counts, groups)[0]
    return from_interval(float(total[0] / total[1]), limits, rows, unit, note)


def mean(values: Sequence[float | None], groups: Sequence[Hashable], unit: str) -> Figure:
    """Mean of those that are there."""
    pairs = [(0.0, 0.0) if v is None else (v, 1.0) for v in values]
    return pooled(pairs, groups, unit)


def from_interval(value: float, limits: Interval | None, n: int, unit: str, note: str) -> Figure:
    """A figure with the limits of a bootstrap."""
    if limits is None:
        return Figure(value, None, None, n, unit, note or TOO_SMALL)
    return Figure(value, limits.low, limits.high, n, unit, note)


def clusters_note(groups: Sequence[Hashable]) -> str:
    """What the number of conversations means for a bootstrap interval: "", a caution, or none."""
    number = len(set(groups))
    if number < LEAST_GROUPS:
        return TOO_SMALL
    if number < FEW_GROUPS:
        return f"{number} conversations: the interval is too narrow"
    return ""


def _number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return NEVER if value > 0 else f"-{NEVER}"
    return round(value, DIGITS) + 0.0  # no -0.0


def _back(value: float | str | None) -> float | None:
    if isinstance(value, str):
        return -math.inf if value.startswith("-") else math.inf
    return value
