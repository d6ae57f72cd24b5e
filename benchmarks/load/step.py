"""One step of a ramp: so many callers at once for a while, and what came of it as one row.

Every caller is a whole call (`caller.place_call`) of its own: real-time speech, an ear, a recording
that is measured and thrown away. Ends by itself, whatever the server does. Knows nothing about
which steps there are or where rows are kept.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from benchmarks.caller.caller import Call, place_call
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import Clock
from benchmarks.caller.wire import OUT_RATE
from benchmarks.load.metrics import Meter, Usage
from benchmarks.load.ramp import LoadRow
from benchmarks.ruler.recording import Utterance

T = TypeVar("T")
STAGGER_S = 2.0  # in which the callers of a step begin, evenly apart
V2V_MS = 1100.0  # what a p95 may be where ticks are not measured
LATE_MS = 20.0  # a caller whose packets are that late at p99 cannot load anybody in real time
FRAMES_A_SECOND = 12.5  # of the speech-to-speech engine
STRIDE = 7  # utterances between the first ones of two callers: no chorus
GRACE_S = 5.0  # for hanging up
SETTLE_S = 3.0  # for the server's counters of the calls that have ended

# Shorter patience than for a single turn: an answer that late has failed its caller anyhow, and a
# step must end. A full-duplex engine is spoken to on a line that never waits for it.
MANNERS = {
    "cascade": Manners(answer_timeout_s=10, longest_answer_s=20),
    "s2s": Manners(rest_ms=2500),
}


@dataclass(frozen=True)
class Subject:
    """What is loaded, as the rows name it; `maata plan` sorts its ramps by these."""

    engine: str  # s2s or cascade
    model: str
    precision: str
    hardware: str
    profile: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Heard:
    """What one caller of a step lived through."""

    began: bool
    cut_off: bool  # it never began, or the server or the line ended it
    why: str | None = None
    v2v_ms: tuple[float | None, ...] = ()  # of each turn; None: no answer
    underruns_ms: tuple[float, ...] = ()
    late_ms: tuple[float, ...] = field(default=(), repr=False)  # of each packet


async def run_step(
    url: str,
    subject: Subject,
    calls: int,
    seconds: float,
    utterances: Sequence[Utterance],
    meter: Meter,
    clock: Clock,
    manners: Manners,
) -> tuple[LoadRow, list[Heard]]:
    """Places `calls` calls to `url` at once, holds them for `seconds`, and counts.

    The callers begin within `STAGGER_S`; `seconds` run from the last one's beginning. No turn
    begins after them, and the last ones are heard out as far as `manners` are patient. Whoever is
    still on the line after that is hung up, and given up if that does not help.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    missed = await meter.missed(subject.engine)
    begin = clock.now()
    until = begin + STAGGER_S + seconds
    hang_up = asyncio.Event()

    async def caller(number: int) -> Heard:
        await clock.sleep_until(begin + STAGGER_S * number / calls)
        first = number * STRIDE % len(utterances)
        said = [*utterances[first:], *utterances[:first]]
        try:
            call = await place_call(url, said, manners, clock=clock, hang_up=hang_up, until=until)
        except Refused as e:
            return Heard(False, True, str(e))
        return await asyncio.to_thread(heard, call, hang_up.is_set())

    async def watching() -> Usage:
        await clock.sleep_until(begin + STAGGER_S)
        return await meter.watch(subject.engine, until, clock)

    tasks = [asyncio.create_task(caller(n)) for n in range(calls)]
    watch = asyncio.create_task(watching())
    try:
        results = await _bounded(tasks, patience(manners, seconds), hang_up)
        (usage,) = await _bounded([watch], 2 * GRACE_S, hang_up)
    finally:
        left: list[asyncio.Task[Any]] = [*tasks, watch]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    lost = Heard(False, True, "the call did not end when it was hung up")
    callers = [lost if result is None else result for result in results]
    await meter.idle(subject.engine, clock.now() + SETTLE_S, clock)
    after = await meter.missed(subject.engine)
    counted = None if missed is None or after is None else max(0, after - missed)
    row = row_of(subject, callers, seconds, usage or Usage(), counted, started)
    return row, callers


