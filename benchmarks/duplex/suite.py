"""The duplex suite: every stimulus with every engine, interleaved and resumable.

Each task has calls of its own, of a few stimuli each; the engines' order turns round with every
call (ABBA). A call's rows and its sound file are written when it is over, so an interrupted run has
whole calls only and goes on with the next. Before its first call an engine is called once for
nothing: models that load lazily would spoil a row. Knows nothing of servers or reports.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import Clock
from benchmarks.duplex import rows
from benchmarks.duplex.authored import SHA256, the_set
from benchmarks.duplex.call import DUPLEX_MANNERS, place_duplex
from benchmarks.duplex.measure import failed_rows, measured_rows
from benchmarks.duplex.rows import DUPLEX, SMOOTH, DuplexRow
from benchmarks.duplex.stimuli import stimuli
from benchmarks.duplex.stimulus import Stimulus
from benchmarks.suite.rows import LOST, REFUSED, RowError

A_CALL = 6  # stimuli: the bot's memory and the length of a loss stay small
STIMULI = "stimuli"  # spoken pieces, below the run's directory
WARMUP_RULE = (
    "before its first row an engine takes one call with one stimulus, which is measured nowhere"
)
Address = Callable[[str], str]


@dataclass(frozen=True)
class Planned:
    """One call: some stimuli of one task with one engine."""

    order: int
    engine: str
    name: str
    stimuli: tuple[Stimulus, ...]


def run_duplex(
    address_of: Address,
    engines: Sequence[str],
    out: Path,
    *,
    limit: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
    resume: bool = False,
    manners: Manners = DUPLEX_MANNERS,
) -> list[DuplexRow]:
    """Places all calls and returns the rows of the whole run, older ones included.

    Ctrl-C raises KeyboardInterrupt; `duplex.jsonl` then holds every call that was over.

    Args:
        address_of: the `ws://…/ws?…` of an engine, asked before each call.
        out: the run's directory; gets `duplex.jsonl`, `audio/` and `events/`.
        limit: so many stimuli of each task at most.
        resume: go on with the rows that are there.

    Raises:
        RowError: rows are there and `resume` is not set, or they cannot be read.
        SetError, EspeakMissing: the stimuli cannot be made.
    """
    return asyncio.run(
        place_all(
            address_of,
            engines,
            out,
            stimuli(out / STIMULI, limit),
            progress=progress,
            resume=resume,
            manners=manners,
        )
    )


def suite() -> tuple[str, str]:
    """Name and sha256 of the set."""
    return str(the_set()["name"]), SHA256


def plan(by_task: dict[str, list[Stimulus]], engines: Sequence[str]) -> list[Planned]:
    """All calls in their order: a function of its arguments alone."""
    planned: list[Planned] = []
    turn = 0
    for task, of_task in by_task.items():
        for n, at in enumerate(range(0, len(of_task), A_CALL), 1):
            part = tuple(of_task[at : at + A_CALL])
            for engine in engines if turn % 2 == 0 else reversed(engines):
                planned.append(Planned(len(planned), engine, f"{engine}-{task}-{n:02d}", part))
            turn += 1
    return planned


async def place_all(
    address_of: Address,
    engines: Sequence[str],
    out: Path,
    by_task: dict[str, list[Stimulus]],
    *,
    progress: Callable[[str], None] = lambda line: None,
    resume: bool = False,
    manners: Manners = DUPLEX_MANNERS,
    clock: Clock | None = None,
) -> list[DuplexRow]:
    """`run_duplex` on the caller's event loop, with given stimuli."""
    path = out / DUPLEX
    there = _begun(path, resume)
    done = {(row.engine, row.stimulus) for row in there}
    todo = [p for p in plan(by_task, engines) if not {(p.engine, s.id) for s in p.stimuli} <= done]
    eta, warm = _Eta(sum(len(p.stimuli) for p in todo), progress), set[str]()
    for planned in todo:
        if planned.engine not in warm:
            await _warm_up(address_of(planned.engine), by_task, manners, clock)
            warm.add(planned.engine)
        pending = [s for s in planned.stimuli if (planned.engine, s.id) not in done]
        for again in range(len(pending)):  # an endless answer or a lost line costs one stimulus
            if not pending:
                break
            name = f"{planned.name}{chr(ord('a') + again) if again else ''}"
            found = await _one(planned, name, address_of, pending, out, eta, manners, clock)
            rows.append(path, found)
            there += found
            pending = pending[len(found) :]
            eta.did(len(found))
    return there


def _begun(path: Path, resume: bool) -> list[DuplexRow]:
    """The rows of the run so far; makes its directories."""
    (path.parent / "audio").mkdir(parents=True, exist_ok=True)
    there = rows.read(path) if path.exists() else []
    if there and not resume:
        raise RowError(f"{path} is there already; go on with --resume or choose another --out")
    return there


async def _one(
    planned: Planned,
    name: str,
    address_of: Address,
    pending: list[Stimulus],
    out: Path,
    eta: "_Eta",
    manners: Manners,
    clock: Clock | None,
) -> list[DuplexRow]:
    """The rows of one call: at least one, and not all of `pending` if it broke off."""
    common = {
        "engine": planned.engine,
        "suite": suite()[0],
        "order": planned.order,
        "call_id": name,
    }
    try:
        call = await place_duplex(
            address_of(planned.engine),
            pending,
            manners=manners,
            clock=clock,
            progress=lambda line: eta.say(f"{planned.engine}: {line}"),
        )
    except Refused as e:
        return failed_rows(pending, common, REFUSED, str(e))
    audio = f"audio/duplex-{name}.flac"
    call.recording.save_as(out / audio, out / f"events/duplex-{name}.jsonl", call.user)
    found = measured_rows(call, common, audio)
    if not found:  # it broke before anything was said
        why = call.ended or "the call ended at once"
        return failed_rows(pending[:1], common, REFUSED if call.refused else LOST, why)
    return found


async def _warm_up(
    url: str, by_task: dict[str, list[Stimulus]], manners: Manners, clock: Clock | None
) -> None:
    first = next(_some(by_task), None)
    if first is not None:
        try:
            await place_duplex(url, [first], manners=manners, clock=clock)
        except Refused:
            return  # the first row will say so


def _some(by_task: dict[str, list[Stimulus]]) -> Iterator[Stimulus]:
    yield from by_task.get(SMOOTH, [])
    yield from (s for of_task in by_task.values() for s in of_task)


class _Eta:
    """Progress in stimuli, and how long the rest will take at the pace so far."""

    def __init__(self, total: int, progress: Callable[[str], None]):
        self._total, self._progress = total, progress
        self._done, self._began = 0, time.monotonic()

    def did(self, stimuli: int) -> None:
        self._done += stimuli

    def say(self, line: str) -> None:
        rest = ""
        if self._done:
            seconds = (time.monotonic() - self._began) / self._done * (self._total - self._done)
            rest = f", {seconds / 60:.0f} min left"
        self._progress(f"duplex {self._done + 1}/{self._total}{rest}: {line}")
