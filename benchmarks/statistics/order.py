"""Percentiles with intervals that assume no shape: both are values that were measured.

Between which two order statistics the true percentile lies is a matter of counting (each value is
below it with probability `share`), so the interval holds for any distribution, long tails and
missing turns included. Knows nothing of what was measured.

Source: David and Nagaraja, "Order Statistics", 3rd ed. 2003, section 7.1.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr

CONFIDENCE = 0.95  # two-sided, equal tails


def percentile_interval(
    values: Sequence[float | None], share: float, confidence: float = CONFIDENCE
) -> tuple[float | None, float | None, float | None]:
    """The percentile of `values` and the limits of its interval, in the values' unit.

    A value of None never happened (a turn without an answer): it counts as later than all others,
    and a percentile or limit that falls among those is `math.inf`. The percentile is the smallest
    measured value that at least `share` of all do not exceed. It is None where fewer than one
    value is expected above it (p50 needs 2, p95 20, p99 100); a limit is None where no order
    statistic holds the confidence (an upper one of p95 needs 72 values, of p99 368).

    Args:
        values: in any order; NaN is not a value.
        share: 0.95 for p95, strictly between 0 and 1.

    Raises:
        ValueError: a share outside (0, 1), or a value that is NaN.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of a percentile lies between 0 and 1, not {share}")
    ordered = sorted(math.inf if value is None else float(value) for value in values)
    if any(math.isnan(value) for value in ordered):
        raise ValueError("a value is NaN; give None for what did not happen")
    n = len(ordered)
    value = None
    if n * (1 - share) >= 1 - 1e-9:
        value = ordered[math.ceil(n * share - 1e-9) - 1]
    lower, upper = interval_ranks(n, share, confidence)
    return (
        value,
        None if lower is None else ordered[lower - 1],
        None if upper is None else ordered[upper - 1],
    )


def interval_ranks(
    n: int, share: float, confidence: float = CONFIDENCE
) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the order statistics that hold the percentile, each tail by itself.

    The lower one is the greatest rank l with P(B < l) <= a/2 and the upper one the smallest rank u
    with P(B >= u) <= a/2, where B ~ Binomial(n, share) counts the values below the percentile and
    a = 1 - confidence. None where there is no such rank.
    """
    tail = (1 - confidence) / 2
    if n == 0:
        return None, None
    below = bdtr(np.arange(n, dtype=np.float64), n, share)  # P(B <= k), k = 0 .. n - 1
    low = int(np.searchsorted(below, tail, side="right"))  # k with P(B <= k) <= tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1  # P(B <= u - 1) >= 1 - tail
    return low or None, high if high <= n else None
