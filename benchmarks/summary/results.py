"""`results.json`: everything a report says, computed from the raw rows of a run and nothing else.

The same rows give the same bytes: no clock, fixed seeds, sorted keys, rounded sums. What is not in
the directory is listed under `missing`, in words. Knows nothing of pages.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.load.ramp import ROWS as LOAD
from benchmarks.suite.rows import ANSWERED, RUN, TURNS, Quality, RowError, TurnRow, read, read_run
from benchmarks.summary import duplex as results_duplex
from benchmarks.summary import load as results_load
from benchmarks.summary.latency import latency, stages
from benchmarks.summary.paired import differences, key_of
from benchmarks.summary.sound import content, endings, sound
from benchmarks.summary.words import RECOGNISER_ROLES, words

RESULTS = "results.json"
SCHEMA = 1
FIRST, SECOND = "s2s", "cascade"  # the order of columns, and what is subtracted from what
DUPLEX = results_duplex.ROWS


@dataclass(frozen=True)
class Run:
    """A run's directory, read."""

    directory: Path
    run: dict[str, Any]
    rows: list[TurnRow]  # warm-ups included

    @property
    def engines(self) -> list[str]:
        """In the order of columns."""
        named = list(dict.fromkeys([*self.run.get("engines", []), *(r.engine for r in self.rows)]))
        return sorted(named, key=lambda e: (FIRST, SECOND).index(e) if e in (FIRST, SECOND) else 2)

    def counted(self, engine: str) -> list[TurnRow]:
        """The engine's rows that figures are made of."""
        return [row for row in self.rows if row.engine == engine and not row.warmup]


def read_directory(directory: Path) -> Run:
    """The run in a directory.

    Raises:
        RowError: no run, nothing measured, or rows that contradict each other.
    """
    run = read_run(directory / RUN)
    if not any((directory / name).is_file() for name in (TURNS, DUPLEX, LOAD)):
        raise RowError(
            f"{directory} has neither {TURNS} nor {DUPLEX} nor {LOAD}: nothing was measured; "
            f"run `maata bench --out {directory} --resume`"
        )
    rows = read(directory / TURNS) if (directory / TURNS).is_file() else []
    check(rows, directory / TURNS)
    return Run(directory, run, rows)


def check(rows: Sequence[TurnRow], path: Path) -> None:
    """Refuses rows that no figure can be made of.

    Raises:
        RowError: a number that is none, an answer without its time, a turn twice.
    """
    for number, row in enumerate(rows, 1):
        where = f"{path}, line {number}"
        for name, value in _numbers(row):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RowError(f"{where}: {name} is not a number; remove the line or run again")
            if not math.isfinite(value):
                raise RowError(f"{where}: {name} is {value}; remove the line or run again")
        if row.status == ANSWERED and row.v2v_ms is None:
            raise RowError(f"{where}: answered, but without v2v_ms; remove the line or run again")
    seen = Counter((row.engine, *key_of(row)) for row in rows if not row.warmup)
    twice = next((key for key, times in seen.items() if times > 1), None)
    if twice:
        engine, conversation, turn, repeat = twice
        raise RowError(
            f"{path}: turn {turn} of {conversation}, repeat {repeat}, is there twice for {engine}; "
            "remove one of the lines"
        )


_TEXTS = {"engine", "suite", "conversation", "status", "reason", "warmup", "call_id", "reference"}
_TEXTS |= {"user_text", "bot_text", "heard_text", "fits", "stages", "quality", "audio", "group"}
_TEXTS |= {"answered_at", "judged_fits", "judged_reason"}


def _numbers(row: TurnRow) -> list[tuple[str, Any]]:
    found = [(f.name, getattr(row, f.name)) for f in fields(TurnRow) if f.name not in _TEXTS]
    found += [(f.name, getattr(row.quality, f.name)) for f in fields(Quality)]
    return [*((k, v) for k, v in found if v is not None), *row.stages.items()]


