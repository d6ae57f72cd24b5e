"""Confidence intervals of pooled rates and of their differences, by a paired cluster bootstrap.

Utterances of one conversation, or readings of one sentence, share words and speaker, so the groups
are drawn, with all that is in them. The same draw serves every rate, which pairs the systems: what
is hard for both cancels in a difference. Knows nothing of what the counts count.

Sources: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance
evaluation", ICASSP 2004 (pooled error rates, paired differences); Davison and Hinkley, "Bootstrap
Methods and their Application", 1997, section 3.8 (groups), 5.3 (percentile limits).
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
SEED = 0
FEW_GROUPS = 30  # with fewer, percentile limits are known to be too narrow
_CHUNK = 1 << 20  # group counts held at a time: 8 MB


@dataclass(frozen=True)
class Interval:
    """The central 95 % of the resampled values."""

    low: float
    high: float


def resampled(
    counts: np.ndarray, groups: Sequence[Hashable], *, draws: int = DRAWS, seed: int = SEED
) -> np.ndarray:
    """Column sums of `counts` `[n, k]` in `draws` samples of the groups with replacement.

    `groups` names the group of each of the n rows; every sample has as many groups as there are.
    The result, float64 `[draws, k]`, is a function of the arguments alone.
    """
    rows = _per_group(np.asarray(counts, np.float64), groups)  # [groups, k]
    sums = [drawn @ rows for drawn in _draws(len(rows), draws, seed)]
    return np.concatenate(sums) if sums else np.empty((0, rows.shape[1]))


def interval(values: np.ndarray) -> Interval | None:
    """Percentile limits of resampled values `[draws]`; draws without a value (NaN) are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return Interval(float(low), float(high))


def rate_intervals(
    counts: np.ndarray, groups: Sequence[Hashable], *, draws: int = DRAWS, seed: int = SEED
) -> list[Interval | None]:
    """Limits of k pooled rates; `counts` `[n, 2 k]`: edits and length of each rate in turn.

    None for all where one group alone was measured: nothing says how another would differ.
    """
    if len(set(groups)) < 2:
        return [None] * (counts.shape[1] // 2)
    sums = resampled(counts, groups, draws=draws, seed=seed)
    return [interval(_rates(sums[:, at : at + 2])) for at in range(0, counts.shape[1], 2)]


def rate_difference(
    ours: np.ndarray,
    theirs: np.ndarray,
    groups: Sequence[Hashable],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[float, Interval | None]:
    """Pooled rate of `ours` minus that of `theirs`, int `[n, 2]` (edits, length) of the same rows.

    NaN where a side has no length at all.
    """
    both = np.hstack([ours, theirs])
    total = both.sum(axis=0, keepdims=True).astype(np.float64)  # [1, 4]
    difference = float((_rates(total[:, :2]) - _rates(total[:, 2:]))[0])
    if len(set(groups)) < 2:
        return difference, None
    sums = resampled(both, groups, draws=draws, seed=seed)
    return difference, interval(_rates(sums[:, :2]) - _rates(sums[:, 2:]))


def resampled_quantiles(
    values: np.ndarray,
    groups: Sequence[Hashable],
    shares: Sequence[float],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> np.ndarray:
    """Percentiles of `values` `[n]` in `draws` samples of the groups, float64 `[draws, shares]`.

    The percentile is the smallest value that at least `share` of the sample do not exceed; a value
    that never happened is `inf`. Two calls with the same groups in the same order use the same
    samples, so their difference is paired.
    """
    order = np.argsort(values, kind="stable")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    owner = np.array([numbers[group] for group in groups])[order]  # [n]
    step = max(1, _CHUNK // len(values))
    found = []
    for drawn in _draws(len(numbers), draws, seed):
        for at in range(0, len(drawn), step):
            below = np.cumsum(drawn[at : at + step, owner], axis=1)  # [some, n]
            ranks = np.ceil(below[:, -1:] * np.asarray(shares) - 1e-9)  # [some, shares]
            places = [np.argmax(below >= ranks[:, [k]], axis=1) for k in range(len(shares))]
            found.append(np.asarray(values, np.float64)[order][np.stack(places, axis=1)])
    return np.concatenate(found) if found else np.empty((0, len(shares)))


def _rates(sums: np.ndarray) -> np.ndarray:
    """Edits over length, `[draws, 2]` to `[draws]`; NaN where the length is 0."""
    edits, length = sums[:, 0], sums[:, 1]
    return np.divide(edits, length, out=np.full(len(sums), np.nan), where=length > 0)


def _per_group(counts: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    rows = np.zeros((len(numbers), counts.shape[1]))
    np.add.at(rows, [numbers[group] for group in groups], counts)
    return rows


def _draws(groups: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is in each sample: float64 `[some, groups]` until `draws` are made."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // groups)
    for done in range(0, draws, step):
        size = min(step, draws - done)
        places = rng.integers(groups, size=(size, groups))
        places += np.arange(size)[:, None] * groups  # each sample counts in a row of its own
        counted = np.bincount(places.ravel(), minlength=size * groups)
        yield counted.reshape(size, groups).astype(np.float64)
