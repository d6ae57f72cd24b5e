"""Strengths of several engines from preferences between two at a time.

The model of Bradley and Terry: i is preferred to j with probability p_i / (p_i + p_j), fitted by
the minorisation-maximisation of Hunter, "MM algorithms for generalized Bradley-Terry models",
Annals of Statistics 32 (2004), equation 3. Rules: "no difference" is half a win for each, and every
pair that was compared starts with one such tie, so that who always won is strong and not infinitely
so. Knows no raters.
"""

import numpy as np

STEPS = 2_000
TOLERANCE = 1e-7


def strengths(wins: np.ndarray) -> np.ndarray:
    """Log-strengths, mean 0, of `wins` float `[..., k, k]`: how often row was preferred to column.

    float64 `[..., k]`, each leading index fitted by itself; NaN where an engine was compared with
    no other one. Engines of groups that were never compared with each other are not comparable:
    all NaN.
    """
    wins = np.asarray(wins, np.float64)
    k = wins.shape[-1]
    met = wins + np.swapaxes(wins, -1, -2)  # [..., k, k]
    compared = (met > 0) & ~np.eye(k, dtype=bool)
    wins = np.where(compared, wins + 0.5, 0.0)
    met = np.where(compared, met + 1.0, 0.0)
    won, present = wins.sum(axis=-1), compared.sum(axis=-1) > 0  # [..., k]
    log = np.zeros(won.shape)
    for _ in range(STEPS):
        both = np.exp(log)[..., :, None] + np.exp(log)[..., None, :]
        expected = np.where(present, (met / both).sum(axis=-1), 1.0)
        renewed = np.log(np.where(present, won, 1.0) / expected)
        others = np.maximum(1, present.sum(axis=-1, keepdims=True))
        renewed -= np.where(present, renewed, 0.0).sum(axis=-1, keepdims=True) / others
        renewed = np.where(present, renewed, 0.0)
        moved = np.abs(renewed - log).max(initial=0.0)
        log = renewed
        if moved < TOLERANCE:
            break
    known = present & _connected(compared, present)[..., None]
    return np.where(known, log, np.nan)


def preference(strength: np.ndarray, one: int, other: int) -> np.ndarray:
    """The modelled probability that `one` is preferred to `other`; strengths `[..., k]`."""
    return 1.0 / (1.0 + np.exp(strength[..., other] - strength[..., one]))


def _connected(compared: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Whether all present engines hang together by comparisons: bool `[...]`."""
    k = compared.shape[-1]
    reach = compared | np.eye(k, dtype=bool)
    for _ in range(max(1, int(np.ceil(np.log2(max(2, k)))))):
        reach = (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    both = present[..., :, None] & present[..., None, :]
    return np.logical_and.reduce(reach | ~both, axis=(-1, -2))
