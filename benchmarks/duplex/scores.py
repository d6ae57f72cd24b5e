"""The duplex suite in figures: each with its n and its interval, and what would be better.

Rates have Wilson's interval, times the order statistics' (a turn without an answer counts as later
than all, `math.inf`). Scheduled stimuli that failed stay in the denominators of rates and among the
missing times, except where the engine had no chance: nothing to speak into, or no call at all is
counted apart, as `excluded`. Pure functions on rows; knows nothing of files or reports.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from benchmarks.duplex.rows import (
    BACKCHANNEL,
    ECHO,
    INTERRUPTION,
    NOISE,
    PAUSE,
    SIDE_SPEECH,
    SMOOTH,
    USER_BACKCHANNEL,
    DuplexRow,
)
from benchmarks.statistics.order import percentile_interval
from benchmarks.statistics.proportions import wilson

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Score:
    """One figure of one engine; shares are fractions, times ms. None: n is too small."""

    task: str
    name: str
    unit: Literal["share", "ms", "1/s", "bits"]
    better: Better
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None
    excluded: int = 0  # scheduled, and no chance for the engine to do it


Yes = Callable[[DuplexRow], bool]
Time = Callable[[DuplexRow], float | None]


def scores(rows: Iterable[DuplexRow], engine: str) -> list[Score]:
    """All figures of one engine, in the order of the tasks; none of a task without rows."""
    mine: dict[str, list[DuplexRow]] = {}
    for row in rows:
        if row.engine == engine:
            mine.setdefault(row.task, []).append(row)
    found: list[Score] = []
    for task, of_task in (
        (PAUSE, _pause),
        (BACKCHANNEL, _backchannel),
        (SMOOTH, _answers),
        (INTERRUPTION, _interruption),
        (USER_BACKCHANNEL, _user_backchannel),
        (ECHO, _answers),
        (SIDE_SPEECH, _answers),
        (NOISE, _answers),
    ):
        if task in mine:
            found += of_task(task, mine[task])
    return found


def _pause(task: str, rows: list[DuplexRow]) -> list[Score]:
    holds = sorted({row.condition for row in rows}, key=lambda hold: int(hold.split()[1]))
    return [
        _rate(task, "turn taken in a pause", "lower", rows, _took),
        *(
            _rate(
                task,
                f"turn taken in a pause, {hold}",
                "lower",
                [row for row in rows if row.condition == hold],
                _took,
            )
            for hold in holds
        ),
        _rate(task, "began to speak in a turn", "lower", rows, lambda r: r.early_starts > 0),
    ]


def _backchannel(task: str, rows: list[DuplexRow]) -> list[Score]:
    told = [row for row in rows if row.backchannel_hz is not None]
    lost = len(rows) - len(told)
    hertz = [row.backchannel_hz for row in told]
    places = [row.backchannel_jsd for row in told]
    return [
        _rate(task, "turn taken in a story", "lower", rows, _took),
        Score(task, "backchannels", "1/s", "", len(told), _mean(hertz), excluded=lost),
        Score(
            task,
            "distance from the places left",
            "bits",
            "lower",
            len(told),
            _mean(places),
            excluded=lost,
        ),
    ]


def _answers(task: str, rows: list[DuplexRow]) -> list[Score]:
    found = [
        _rate(task, "turn taken at its end", "higher", rows, _took),
        *_times(task, "answer after", rows, lambda r: r.latency_ms),
    ]
    if task == SMOOTH:
        early = _rate(task, "began before the end", "lower", rows, lambda r: r.early_starts > 0)
        return [*found, early]
    return [
        *found,
        _rate(task, "spoke again unasked", "lower", rows, lambda r: r.extra_answers > 0),
    ]


def _interruption(task: str, rows: list[DuplexRow]) -> list[Score]:
    cut = [row for row in rows if row.second is not None and row.stop_ms is not None]
    asked = [row for row in rows if row.second is not None]
    stale = [row.stale_ms for row in cut if row.stale_ms is not None]
    lost = len(rows) - len(cut)
    return [
        *_times(task, "silent after", cut, lambda r: r.stop_ms, excluded=lost),
        _rate(
            task,
            "new turn answered",
            "higher",
            asked,
            lambda r: r.answered,
            excluded=len(rows) - len(asked),
        ),
        *_times(task, "new answer after", cut, lambda r: r.latency_ms, excluded=lost),
        Score(task, "stale sound", "ms", "lower", len(stale), _mean(stale), excluded=lost),
    ]


def _user_backchannel(task: str, rows: list[DuplexRow]) -> list[Score]:
    spoken = [row for row in rows if row.went_on is not None]
    lost = len(rows) - len(spoken)
    return [
        _rate(task, "went on speaking", "higher", spoken, lambda r: bool(r.went_on), excluded=lost)
    ]


def _took(row: DuplexRow) -> bool:
    return bool(row.took_turn)


def _rate(
    task: str, name: str, better: Better, rows: list[DuplexRow], yes: Yes, *, excluded: int = 0
) -> Score:
    if better == "lower":  # what was never heard must not pass for good behaviour
        heard = [row for row in rows if row.took_turn is not None]
        rows, excluded = heard, excluded + len(rows) - len(heard)
    value, low, high = wilson(sum(map(yes, rows)), len(rows))
    return Score(task, name, "share", better, len(rows), value, low, high, excluded)


def _times(
    task: str, name: str, rows: list[DuplexRow], time: Time, *, excluded: int = 0
) -> list[Score]:
    values = [time(row) for row in rows]
    found = []
    for share, label in ((0.5, "p50"), (0.95, "p95")):
        value, low, high = percentile_interval(values, share)
        found.append(
            Score(task, f"{name}, {label}", "ms", "lower", len(values), value, low, high, excluded)
        )
    return found


def _mean(values: list[float | None] | list[float]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
