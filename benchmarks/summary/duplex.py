"""The duplex suite in `results.json`: every behaviour of every engine, and their differences.

The figures are `duplex.scores`'; the differences pair the engines by stimulus, which is also what a
bootstrap sample draws. Knows nothing of how an outcome is judged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.duplex.rows import DUPLEX as ROWS
from benchmarks.duplex.rows import INTERRUPTION, PAUSE, SMOOTH, DuplexRow, read
from benchmarks.duplex.scores import Score, scores
from benchmarks.statistics.bootstrap import (
    FEW_GROUPS,
    interval,
    rate_difference,
    resampled_quantiles,
)
from benchmarks.suite.rows import RowError
from benchmarks.summary.figure import TOO_SMALL, Figure, from_interval

# Shares that a radar shows, as what one wants: task, figure, name of the axis, whether 1 is bad.
AXES = (
    ("pause", "turn taken in a pause", "pause", True),
    ("backchannel", "turn taken in a story", "story", True),
    ("smooth", "turn taken at its end", "end of turn", False),
    ("interruption", "new turn answered", "cut-in", False),
    ("user-backchannel", "went on speaking", "caller’s “mm”", False),
    ("echo", "turn taken at its end", "echo", False),
    ("side-speech", "turn taken at its end", "side speech", False),
    ("noise", "turn taken at its end", "noise", False),
)
LEAST = 5  # stimuli of a difference


@dataclass(frozen=True)
class Headline:
    """A figure of the first screen: how it is read off a row; `share` None: it is a rate."""

    task: str
    name: str
    label: str
    read: Callable[[DuplexRow], float | None]
    counts: Callable[[DuplexRow], bool]
    share: float | None = None


HEADLINES = (
    Headline(
        PAUSE,
        "turn taken in a pause",
        "Takes the turn in a pause",
        lambda r: float(bool(r.took_turn)),
        lambda r: r.took_turn is not None,
    ),
    Headline(
        INTERRUPTION,
        "silent after, p50",
        "Silent after a cut-in, p50",
        lambda r: r.stop_ms,
        lambda r: r.second is not None and r.stop_ms is not None,
        share=0.5,
    ),
    Headline(
        SMOOTH,
        "turn taken at its end",
        "Takes the turn at its end",
        lambda r: float(bool(r.took_turn)),
        lambda r: True,
    ),
)


def duplex(directory: Path, engines: Sequence[str]) -> dict[str, Any]:
    """All figures of the suite; `engines` gives the order of columns.

    Raises:
        RowError: `duplex.jsonl` cannot be used.
    """
    path = directory / ROWS
    rows = read(path)
    there = {row.engine for row in rows}
    ordered = [e for e in engines if e in there] + sorted(there - set(engines))
    try:
        found = {engine: scores(rows, engine) for engine in ordered}
    except (ValueError, TypeError) as e:
        raise RowError(f"{path}: {e}; remove the row or run again") from e
    keys = list(dict.fromkeys((s.task, s.name) for told in found.values() for s in told))
    pair = ordered if len(ordered) == 2 else []
    return {
        "engines": ordered,
        "n": {engine: sum(row.engine == engine for row in rows) for engine in ordered},
        "behaviours": [_behaviour(key, found, rows, pair) for key in keys],
        "radar": _radar(found),
        "caption": (
            "By voice activity, not by words: a turn is taken by one second of speech. Shares have "
            "Wilson's interval, times the order statistics'; differences pair the stimuli."
        ),
    }


def _behaviour(
    key: tuple[str, str],
    found: dict[str, list[Score]],
    rows: Sequence[DuplexRow],
    pair: Sequence[str],
) -> dict[str, Any]:
    task, name = key
    mine = {e: s for e, told in found.items() for s in told if (s.task, s.name) == key}
    head = next((h for h in HEADLINES if (h.task, h.name) == key), None)
    apart = difference(head, rows, *pair) if head and pair else None
    better = next(iter(mine.values())).better
    return {
        "task": task,
        "label": head.label if head else name,
        "name": name,
        "better": better,
        "headline": head is not None,
        "engines": {engine: figure(score).json() for engine, score in mine.items()},
        "excluded": {engine: score.excluded for engine, score in mine.items()},
        "difference": None if apart is None else apart.json(),
    }


def figure(score: Score) -> Figure:
    """A score as every other figure stands in `results.json`."""
    unit = {"share": "share", "ms": "ms"}.get(score.unit, "score")
    note = ""
    if score.value is None:
        note = TOO_SMALL if score.n else "nothing to count"
    elif score.low is None and score.high is None:
        note = "mean, no CI" if unit == "score" or score.name == "stale sound" else TOO_SMALL
    return Figure(score.value, score.low, score.high, score.n, unit, note)


def difference(head: Headline, rows: Sequence[DuplexRow], ours: str, theirs: str) -> Figure:
    """A headline of `ours` minus that of `theirs`, over the stimuli that count for both."""
    unit = "share" if head.share is None else "ms"
    sides = [
        {
            r.stimulus: r
            for r in rows
            if (r.engine, r.task) == (engine, head.task) and head.counts(r)
        }
        for engine in (ours, theirs)
    ]
    both = sorted(sides[0].keys() & sides[1].keys())
    if len(both) < LEAST:
        return Figure(None, None, None, len(both), unit, TOO_SMALL)
    values = [
        [math.inf if v is None else v for v in (head.read(side[s]) for s in both)] for side in sides
    ]
    note = "" if len(both) >= FEW_GROUPS else f"{len(both)} stimuli: the interval is too narrow"
    if head.share is None:
        counts = [np.array([(v, 1.0) for v in one]) for one in values]
        apart, limits = rate_difference(counts[0], counts[1], both)
        return from_interval(apart, limits, len(both), unit, note)
    rank = math.ceil(len(both) * head.share - 1e-9) - 1
    middle = [sorted(one)[rank] for one in values]
    if math.isinf(middle[0]) and math.isinf(middle[1]):
        return Figure(None, None, None, len(both), unit, "never on both sides")
    drawn = [resampled_quantiles(np.array(one), both, [head.share])[:, 0] for one in values]
    with np.errstate(invalid="ignore"):  # never less never is not a number, and is left out
        limits = interval(drawn[0] - drawn[1])
    return from_interval(middle[0] - middle[1], limits, len(both), unit, note)


def _radar(found: dict[str, list[Score]]) -> dict[str, Any]:
    """Axes that at least one engine has a value on; 1 is what one wants."""
    axes, values = [], {engine: [] for engine in found}
    for task, name, label, bad in AXES:
        one = {
            engine: next((s.value for s in told if (s.task, s.name) == (task, name)), None)
            for engine, told in found.items()
        }
        if all(value is None for value in one.values()):
            continue
        axes.append(label)
        for engine, value in one.items():
            wanted = None if value is None else round(1 - value if bad else value, 6)
            values[engine].append(wanted)
    return {"axes": axes, "engines": values}