def results(found: Run) -> dict[str, Any]:
    """The whole of `results.json`.

    Raises:
        RowError: rows of the duplex suite that cannot be used.
        PlanError: rows of the load suite that cannot be used.
    """
    directory, names = found.directory, (TURNS, DUPLEX, LOAD)
    there = [name for name in names if (directory / name).is_file()]
    engines = [e for e in found.engines if any(row.engine == e for row in found.rows)]
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "run": {k: v for k, v in found.run.items() if k != "schema"},
        "raw": {name: sha256(directory / name) for name in (RUN, *there)},
        "engines": found.engines,
        "turns": {engine: _engine(found, engine) for engine in engines},
        "pair": _pair(found, engines),
        "duplex": results_duplex.duplex(directory, found.engines) if DUPLEX in there else None,
        "load": results_load.load(directory) if LOAD in there else None,
    }
    return answer | {"missing": _missing(found, answer), "faults": _faults(found)}


def _engine(found: Run, engine: str) -> dict[str, Any]:
    rows = found.counted(engine)
    roles = list((found.run.get("models") or {}).get(engine) or {})
    warm = sum(row.engine == engine and row.warmup for row in found.rows)
    head = {
        "scheduled": (found.run.get("scheduled") or {}).get(engine, len(rows)),
        "recorded": len(rows),  # as the schedule counts: without warm-ups
        "warmup": warm,
        "n": len(rows),
        "conversations": len({row.conversation for row in rows}),
        "clusters": len({row.cluster for row in rows}),
        "endings": endings(rows),
    }
    if not rows:
        return head
    return head | {
        "latency": latency(rows),
        "stages": stages(rows),
        "words": words(rows, roles),
        "sound": sound(rows),
        "content": content(rows),
    }


def _pair(found: Run, engines: Sequence[str]) -> dict[str, Any] | None:
    counted = [e for e in engines if found.counted(e)]
    chosen = [FIRST, SECOND] if {FIRST, SECOND} <= set(counted) else counted
    if len(chosen) != 2:
        return None
    ours, theirs = chosen
    return {"ours": ours, "theirs": theirs} | differences(
        found.counted(ours), found.counted(theirs)
    )


def _missing(found: Run, answer: dict[str, Any]) -> list[str]:
    """What a reader might look for and not find, in sentences."""
    said = []
    if not found.run.get("complete", True):
        said.append("The run was interrupted; `maata bench --resume` finishes it.")
    for engine in found.engines:
        told = answer["turns"].get(engine)
        if found.rows and (told is None or told["n"] == 0):
            said.append(f"{engine} was to be measured, and has no turn that counts.")
        elif told and told["recorded"] < told["scheduled"]:
            said.append(
                f"{engine}: {told['recorded']} of {told['scheduled']} scheduled turns were "
                "recorded; the others are in no figure."
            )
    if not found.rows:
        said.append("No turns were measured: no latency, words or sound.")
    if answer["duplex"] is None:
        said.append("No duplex suite: how the engines take turns was not measured.")
    if answer["load"] is None:
        said.append("No load suite: how many callers a machine carries was not measured.")
    sides = [
        side for told in answer["turns"].values() if "words" in told for side in [told["words"]]
    ]
    if sides and not any(side["bot"]["n"] for side in sides):
        said.append("No judge listened: how well the engines are understood was not measured.")
    return said


def _faults(found: Run) -> list[str]:
    """What makes a figure meaningless, in sentences: the report is written, and says so."""
    said = []
    for engine, roles in (found.run.get("models") or {}).items():
        rows = [row for row in found.counted(engine) if row.reference]
        has_recogniser = any(role in RECOGNISER_ROLES for role in roles or {})
        if rows and has_recogniser and not any(row.user_text for row in rows):
            said.append(
                f"{engine}: {len(rows)} references and not one hypothesis; its recogniser wrote "
                "nothing, or its transcripts were lost: look at the server's log"
            )
    return said


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_text(answer: dict[str, Any]) -> str:
    """The bytes of `results.json`."""
    return json.dumps(answer, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"
