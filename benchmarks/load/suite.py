"""The load suite: a ramp of concurrent callers per engine, to the step that no longer holds.

Steps are measured by `step` and appended to `load.jsonl`, whole lines at once, so that a run
that was interrupted goes on at its next step. `maata plan --from DIR` and the report read the rows.
The ramp ends one step after the knee: with the first step in which somebody waited too long, heard
a gap or was turned away (`ramp.Ramp.holds`), or whose callers' machine could not keep pace. Knows
nothing about profiles or how a server is started.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.caller.call import call_url
from benchmarks.caller.caller import place_call
from benchmarks.caller.dialect import is_moshi
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import Clock, WallClock
from benchmarks.load.metrics import Meter, read_gpu
from benchmarks.load.ramp import ROWS, LoadRow, ramps, read_rows
from benchmarks.load.step import MANNERS, V2V_MS, Heard, Subject, patience, run_step
from benchmarks.load.table import told
from benchmarks.ruler.recording import Utterance
from benchmarks.server.info import fetch_info, http_base
from benchmarks.suite.environment import environment, hardware

STEPS = (1, 2, 4, 6, 8, 12, 16)
SECONDS = 45.0  # a step is held
WARM_UP_S = 60.0  # for one turn before the ramp, which loads what loads at first use


class LoadError(Exception):
    """A ramp that cannot be run as asked; the sentence names the remedy."""


class Running(Protocol):
    """A server that takes calls: `child.Server`, or `Elsewhere`."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None: ...


@dataclass(frozen=True)
class Elsewhere:
    """A server that somebody else started: nothing is known of its processes."""

    url: str
    pid: int | None = None


def run_load(
    server: Running,
    engines: Sequence[str],
    out: Path,
    *,
    utterances: Sequence[Utterance],
    steps: Sequence[int] = STEPS,
    seconds: float = SECONDS,
    token: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
    resume: bool = False,
    clock: Clock | None = None,
    subjects: Mapping[str, Subject] | None = None,
    metrics: str | None = None,
    v2v_ms: float = V2V_MS,
    manners: Mapping[str, Manners] = MANNERS,
) -> list[LoadRow]:
    """Ramps each engine up to its knee; returns all rows of `out/load.jsonl`.

    Args:
        server: takes calls already.
        engines: `cascade`, `s2s`; one after the other.
        out: where `load.jsonl` is, or will be.
        utterances: what callers say, again and again; each caller begins with another one.
        steps: numbers of calls at once, ascending.
        seconds: a step is held, from the last caller's beginning.
        token: of the server.
        progress: takes a line now and then.
        resume: go on with a ramp that is there; its steps are not measured again, except those
            whose callers were overloaded.
        clock: paces callers and steps.
        subjects: by engine, what the rows call it; taken from `/api/info` and this machine where
            not given, with the precision `unknown`.
        metrics: address of `/metrics`, if it has a port of its own.
        v2v_ms: what a p95 of voice to voice may be where ticks are not measured.
        manners: by engine, how callers behave.

    Raises:
        LoadError: nothing to say or to do, or a ramp is there and `resume` is not asked for.
        PlanError: the ramp that is there cannot be read.
        BadAddress: the server's address is none.
    """
    if not utterances or not steps or min(steps) < 1:
        raise LoadError("a ramp needs utterances and steps of one call or more")
    path = out / ROWS
    if path.is_file() and path.stat().st_size and not resume:
        raise LoadError(f"{path} holds a ramp; give --resume to go on with it, or another --out")
    out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(out) if resume and path.is_file() and path.stat().st_size else []
    for engine in engines:
        address = call_url(server.url, engine=None if is_moshi(server.url) else engine, token=token)
        subject = (subjects or {}).get(engine) or subject_of(engine, address, server.pid)
        meter = Meter(
            metrics or f"{http_base(address)}/metrics",
            server.pid,
            (gpu := read_gpu()) is not None and gpu.name == subject.hardware,
        )
        ramp = _Ramp(
            address,
            subject,
            tuple(sorted(set(steps))),
            seconds,
            list(utterances),
            meter,
            clock or WallClock(),
            manners[engine],
            v2v_ms,
            progress,
        )
        ramp.run(rows, path)
    return rows


@dataclass(frozen=True)
class _Ramp:
    """One engine's ramp."""

    address: str
    subject: Subject
    steps: tuple[int, ...]
    seconds: float
    utterances: list[Utterance]
    meter: Meter
    clock: Clock
    manners: Manners
    v2v_ms: float
    progress: Callable[[str], None]

    def run(self, rows: list[LoadRow], path: Path) -> None:
        """Measures what is missing in `rows`, and adds it there and to the file."""
        warm = False
        for number, calls in enumerate(self.steps):
            row = self._known(rows, calls)
            if row is None:
                left = sum(patience(self.manners, self.seconds) for _ in self.steps[number:])
                name = self.subject.engine
                self.progress(
                    f"{name}: {calls} at once for {self.seconds:g} s (step {number + 1} of "
                    f"{len(self.steps)}, at most {left / 60:.0f} min for all that are left)"
                )
                if not warm:
                    asyncio.run(self._warm_up())
                    warm = True
                row, callers = asyncio.run(self._step(calls))
                with path.open("a", encoding="utf-8") as file:
                    file.write(row.model_dump_json(exclude_none=True) + "\n")
                rows.append(row)
                self.progress(f"{name}: {told(row, callers)}")
            if row.caller_overloaded or not self._holds(rows, row):
                return

    def _known(self, rows: Sequence[LoadRow], calls: int) -> LoadRow | None:
        """A usable row of this step, measured before."""
        mine = [r for r in rows if self._is_of(r) and r.calls == calls]
        return next((r for r in mine if not r.caller_overloaded), None)

    def _is_of(self, row: LoadRow) -> bool:
        s = self.subject
        ours = (s.engine, s.model, s.precision, s.hardware)
        return (row.engine, row.model, row.precision, row.hardware) == ours

    def _holds(self, rows: Sequence[LoadRow], row: LoadRow) -> bool:
        (ramp,) = ramps([r for r in rows if self._is_of(r)], self.v2v_ms, None)
        return ramp.holds(row)

    async def _step(self, calls: int) -> tuple[LoadRow, list[Heard]]:
        return await run_step(
            self.address,
            self.subject,
            calls,
            self.seconds,
            self.utterances,
            self.meter,
            self.clock,
            self.manners,
        )

    async def _warm_up(self) -> None:
        """One call of one turn, which no row counts."""
        try:
            async with asyncio.timeout(WARM_UP_S):
                said = self.utterances[:1]
                await place_call(self.address, said, self.manners, clock=self.clock)
        except (Refused, TimeoutError) as e:
            # The first step meets the same, and its row says so.
            self.progress(f"{self.subject.engine}: the call to warm up failed: {e or 'too slow'}")


def subject_of(engine: str, address: str, pid: int | None) -> Subject:
    """What `/api/info` and, for a server on this machine, the machine say."""
    info = fetch_info(http_base(address))
    named = next((e for e in info.get("engines", []) if e.get("id") == engine), {})
    models = " + ".join(dict.fromkeys(map(str, named.get("models", {}).values())))
    where = f"unknown, at {http_base(address)}" if pid is None else hardware(environment())
    profile = str(info.get("profile", ""))
    return Subject(engine, models or "unknown", "unknown", where, profile)
