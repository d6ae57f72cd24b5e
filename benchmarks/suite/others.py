"""The suites that are no turns: full-duplex behaviour, and load. Each writes rows of its own kind.

Starts the server as for turns, keeps the same `run.json`, and hands over to the suite. Knows
nothing about stimuli or ramps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchmarks.caller.call import call_url
from benchmarks.duplex import suite as duplex_suite
from benchmarks.duplex.call import DUPLEX_MANNERS
from benchmarks.duplex.rows import DuplexRow
from benchmarks.load.ramp import LoadRow
from benchmarks.load.step import MANNERS, Subject
from benchmarks.load.suite import Elsewhere, run_load
from benchmarks.load.table import show
from benchmarks.server.endpoints import Source
from benchmarks.suite.after import percentiles
from benchmarks.suite.asked import Asked, CannotBegin
from benchmarks.suite.environment import hardware
from benchmarks.suite.input import prepare
from benchmarks.suite.record import Record, begin
from benchmarks.suite.rows import LOST, REFUSED
from maata.profile import Profile

MOST_CALLS = {"limits.max_calls": "64"}  # the ramp finds the limit, not the profile


@dataclass(frozen=True)
class Measured:
    """What came of such a suite."""

    engines: tuple[str, ...]
    told: dict[str, dict[str, Any]]  # for the JSON line, as for turns
    wrong: list[str]  # sentences: what was asked for and is not there
    complete: bool = True


def measure(asked: Asked, console: Console) -> Measured:
    """Runs a duplex or load suite into `asked.out`; Ctrl-C leaves what there is.

    Raises:
        what `bench.USER_ERRORS` names.
    """
    engines = asked.known_engines()
    profile = asked.served(engines)
    duplex = asked.suite.kind == "duplex"
    source = asked.source(engines, {} if duplex else MOST_CALLS)
    try:
        engines = engines or source.offer.engines
        record = _begin(asked, engines, profile, source)
        record.save()
        there = [engine for engine in engines if engine in source.offer.addresses]
        try:
            told, wrong = (_duplex if duplex else _load)(asked, there, source, record, console)
        except KeyboardInterrupt:
            record.note(["the run was interrupted; --resume goes on where it stopped"])
            record.save()
            return Measured(engines, {}, [], complete=False)
        record.save(complete=True)
    finally:
        source.close()
    wrong += [f"{engine} was not measured: {why}" for engine, why in source.offer.missing.items()]
    empty = {"n": 0, "answered": 0, "v2v_p50": None, "v2v_p95": None}
    return Measured(engines, {engine: told.get(engine, empty) for engine in engines}, wrong)


def _begin(
    asked: Asked, engines: tuple[str, ...], profile: Profile | None, source: Source
) -> Record:
    duplex = asked.suite.kind == "duplex"
    return begin(
        asked.out,
        suite=asked.suite.name,
        suite_sha256=duplex_suite.suite()[1] if duplex else None,
        engines=engines,
        repeats=asked.repeats,
        profile=profile,
        url=asked.url,
        offer=source.offer,
        manners=DUPLEX_MANNERS if duplex else None,
        scheduled={},
        resume=asked.resume,
        warmup=duplex_suite.WARMUP_RULE if duplex else None,
    )


Told = tuple[dict[str, dict[str, Any]], list[str]]


def _duplex(
    asked: Asked, engines: Sequence[str], source: Source, record: Record, console: Console
) -> Told:
    restarts = 1

    def address_of(engine: str) -> str:
        nonlocal restarts
        if restarts and not source.alive():
            restarts -= 1
            if source.restart():
                record.note(["the server died and was started again; what it cut off is lost"])
        return call_url(source.offer.addresses[engine], token=asked.token)

    if not engines:
        return {}, []
    rows = duplex_suite.run_duplex(
        address_of,
        engines,
        asked.out,
        limit=asked.limit,
        progress=_lines(console),
        resume=asked.resume,
    )
    told = {engine: _heard([row for row in rows if row.engine == engine]) for engine in engines}
    lost = sum(row.status in (LOST, REFUSED) for row in rows)
    return told, [f"{lost} stimuli were lost or refused"] if lost else []


def _heard(rows: Sequence[DuplexRow]) -> dict[str, Any]:
    """Latencies of a full-duplex suite are those of the turns that the bot took."""
    answered = [row.latency_ms for row in rows if row.latency_ms is not None]
    return {"n": len(rows), "answered": len(answered)} | percentiles(answered)


def _load(
    asked: Asked, engines: Sequence[str], source: Source, record: Record, console: Console
) -> Told:
    unknown = [engine for engine in engines if engine not in MANNERS]
    if unknown:
        raise CannotBegin(
            f"the load suite knows how to wait for {' and '.join(MANNERS)}, not for {unknown[0]}; "
            "measure it with --suite standard"
        )
    if not engines:
        return {}, []
    said = prepare(asked.suite, console).said
    profile = asked.served(tuple(engines))
    rows = run_load(
        Elsewhere(asked.url or source.offer.base, source.pid),
        engines,
        asked.out,
        utterances=[s.utterance for turns in said.values() for s in turns],
        token=asked.token,
        progress=_lines(console),
        resume=asked.resume,
        subjects=None if profile is None else _subjects(engines, profile, record),
    )
    show(rows, console)
    return {e: _alone([r for r in rows if r.engine == e]) for e in engines}, []


def _subjects(engines: Sequence[str], profile: Profile, record: Record) -> dict[str, Subject]:
    precision = {"cascade": profile.cascade.llm.compute_type, "s2s": profile.s2s.dtype}
    run = record.values
    return {
        engine: Subject(
            engine,
            " + ".join(dict.fromkeys(run["models"][engine].values())),
            precision[engine],
            hardware(run["environment"]),
            f"{run['profile']['name']} {run['profile']['sha256'][:12]}",
            run["environment"]["commit"] or "",
        )
        for engine in engines
        if run["models"].get(engine)
    }


def _alone(rows: Sequence[LoadRow]) -> dict[str, Any]:
    """Turns of the whole ramp; percentiles of its first step, the caller alone."""
    turns = sum(row.turns or 0 for row in rows)
    first = min(rows, key=lambda row: row.calls, default=None)
    return {
        "n": turns,
        "answered": turns - sum(row.unanswered for row in rows),
        "v2v_p50": None if first is None else first.v2v_ms_p50,
        "v2v_p95": None if first is None else first.v2v_ms_p95,
    }


def _lines(console: Console) -> Any:
    """Lines of progress on a terminal; nothing on anything else."""
    return console.print if console.is_terminal else lambda line: None
