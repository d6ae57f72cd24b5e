"""The raw rows of a run: one line of `turns.jsonl` for every scheduled turn, and `run.json`.

Rows are written once and never edited; everything in a report is computed from them. A turn that
was scheduled and did not happen has a row too, with the reason, and stays in every denominator.
Knows nothing about sockets, statistics or reports.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

SCHEMA = 1
TURNS, RUN = "turns.jsonl", "run.json"
ANSWERED = "answered"
# Why a scheduled turn has no answer.
SILENT = "silent"  # the bot said nothing within the caller's patience
ENDLESS = "endless"  # the bot did not stop; its onset counts, its end does not
REFUSED = "refused"  # the server would not take or continue the call
LOST = "lost"  # the line or the server died
BAD_INPUT = "bad-input"  # the turn's own sound cannot be used
STATUSES = (ANSWERED, SILENT, ENDLESS, REFUSED, LOST, BAD_INPUT)


class RowError(ValueError):
    """A file of rows cannot be used; the message names the line and the remedy."""


@dataclass(frozen=True)
class Quality:
    """The sound of one answer; `dnsmos_*` are predictions on a scale of 1 to 5, not opinions."""

    dnsmos_sig: float | None = None
    dnsmos_bak: float | None = None
    dnsmos_ovrl: float | None = None
    dnsmos_p808: float | None = None
    clipped: float | None = None  # share of samples at full scale
    peak_dbfs: float | None = None
    longest_gap_ms: float | None = None  # silence inside the answer
    voice_likeness: float | None = None  # 0..1, to the first answer of the call; None: it is that


@dataclass(frozen=True)
class TurnRow:
    """One scheduled turn of one engine; milliseconds on the recording's clock, None = not there."""

    engine: str  # cascade, s2s, or the name of another server
    suite: str  # name of the set, with its version
    conversation: str  # the cluster of the bootstrap, unless `group` names a larger one
    turn: int  # from 1
    repeat: int  # from 0: of the same conversation on the same engine
    order: int  # place of the call in the schedule
    status: str  # one of STATUSES
    reason: str | None = None  # a sentence, unless answered
    warmup: bool = False  # first call of an engine after its start: excluded from figures
    call_id: str = ""  # joins the turns of one call
    reference: str = ""  # what the caller says
    user_text: str = ""  # what the server's recogniser understood
    bot_text: str = ""  # what the bot meant to say
    heard_text: str | None = None  # what the judge heard of it; None: not judged
    fits: bool | None = None  # the answer fits the turn's key; None: no key or no text
    user_end_ms: float | None = None  # true end of the caller's speech
    bot_start_ms: float | None = None
    bot_end_ms: float | None = None
    v2v_ms: float | None = None  # bot_start - user_end; signed, never clamped
    false_starts: int = 0  # the bot began inside the turn and fell silent again
    stages: dict[str, float] = field(default_factory=dict)  # sum to v2v_ms, `residual_ms` included
    underruns: int = 0  # gaps the playback heard inside the answer
    underrun_ms: float = 0.0
    caller_late_ms: float = 0.0  # worst packet of the caller behind its deadline
    quality: Quality = field(default_factory=Quality)
    audio: str | None = None  # stereo file below the run's directory: left user, right bot
    audio_from_ms: float | None = None  # this turn within it
    audio_to_ms: float | None = None
    group: str = ""  # conversations of one speaker or sentence of a corpus: drawn together
    answered_at: str | None = None  # local time of the server (ISO 8601) at bot_start, where known
    judged_fits: bool | None = None  # a language model's opinion of the answer; None: not asked
    judged_reason: str | None = None  # its sentence

    @property
    def cluster(self) -> str:
        """What a bootstrap sample draws whole."""
        return self.group or self.conversation

    @property
    def answered(self) -> bool:
        """Whether the bot was heard."""
        return self.v2v_ms is not None

    def line(self) -> str:
        """One line of JSON, keys in the order above."""
        return json.dumps(asdict(self), ensure_ascii=False)


class Row(Protocol):
    """A row of any suite."""

    def line(self) -> str:
        """One line of JSON."""
        ...


def append(path: Path, rows: Iterable[Row]) -> None:
    """Adds rows at the end, whole lines at once: an interrupted run has no torn line."""
    text = "".join(row.line() + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def read(path: Path) -> list[TurnRow]:
    """All rows of `turns.jsonl`.

    Raises:
        RowError: no file, no row, a line that is no row, or a schema that is not known here.
    """
    return read_lines(path, TurnRow, _turn)


AnyRow = TypeVar("AnyRow")


def read_lines(
    path: Path, kind: type[AnyRow], parse: Callable[[dict[str, Any]], AnyRow]
) -> list[AnyRow]:
    """The rows of a file with one JSON object a line.

    Args:
        path: of the file.
        kind: a dataclass; a line with a key that it has not is none.
        parse: makes a row of a line's object; a ValueError says what is wrong with it.

    Raises:
        RowError: no file, no row, or a line that is none.
    """
    if not path.is_file():
        raise RowError(f"{path}: no such file; `maata bench --out {path.parent}` makes one")
    known = {f.name for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            unknown = values.keys() - known
            if unknown:
                raise TypeError(f"unknown key {sorted(unknown)[0]!r}")
            rows.append(parse(values))
        except (ValueError, TypeError, AttributeError) as e:
            raise RowError(f"{path}, line {number}: {e}; remove the line or run again") from e
    if not rows:
        raise RowError(f"{path}: nothing was recorded; run `maata bench` again with --resume")
    return rows


def _turn(values: dict[str, Any]) -> TurnRow:
    values["quality"] = Quality(**(values.get("quality") or {}))
    row = TurnRow(**values)
    if row.status not in STATUSES:
        raise ValueError(f"status {row.status!r} is none of {STATUSES}")
    return row


def write_run(path: Path, run: dict[str, Any]) -> None:
    """Writes `run.json`: what was measured, on what, when."""
    text = json.dumps({"schema": SCHEMA} | run, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def read_run(path: Path) -> dict[str, Any]:
    """`run.json`.

    Raises:
        RowError: no file, no JSON, or of a schema that is not known here.
    """
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise RowError(f"{path}: no such file; is {path.parent} a run of `maata bench`?") from e
    except ValueError as e:
        raise RowError(f"{path}: no JSON ({e}); run `maata bench` again") from e
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        raise RowError(f"{path}: not of schema {SCHEMA}; render it with the version that wrote it")
    return run