def patience(manners: Manners, seconds: float) -> float:
    """Seconds after which every call of a step has ended, unless something hangs."""
    if manners.rest_ms is not None:
        last = manners.rest_ms / 1000 + manners.longest_answer_s
    else:
        last = manners.answer_timeout_s + manners.longest_answer_s
    return STAGGER_S + seconds + last + GRACE_S


async def _bounded(
    tasks: Sequence[asyncio.Task[T]], seconds: float, hang_up: asyncio.Event
) -> list[T | None]:
    """The results of tasks within `seconds`; None of those that hang even when hung up.

    The machine's own seconds: a clock that hangs must not hold the step either.
    """
    _, pending = await asyncio.wait(tasks, timeout=seconds)
    if pending:
        hang_up.set()
        _, pending = await asyncio.wait(pending, timeout=GRACE_S)
    return [None if task in pending else task.result() for task in tasks]


def heard(call: Call, hung_up: bool) -> Heard:
    """What of a call is counted; `hung_up`: the caller had to end it."""
    gaps = [1000 * u.length / OUT_RATE for u in call.recording.playback.underruns]
    return Heard(
        True,
        call.ended is not None and not hung_up,
        call.ended,
        tuple(turn.v2v_ms for turn in call.recording.turns()),
        tuple(gaps),
        tuple(call.late_ms),
    )


def row_of(
    subject: Subject,
    callers: Sequence[Heard],
    seconds: float,
    usage: Usage,
    missed: int | None,
    started: str,
) -> LoadRow:
    """The row of a step.

    A call in which no turn took place counts as unanswered ones: as many as the other calls had on
    average, and at least one.
    """
    spoken = [len(h.v2v_ms) for h in callers if h.v2v_ms]
    typical = max(1, round(sum(spoken) / len(spoken))) if spoken else 1
    v2v = [ms for h in callers for ms in (h.v2v_ms or (None,) * typical)]
    gaps = [ms for h in callers for ms in h.underruns_ms]
    late = percentile((ms for h in callers for ms in h.late_ms), 0.99)
    s2s = subject.engine == "s2s"
    return LoadRow(
        engine="s2s" if s2s else "cascade",
        hardware=subject.hardware,
        model=subject.model,
        precision=subject.precision,
        calls=len(callers),
        refused=sum(h.cut_off for h in callers),
        seconds=seconds,
        # Histories grow by a frame every 80 ms; this is their mean over the step.
        context=seconds * FRAMES_A_SECOND / 2 if s2s and usage.tick_ms_p99 is not None else None,
        tick_ms_p50=usage.tick_ms_p50,
        tick_ms_p99=usage.tick_ms_p99,
        v2v_ms_p50=percentile(v2v, 0.50),
        v2v_ms_p95=percentile(v2v, 0.95),
        underruns=len(gaps),
        turns=len(v2v),
        unanswered=sum(ms is None for ms in v2v),
        underrun_seconds=round(sum(gaps) / 1000, 3),
        longest_gap_ms=round(max(gaps, default=0.0), 1),
        missed_deadlines=missed,
        late_ms_p99=late,
        caller_overloaded=late is not None and late > LATE_MS,
        memory_bytes=usage.memory_bytes,
        cpu_percent=usage.cpu_percent,
        cpu_seconds=usage.cpu_seconds,
        gpu_percent=usage.gpu_percent,
        profile=subject.profile,
        commit=subject.commit,
        started=started,
    )


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """The smallest value that `share` of all do not exceed, to 0.1; a None is beyond all others.

    None where it falls on one of those, or where there are no values.
    """
    ranked = sorted(math.inf if v is None else v for v in values)
    if not ranked or math.isinf(found := ranked[max(0, math.ceil(share * len(ranked)) - 1)]):
        return None
    return round(found, 1)
