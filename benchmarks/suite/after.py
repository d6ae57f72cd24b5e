"""After the calls: what the judge heard of them, how they sound, and whether the run is whole.

Fills what rows leave open and rewrites `turns.jsonl` whole or not at all; what was measured in a
call is never touched. Knows nothing about servers or schedules.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpora.corpus import DatasetError, Recordings
from benchmarks.judge.answers import annotate
from benchmarks.judge.judge import (
    CEILING_TEXTS,
    Judge,
    JudgeError,
    ceiling,
    load,
    natural,
    synthesized,
    synthesized_on,
)
from benchmarks.sets.turnset import Conversation
from benchmarks.statistics.order import percentile_interval
from benchmarks.suite.rows import LOST, TURNS, TurnRow, read
from models.espeak import EspeakMissing

Steps = Callable[[str, int, int], None]  # what is done, how much of it, of how much
NO_JUDGE = {"", "none"}


def listen(
    out: Path,
    judge: str,
    *,
    quality: bool,
    predictions: int | None = None,
    recordings: Recordings | None = None,
    steps: Steps = lambda what, done, total: None,
) -> tuple[dict[str, Any] | None, list[str]]:
    """Annotates the rows of a run; returns the judge's record for `run.json`, and notes.

    Args:
        out: the run's directory.
        judge: its address; `none` leaves the words of the bot unheard.
        quality: whether the sound is rated.
        predictions: DNSMOS of so many turns of each engine; None: of all.
        recordings: speech of people with known texts, on which the judge's own rate is measured;
            None: on the bot's texts, said by the synthesizer.
        steps: told how far it is.

    Raises:
        RowError: the rows cannot be read.
        OSError: they cannot be written.
    """
    notes: list[str] = []
    rows = read(out / TURNS)
    ear = _judge(judge, notes)
    rows = annotate(
        out,
        rows,
        ear,
        quality=quality,
        predictions=predictions,
        progress=lambda done, total: steps("listening", done, total),
        note=notes.append,
    )
    rewrite(out / TURNS, rows)
    if ear is None:
        return None, notes
    texts = [row.bot_text for row in rows if row.answered]
    if recordings is None:
        spoken, on = synthesized(texts), synthesized_on()
    else:
        spoken, on = natural(recordings), f"the natural speech of {recordings.name}"
    try:
        best = ceiling(
            ear,
            spoken,
            on,
            progress=lambda done: steps("the judge's ceiling", done, CEILING_TEXTS),
        )
    except (JudgeError, EspeakMissing, DatasetError) as e:
        notes.append(f"the judge's own error rate is not known: {e}")
        return {"name": ear.name, "ceiling_n": 0}, notes
    return {"name": ear.name} | best.fields(), notes


def ask(
    out: Path,
    address: str,
    conversations: Iterable[Conversation],
    *,
    steps: Steps = lambda what, done, total: None,
) -> tuple[dict[str, Any], list[str]]:
    """Lets a language model judge the answers of a run; its record for `run.json`, and notes.

    Args:
        out: the run's directory.
        address: of the model (`ContentJudge.of`).
        conversations: of the run's set, with their examples.
        steps: told how far it is.

    Raises:
        JudgeError: the address cannot be used.
        RowError, OSError: the rows cannot be read or written.
    """
    from benchmarks.judge.content import ContentJudge  # its client takes a second to import
    from benchmarks.judge.opinions import opinions

    notes: list[str] = []
    judge = ContentJudge.of(address)
    try:
        rows = opinions(
            read(out / TURNS),
            {one.id: one for one in conversations},
            judge,
            progress=lambda done, total: steps("content", done, total),
            note=notes.append,
        )
    finally:
        judge.close()
    rewrite(out / TURNS, rows)
    told = [row.judged_fits for row in rows if row.judged_reason is not None]
    return {"name": judge.name, "n": len(told), "without_verdict": told.count(None)}, notes


def rewrite(path: Path, rows: Sequence[TurnRow]) -> None:
    """Replaces the file by these rows; an interruption leaves the old one."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text("".join(row.line() + "\n" for row in rows), encoding="utf-8")
    os.replace(fresh, path)


def summary(rows: Sequence[TurnRow], engines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each engine: turns, those answered, and percentiles of v2v in ms.

    Unanswered turns count as slower than every other; a percentile that falls on one, or has too
    few turns for it, is None.
    """
    return {engine: _summed([r for r in rows if r.engine == engine]) for engine in engines}


def _summed(rows: Sequence[TurnRow]) -> dict[str, Any]:
    counted = [row for row in rows if not row.warmup]
    v2v = [row.v2v_ms for row in counted]
    return {"n": len(v2v), "answered": sum(ms is not None for ms in v2v)} | percentiles(v2v)


def percentiles(v2v: Sequence[float | None]) -> dict[str, float | None]:
    """p50 and p95 as the JSON line has them."""
    return {"v2v_p50": _percentile(v2v, 0.50), "v2v_p95": _percentile(v2v, 0.95)}


def _percentile(values: Sequence[float | None], share: float) -> float | None:
    found = percentile_interval(values, share)[0]
    return None if found is None or found == float("inf") else found


def faults(rows: Sequence[TurnRow], engines: Sequence[str]) -> list[str]:
    """Why the run is not what was asked for; none if every engine answered and nothing was lost."""
    told = summary(rows, engines)
    said = [
        f"{engine} answered nothing: {_reason(rows, engine)}"
        for engine in engines
        if not told[engine]["answered"]
    ]
    lost = sum(row.status == LOST for row in rows)
    return [*said, *([f"{lost} turns were lost with the line or the server"] if lost else [])]


def _reason(rows: Sequence[TurnRow], engine: str) -> str:
    own = (row.reason for row in rows if row.engine == engine and row.reason)
    return next(own, "no turn of it was recorded")


def _judge(address: str, notes: list[str]) -> Judge | None:
    if address.lower() in NO_JUDGE:
        return None
    try:
        return load(address)
    except JudgeError as e:
        notes.append(f"nobody listened to what the bot said: {e}")
        return None
