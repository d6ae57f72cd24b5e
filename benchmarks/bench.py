"""`maata bench`: every engine over the same suite, its rows, and the report.

Puts the parts together: the set and its sounds, the server, the schedule's calls, the judge, the
report. A run's directory is resumed with the same arguments. Knows nothing about how a call is made
or a figure computed. The last line of stdout is one JSON object.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import bench_after, bench_suites, suites
from benchmarks.bench_asked import Asked, CannotBegin
from benchmarks.bench_call import PATIENCE, Line
from benchmarks.bench_input import Prepared, prepare
from benchmarks.bench_progress import bars
from benchmarks.bench_record import OtherRun, begin
from benchmarks.bench_turns import OtherSchedule, Outcome, done, measure
from benchmarks.call import BadAddress
from benchmarks.caller import Manners
from benchmarks.endpoints import Foreign, Offer, Source
from benchmarks.load import LoadError
from benchmarks.ramp import PlanError
from benchmarks.rows import RUN, TURNS, RowError, TurnRow, read
from benchmarks.schedule import Planned, plan, scheduled
from benchmarks.suites import NoSuchSuite
from benchmarks.turnset import SetError
from maata.profile import ProfileError
from models.audio import AudioError
from models.espeak import EspeakFailed, EspeakMissing

OK, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes
UNTOLD_READY_S = 5.0
USER_ERRORS = (
    AudioError,
    BadAddress,
    CannotBegin,
    EspeakFailed,
    EspeakMissing,
    LoadError,
    NoSuchSuite,
    OtherRun,
    OtherSchedule,
    PlanError,
    ProfileError,
    RowError,
    SetError,
)


def run_bench(
    engines: Sequence[str] | None,
    suite: str,
    *,
    profile: str = "starter",
    url: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    repeats: int | None = None,
    settings: Mapping[str, str] | None = None,
    token: str | None = None,
    judge: str = "starter/asr",
    quality: bool = True,
    limit: int | None = None,
    listening_kit: bool = False,
) -> int:
    """Measures, judges and reports; returns the exit code and prints the JSON line.

    0: every engine asked for answered, no turn was lost, and the report is there. 1: something is
    missing, which rows and notes say; what there is was kept. 2: no run, with one sentence.
    130: Ctrl-C; `resume` goes on.

    Args:
        engines: their names; None: both of the profile, or all that a server at `url` has.
        suite: one of `suites.SUITES`.
        profile: of the server that is started; of no meaning with `url`.
        url: a server that runs already.
        out: the run's directory; by default a new one below `runs/bench`.
        resume: goes on with the run in `out`, if there is one.
        repeats: of every conversation with every engine; None: as the suite has it.
        settings: dotted keys over the profile.
        token: of the server.
        judge: who listens to the bot (`judge.load`); `none`: nobody.
        quality: whether the sound is rated.
        limit: so many stimuli of each task of the suite duplex.
        listening_kit: writes a listening test too; alone, if `out` holds a run and is not resumed.
    """
    console = Console(stderr=True)
    try:
        directory = out or Path("runs/bench") / f"{suite}-{time.strftime('%Y%m%d-%H%M%S')}"
        if listening_kit and not resume and (directory / RUN).is_file():
            from benchmarks.listening import run_kit

            return run_kit(directory)
        entry = suites.find(suite)
        asked = Asked(
            entry,
            directory,
            tuple(dict.fromkeys(engines)) if engines else None,
            profile,
            url,
            resume,
            entry.repeats if repeats is None else repeats,
            settings or {},
            token,
            judge,
            quality,
            limit,
        )
        code = bench(asked, console)
        if listening_kit and code in (OK, INCOMPLETE):
            _kit(directory)
        return code
    except USER_ERRORS as e:
        _say(str(e))
        return USAGE
    except OSError as e:
        _say(f"{e}; is there room, and may {out or 'runs/bench'} be written? (--out)")
        return USAGE
    except KeyboardInterrupt:
        _say("interrupted; the same command with --resume and this --out goes on")
        return INTERRUPTED


def bench(asked: Asked, console: Console) -> int:
    """The run; its named errors are `USER_ERRORS`."""
    asked.check()
    engines = asked.known_engines()
    asked.served(engines)  # a wrong word is told before anything takes time
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.suite.kind != "turns":
        return _other(asked, console)
    prepared = prepare(asked.suite, console)
    calls = plan(engines, prepared.conversations, asked.repeats)
    finished = bool(calls) and {call.order for call in calls} <= done(asked.out, calls)
    source = Foreign(Offer("", {})) if finished else asked.source(engines)
    try:
        if not engines:
            engines = source.offer.engines
            calls = plan(engines, prepared.conversations, asked.repeats)
        record = begin(
            asked.out,
            suite=asked.suite.name,
            suite_sha256=prepared.sha256,
            engines=engines,
            repeats=asked.repeats,
            profile=asked.served(engines),
            url=asked.url,
            offer=source.offer,
            manners=_manners(asked, source),
            scheduled=scheduled(calls),
            resume=asked.resume,
        )
        record.save()
        outcome = _measured(asked, prepared, calls, source, console)
    finally:
        source.close()
    record.note(outcome.notes)
    record.save(complete=outcome.complete)
    for sentence in outcome.notes:
        _say(sentence)
    if outcome.interrupted:
        return _tell(asked, bench_after.summary(_rows(asked.out), engines), None, INTERRUPTED)
    judged, notes = _listened(asked, console)
    record.note(notes)
    record.save(judge=judged or record.values["judge"])
    report = reported(asked.out)
    wrong = bench_after.faults(_rows(asked.out), engines)
    for sentence in wrong:
        _say(sentence)
    whole = outcome.complete and report is not None and not wrong
    told = bench_after.summary(_rows(asked.out), engines)
    return _tell(asked, told, report, OK if whole else INCOMPLETE)


def _other(asked: Asked, console: Console) -> int:
    """A suite that is no turns."""
    measured = bench_suites.measure(asked, console)
    if not measured.complete:
        _say("the run was interrupted; --resume goes on where it stopped")
        return _tell(asked, measured.told, None, INTERRUPTED)
    report = reported(asked.out)
    for sentence in measured.wrong:
        _say(sentence)
    whole = report is not None and not measured.wrong
    return _tell(asked, measured.told, report, OK if whole else INCOMPLETE)


def reported(out: Path) -> Path | None:
    """Renders the report, whatever it says of the run; None, and a sentence, if it cannot be."""
    from benchmarks.report import PAGE, USAGE, run_report

    with redirect_stdout(sys.stderr):  # its line of JSON is not this command's last one
        return out / PAGE if run_report(out) != USAGE else None


def _manners(asked: Asked, source: Source) -> Manners:
    """A foreign bot that tells nothing of itself may not say that it is ready either."""
    silent = asked.url is not None and not source.offer.info
    return replace(PATIENCE, without_ready_s=UNTOLD_READY_S) if silent else PATIENCE


def _measured(
    asked: Asked,
    prepared: Prepared,
    calls: Sequence[Planned],
    source: Source,
    console: Console,
) -> Outcome:
    here = source.offer.local
    line = Line(prepared.name, asked.out, _manners(asked, source), asked.token, here)
    turns = sum(call.turns for call in calls)
    over = 0

    with bars(console) as shown:

        def count(call: Planned) -> None:
            nonlocal over
            over += call.turns
            shown.show("turns", over, turns)

        shown.show("turns", 0, turns)
        return measure(calls, prepared.said, source, line, count)


def _listened(asked: Asked, console: Console) -> tuple[dict[str, Any] | None, list[str]]:
    if not (asked.out / TURNS).is_file():
        return None, []
    with bars(console) as shown:
        return bench_after.listen(
            asked.out,
            asked.judge,
            quality=asked.quality,
            steps=shown.show,
        )


def _rows(out: Path) -> list[TurnRow]:
    return read(out / TURNS) if (out / TURNS).is_file() else []


def _tell(
    asked: Asked, engines: Mapping[str, Mapping[str, Any]], report: Path | None, code: int
) -> int:
    """The JSON line; returns the exit code."""
    told = {
        "out": str(asked.out),
        "suite": asked.suite.name,
        "engines": engines,
        "report": None if report is None else str(report),
    }
    print(json.dumps(told, ensure_ascii=False), flush=True)
    return code


def _kit(out: Path) -> None:
    from benchmarks.listening import KitError, write_kit

    try:
        _say(f"a listening test is in {write_kit(out, out / 'listening').parent}")
    except KitError as e:
        _say(str(e))


def _say(sentence: str) -> None:
    print(f"maata bench: {sentence}", file=sys.stderr, flush=True)
