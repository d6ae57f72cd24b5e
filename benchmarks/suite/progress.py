"""How far a run is, with an estimate of the time left: bars on a terminal, a line now and then
in a file.

Knows how far something is, not what it is.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

EVERY = 30.0  # seconds from one line to the next


class Progressing(Protocol):
    """Who is told how far something is."""

    def show(self, what: str, done: int, total: int) -> None:
        """`done` of `total` of it."""
        ...


class Lines:
    """A line at the first word, one every `EVERY` seconds, and one when all is done."""

    def __init__(self, console: Console, now: Callable[[], float] = monotonic) -> None:
        """`now`: seconds on a monotonic clock."""
        self._console, self._now = console, now
        self._begun: dict[str, tuple[float, int]] = {}  # when, and what was done by then
        self._told: dict[str, float] = {}

    def show(self, what: str, done: int, total: int) -> None:
        """`done` of `total` of it."""
        at = self._now()
        begun, before = self._begun.setdefault(what, (at, done))
        if at - self._told.get(what, -math.inf) < EVERY and done < total:
            return
        self._told[what] = at
        line = f"{what}: {done} of {total}"
        if before < done < total:
            line += f", about {(at - begun) / (done - before) * (total - done):.0f} s left"
        self._console.print(line, markup=False, highlight=False)


class Bars:
    """Named bars, one below the other; the first word of a new one adds it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    def show(self, what: str, done: int, total: int) -> None:
        """`done` of `total` of it."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)  # type: ignore[arg-type]


@contextmanager
def bars(console: Console) -> Iterator[Progressing]:
    """Bars on `console` until the block ends; lines, where it is no terminal."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)
