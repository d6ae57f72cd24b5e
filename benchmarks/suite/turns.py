"""The calls of a turn suite, one after the other, as the schedule has them, into `turns.jsonl`.

Goes on where rows of an earlier run end; survives a server that dies once; a Ctrl-C ends the call
in progress, which is repeated whole when the run is resumed. Knows schedules, servers and calls;
nothing about what the rows will mean.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.server.endpoints import Source
from benchmarks.suite.call import HungUp, Line, place
from benchmarks.suite.rows import REFUSED, TURNS, TurnRow, append, read
from benchmarks.suite.schedule import Planned
from benchmarks.suite.turn_rows import Said, rows_without_call

Progress = Callable[[Planned], None]  # told of each call that is over


class OtherSchedule(ValueError):
    """A directory's rows are not of these calls; the sentence names the remedy."""


@dataclass
class Outcome:
    """What came of the calls."""

    complete: bool = False
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)


def done(out: Path, calls: Sequence[Planned]) -> set[int]:
    """The orders of the calls that a directory holds already.

    Raises:
        RowError: rows that are none.
        OtherSchedule: rows of other calls.
    """
    if not (out / TURNS).is_file() or not (out / TURNS).stat().st_size:
        return set()
    planned = {call.order: call for call in calls}
    orders: set[int] = set()
    for row in read(out / TURNS):
        call = planned.get(row.order)
        if call is None or (call.engine, call.conversation) != (row.engine, row.conversation):
            raise OtherSchedule(
                f"{out / TURNS} is of another schedule (call {row.order} is {row.engine}'s "
                f"{row.conversation}); give the arguments of that run or another --out"
            )
        if not row.warmup:
            orders.add(row.order)
    return orders


def measure(
    calls: Sequence[Planned],
    said: Mapping[str, Sequence[Said]],
    source: Source,
    line: Line,
    over: Progress = lambda call: None,
) -> Outcome:
    """Places the calls that have no rows yet and appends theirs.

    Args:
        calls: the whole schedule.
        said: conversation -> its turns.
        source: where the engines are called.
        line: how.
        over: told of every call that is over, those of an earlier run too.
    """
    outcome = Outcome()
    before = done(line.out, calls)
    server = _Server(source, outcome)
    try:
        for call in calls:
            turns = said[call.conversation][: call.turns]
            if call.order not in before:
                if not server.ready_for(call, lambda c, t=turns: _hold(source, c, t, line)):
                    return outcome
                _hold(source, call, turns, line)
            over(call)
    except (HungUp, KeyboardInterrupt):
        outcome.interrupted = True
        outcome.notes.append("the run was interrupted; --resume goes on where it stopped")
        return outcome
    outcome.complete = True
    return outcome


@dataclass
class _Server:
    """The server of a run as it is: which engines are warm, and whether it may die once more."""

    source: Source
    outcome: Outcome
    restarts: int = 1
    warm: set[str] = field(default_factory=set)

    def ready_for(self, call: Planned, warm_up: Callable[[Planned], None]) -> bool:
        """Brings the server up and its engine to warmth; False if it is dead for good."""
        while call.engine in self.source.offer.addresses:
            if not self.source.alive() and not self._revived(call):
                return False
            if call.engine in self.warm:
                return True
            if call.engine in self.source.offer.addresses:
                warm_up(call.first_turns())
                self.warm.add(call.engine)
        return True  # an engine that is not there has rows that say so

    def _revived(self, call: Planned) -> bool:
        died = f"the server died before call {call.order} ({call.engine})"
        self.warm.clear()
        self.restarts -= 1
        if self.restarts >= 0 and self.source.restart():
            self.outcome.notes.append(f"{died} and was started again; what it cut off is lost")
            return True
        why = "it had died before" if self.restarts < 0 else "it could not be started again"
        self.outcome.notes.append(
            f"{died}; {why}; the calls from there on were not made, --resume makes them"
        )
        return False


def _hold(source: Source, call: Planned, said: Sequence[Said], line: Line) -> None:
    """Makes one call, if its engine is there, and appends its rows."""
    address = source.offer.addresses.get(call.engine)
    if address is None:
        reason = source.offer.missing.get(call.engine, "the server does not have it")
        rows = rows_without_call(call, said, line.suite, REFUSED, reason)
    else:
        rows = _call(address, call, said[: call.turns], line)
    append(line.out / TURNS, rows)


def _call(address: str, planned: Planned, said: Sequence[Said], line: Line) -> list[TurnRow]:
    """One call on an event loop of its own, hung up by Ctrl-C. Raises HungUp."""

    async def main() -> list[TurnRow]:
        hang_up = asyncio.Event()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, no main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hang_up.set)
        return await place(address, planned, said, line, hang_up)

    return asyncio.run(main())
