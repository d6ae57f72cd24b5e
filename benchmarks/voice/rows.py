"""The rows of a voice's run: a text read aloud, or a clause watched, each on a line of JSON.

A row is written once, when everything about it is known; figures are computed from rows alone.
Knows nothing of how anything is measured.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

ROWS = "voice.jsonl"


class VoiceRowError(ValueError):
    """A file of rows cannot be used; the sentence names the line and the remedy."""


@dataclass(frozen=True)
class ReadRow:
    """A text read aloud by one system in one voice."""

    system: str  # speecht5, espeak
    voice: str
    emotion: str
    text_id: str  # what a bootstrap draws
    text: str
    at_once: int  # texts that were being read together
    wav: str  # below the run's directory
    rate: int  # Hz
    samples: int
    pieces: tuple[int, ...]  # samples of each piece as it came
    first_ms: float | None  # until the first piece; None: nothing was said
    whole_ms: float | None  # until the last
    starved_ms: float  # the longest that a listener waited for a piece that was not there yet
    retries: int = 0  # attempts that nobody heard
    fault: str = ""  # why it broke off, if it did
    heard: str | None = None  # by the judge; None: not judged
    edits: int = 0  # characters, te-std
    length: int = 0
    clipped: float | None = None  # share of samples at full scale
    peak_dbfs: float | None = None
    gap_ms: float | None = None  # the longest silence inside
    dnsmos_ovrl: float | None = None  # predictions of ratings, 1..5
    dnsmos_sig: float | None = None
    dnsmos_p808: float | None = None
    seams: tuple[float, ...] = ()  # rank of each join among the other places, 0..1
    embedding: tuple[float, ...] = ()  # of the speaker encoder; none of too little speech

    @property
    def key(self) -> tuple[object, ...]:
        """What makes a row that is there already."""
        return "read", self.system, self.voice, self.emotion, self.text_id, self.at_once

    @property
    def seconds(self) -> float:
        """Of sound."""
        return self.samples / self.rate


@dataclass(frozen=True)
class WatchRow:
    """A clause decoded, and how near it came to the guards (`models.speecht5_margins`)."""

    text: str  # that it belongs to
    voice: str
    emotion: str
    seed: int
    clause: str
    fault: str
    leap: float
    back: float
    stayed: int
    used: float
    stopped: bool
    steps: int
    characters: int
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        return "watch", self.text, self.voice, self.emotion, self.seed


Row = ReadRow | WatchRow
_KINDS: dict[str, type[Row]] = {"read": ReadRow, "watch": WatchRow}


def append(directory: Path, row: Row) -> None:
    """Adds a whole line."""
    kind = "read" if isinstance(row, ReadRow) else "watch"
    line = json.dumps({"kind": kind, **asdict(row)}, ensure_ascii=False)
    with (directory / ROWS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def mend(directory: Path) -> None:
    """Takes off what a run that was cut off had begun to write."""
    path = directory / ROWS
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])


def read_rows(directory: Path) -> list[Row]:
    """All rows of a directory, in their order; none where there is no file.

    Raises:
        VoiceRowError: a line is no row.
    """
    path = directory / ROWS
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(_parsed(path, lines))


def _parsed(path: Path, lines: list[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        try:
            told: dict[str, Any] = json.loads(line)
            kind = _KINDS[told.pop("kind")]
            known = {f.name for f in fields(kind)}
            unknown = sorted(told.keys() - known)
            if unknown:
                raise ValueError(f"unknown {unknown[0]}")
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in told.items()
            }
            yield kind(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise VoiceRowError(f"{path}, line {number}: {error}; delete the line") from error
