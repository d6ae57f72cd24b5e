"""Mean opinion scores and preferences by engine, with intervals that new raters and new turns bear.

A score depends on who gives it and on what was said, and both were drawn from many. So raters and
turns are resampled, each with replacement and independently, and a rating counts as often as its
rater times its turn were drawn (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1,
2007; it errs on the wide side). The same draws serve all engines, which pairs them. Limits are
percentiles. Knows answers that count; nothing of exclusion or rendering.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.ratings.bradley_terry import preference, strengths
from benchmarks.ratings.read import ACR, PAIR, A, Answer, B, Key
from benchmarks.statistics.bootstrap import DRAWS, SEED, Interval, interval

FEW_RATINGS = 30
FEW_RATERS = 6
_CHUNK = 500  # draws held at a time


@dataclass(frozen=True)
class Opinion:
    """The mean opinion score (1 to 5) of an engine or of an anchor."""

    name: str
    mos: float | None
    ci: Interval | None  # None: fewer than two raters or two turns
    raters: int
    ratings: int
    clips: int
    enough: bool


@dataclass(frozen=True)
class Strength:
    """An engine's Bradley-Terry log-strength; the mean of all is 0."""

    name: str
    score: float | None
    ci: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Two engines: the paired difference of their MOS, and who was preferred how often."""

    one: str
    other: str
    difference: float | None  # MOS of one minus MOS of other
    difference_ci: Interval | None
    preferred_one: int
    preferred_other: int
    same: int
    raters: int  # who gave these preferences
    preference: float | None  # modelled probability that `one` is preferred
    preference_ci: Interval | None
    enough: bool


def opinions(
    answers: Sequence[Answer], key: Key, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[list[Opinion], dict[tuple[str, str], tuple[float | None, Interval | None]]]:
    """The MOS of each engine and anchor, and the difference of every two engines."""
    names = [*key.engines, *(r for r in ("high", "low") if _has(key, r))]
    rated = [a for a in answers if a.kind == ACR and _whose(a.a, key) in names]
    counts = np.zeros((len(rated), 2 * len(names)))  # sum and number of each name in turn
    for row, answer in zip(counts, rated, strict=True):
        at = 2 * names.index(_whose(answer.a, key))
        row[at : at + 2] = answer.score, 1
    turns = [_turn(a.a, key) for a in rated]
    sums = crossed(counts, [a.rater for a in rated], turns, draws=draws, seed=seed)
    means = _ratio(sums)  # [draws, names]
    whole = _ratio(counts.sum(axis=0, keepdims=True))[0]
    found: list[Opinion] = []
    for at, name in enumerate(names):
        theirs = [a for a in rated if _whose(a.a, key) == name]
        raters, clips = len({a.rater for a in theirs}), len({a.a for a in theirs})
        limits = interval(means[:, at]) if raters > 1 and clips > 1 else None
        enough = len(theirs) >= FEW_RATINGS and raters >= FEW_RATERS
        mean = _known(whole[at])
        found.append(Opinion(name, mean, limits, raters, len(theirs), clips, enough))
    apart: dict[tuple[str, str], tuple[float | None, Interval | None]] = {}
    for (i, one), (j, other) in combinations(enumerate(key.engines), 2):
        limits = interval(means[:, i] - means[:, j]) if found[i].ci and found[j].ci else None
        apart[one, other] = _known(whole[i] - whole[j]), limits
    return found, apart


def preferences(
    answers: Sequence[Answer], key: Key, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[list[Strength], list[Comparison]]:
    """Bradley-Terry strengths and every two engines' preferences, without MOS differences."""
    k = len(key.engines)
    asked = [a for a in answers if a.kind == PAIR and key.pairs[a.task]["role"] == "engine"]
    wins = np.zeros((len(asked), k * k))
    for row, answer in zip(wins, asked, strict=True):
        i, j = (key.engines.index(key.clips[name]["engine"]) for name in (answer.a, answer.b))
        share = {A: 1.0, B: 0.0}.get(answer.preferred, 0.5)
        row[i * k + j], row[j * k + i] = share, 1.0 - share
    raters = [a.rater for a in asked]
    turns = [_turn(a.a, key) for a in asked]
    whole = strengths(wins.sum(axis=0).reshape(k, k))
    many = len(set(raters)) > 1 and len(set(turns)) > 1
    sums = crossed(wins, raters, turns, draws=draws if many else 0, seed=seed)
    drawn = strengths(sums.reshape(len(sums), k, k))  # [draws, k]
    scores = [
        Strength(name, _known(whole[at]), interval(drawn[:, at]) if many else None)
        for at, name in enumerate(key.engines)
    ]
    pairs = [
        _comparison(asked, key, i, j, whole, drawn if many else None)
        for i, j in combinations(range(k), 2)
    ]
    return scores, pairs


def crossed(
    counts: np.ndarray,
    raters: Sequence[Hashable],
    turns: Sequence[Hashable],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> np.ndarray:
    """Column sums of `counts` `[n, k]` with raters and turns drawn anew: float64 `[draws, k]`."""
    rng = np.random.default_rng(seed)
    (by_rater, people), (by_turn, places) = _numbered(raters), _numbered(turns)
    sums: list[np.ndarray] = []
    for done in range(0, draws if len(counts) else 0, _CHUNK):
        size = min(_CHUNK, draws - done)
        often = rng.multinomial(people, np.full(people, 1 / people), size)[:, by_rater]
        often = often * rng.multinomial(places, np.full(places, 1 / places), size)[:, by_turn]
        sums.append(often @ counts)  # [size, n] x [n, k]
    return np.concatenate(sums) if sums else np.empty((0, counts.shape[1]))


def _comparison(
    asked: Sequence[Answer], key: Key, i: int, j: int, whole: np.ndarray, drawn: np.ndarray | None
) -> Comparison:
    one, other = key.engines[i], key.engines[j]
    chosen: list[str | None] = []
    raters: set[str] = set()
    for answer in asked:
        whose = {A: _whose(answer.a, key), B: _whose(answer.b, key)}
        if set(whose.values()) == {one, other}:
            chosen.append(whose.get(answer.preferred))
            raters.add(answer.rater)
    share = _known(float(preference(whole, i, j))) if chosen else None
    limits = None if drawn is None or share is None else interval(preference(drawn, i, j))
    return Comparison(
        one,
        other,
        None,
        None,
        chosen.count(one),
        chosen.count(other),
        chosen.count(None),
        len(raters),
        share,
        limits,
        len(chosen) >= FEW_RATINGS and len(raters) >= FEW_RATERS,
    )


def _whose(clip: str, key: Key) -> str:
    about = key.clips[clip]
    return about["engine"] if about["role"] == "engine" else about["role"]


def _has(key: Key, role: str) -> bool:
    return any(about["role"] == role for about in key.clips.values())


def _turn(clip: str, key: Key) -> Hashable:
    """What was said; an anchor is a turn of its own."""
    about = key.clips[clip]
    return (about["conversation"], about["turn"]) if about["role"] == "engine" else clip


def _ratio(sums: np.ndarray) -> np.ndarray:
    total, number = sums[:, 0::2], sums[:, 1::2]
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def _numbered(names: Sequence[Hashable]) -> tuple[np.ndarray, int]:
    numbers = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64), len(numbers)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
