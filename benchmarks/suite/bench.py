"""A run of `maata bench`: every engine over the same turns, their rows, and the report.

Puts the parts together: the turns and their sounds, the server, the schedule's calls, the judges,
the report. Knows nothing about how a call is made or a figure computed.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.caller.manners import Manners
from benchmarks.server.endpoints import Foreign, Offer, Source
from benchmarks.suite import after, others
from benchmarks.suite.asked import Asked
from benchmarks.suite.call import PATIENCE, Line
from benchmarks.suite.input import Prepared, prepare, recorded
from benchmarks.suite.progress import bars
from benchmarks.suite.record import Record, begin
from benchmarks.suite.rows import TURNS, TurnRow, read
from benchmarks.suite.schedule import Planned, plan, scheduled
from benchmarks.suite.told import INCOMPLETE, INTERRUPTED, OK, say, tell
from benchmarks.suite.turns import Outcome, done, measure

UNTOLD_READY_S = 5.0
NAMED = 5  # refused clips that a note names; all of them are in `run.json`


def bench(asked: Asked, console: Console) -> int:
    """The run and its exit code; what it raises is in `command.USER_ERRORS`."""
    asked.check()
    engines = asked.known_engines()
    asked.served(engines)  # a wrong word is told before anything takes time
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.suite.kind != "turns":
        return _other(asked, console)
    if asked.suite.size:
        say(asked.suite.size)
    prepared = _prepared(asked, console)
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
        _note_refused(record, prepared)
        record.save()
        outcome = _measured(asked, prepared, calls, source, console)
    finally:
        source.close()
    record.note(outcome.notes)
    record.save(complete=outcome.complete)
    for sentence in outcome.notes:
        say(sentence)
    if outcome.interrupted:
        return _told(asked, after.summary(_rows(asked.out), engines), None, INTERRUPTED)
    wrong = [*_listened(asked, prepared, record, console), *_refused(prepared)]
    report = reported(asked.out)
    wrong += after.faults(_rows(asked.out), engines)
    for sentence in wrong:
        say(sentence)
    whole = outcome.complete and report is not None and not wrong
    told = after.summary(_rows(asked.out), engines)
    return _told(asked, told, report, OK if whole else INCOMPLETE)


def _other(asked: Asked, console: Console) -> int:
    """A suite that is no turns."""
    measured = others.measure(asked, console)
    if not measured.complete:
        say("the run was interrupted; --resume goes on where it stopped")
        return _told(asked, measured.told, None, INTERRUPTED)
    report = reported(asked.out)
    for sentence in measured.wrong:
        say(sentence)
    whole = report is not None and not measured.wrong
    return _told(asked, measured.told, report, OK if whole else INCOMPLETE)


def reported(out: Path) -> Path | None:
    """Renders the report, whatever it says of the run; None, and a sentence, if it cannot be."""
    from benchmarks.report.report import PAGE, USAGE, run_report

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


def _listened(asked: Asked, prepared: Prepared, record: Record, console: Console) -> list[str]:
    """Lets the judges work, after the calls and on both cores; what is wrong, in sentences."""
    if not (asked.out / TURNS).is_file():
        return []
    wrong: list[str] = []
    with bars(console) as shown:
        judged, notes = after.listen(
            asked.out,
            asked.judge,
            quality=asked.quality,
            predictions=asked.suite.predictions,
            recordings=prepared.recordings,
            steps=shown.show,
        )
        record.note(notes)
        record.save(judge=judged or record.values["judge"])
        if asked.content_judge is not None:
            told, notes = after.ask(
                asked.out, asked.content_judge, prepared.conversations, steps=shown.show
            )
            record.note(notes)
            record.save(content_judge=told)
            if not told["n"]:
                why = "; ".join(notes) or "no answer with a text and an example"
                wrong.append(f"{told['name']} judged no answer: {why}")
    return wrong


def _prepared(asked: Asked, console: Console) -> Prepared:
    if asked.corpus is None:
        return prepare(asked.suite, console)
    found = recorded(asked.corpus, asked.limit)
    say(f"{found.name}: {len(found.conversations)} clips, each a call of one turn to every engine")
    return found


def _refused(prepared: Prepared) -> list[str]:
    """That a corpus holds clips nobody can say, if it does."""
    lost = prepared.refused()
    if not lost:
        return []
    more = f"; and {len(lost) - NAMED} more, see run.json" if len(lost) > NAMED else ""
    total = len(lost) + len(prepared.conversations)
    named = "; ".join(lost[:NAMED])
    return [f"{len(lost)} of {total} clips of {prepared.name} were not said: {named}{more}"]


def _note_refused(record: Record, prepared: Prepared) -> None:
    record.note(_refused(prepared))
    if prepared.recordings is not None:
        refused = prepared.recordings.refused
        record.values["refused"] = [{"id": r.id, "reason": r.reason} for r in refused]


def _rows(out: Path) -> list[TurnRow]:
    return read(out / TURNS) if (out / TURNS).is_file() else []


def _told(asked: Asked, engines: dict[str, Any], report: Path | None, code: int) -> int:
    return tell(asked.out, asked.suite.name, engines, report, code)
