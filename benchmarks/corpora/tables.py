"""Rows of a corpus and the tables they stand in: JSON Lines, CSV and TSV, Parquet.

Columns go by many names; the first of a list that is there counts. Parquet is read where pyarrow is
installed. Knows nothing of corpora (`layouts.py`) or samples.
"""

import csv
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AUDIO = ("audio", "audio_filepath", "wav", "file_name", "file", "path")
_TEXT = ("text", "reference", "transcription", "normalized", "sentence", "raw_transcription")
_SPEAKER = ("speaker", "speaker_id", "client_id")
_ID = ("id", "utterance_id", "fname")


class DatasetError(Exception):
    """A corpus cannot be read at all; the sentence names the remedy."""


@dataclass(frozen=True)
class Row:
    """One line of a corpus, believed as it stands."""

    id: str
    audio: Path | bytes  # a file, or an encoded file's bytes
    text: str
    speaker: str
    span: tuple[float, float] | None = None  # seconds within the file; None: all of it
    problem: str = ""  # why there is nothing to listen to


def keyed(lines: Iterable[Mapping[str, Any]], home: Path) -> Iterator[Row]:
    """Rows of named values: JSON Lines, a CSV with a header, a hub's table."""
    for number, values in enumerate(lines, 1):
        sound, text = _first(values, _AUDIO), _first(values, _TEXT)
        name = str(_first(values, _ID) or "")
        if isinstance(sound, Mapping):  # {"bytes", "path"}, as hubs store sounds
            name = name or Path(str(sound.get("path") or f"row-{number}")).stem
            sound = sound.get("bytes") or sound.get("path")
        if isinstance(sound, str):
            name = name or str(Path(sound).with_suffix(""))
            found = home / sound  # an absolute path stays itself
            sound = found if found.exists() else home / Path(sound).name
        if not isinstance(sound, Path | bytes):
            yield broken(name or f"row {number}", "names no sound")
            continue
        name = name or f"row-{number}"
        yield Row(name, sound, str(text or ""), str(_first(values, _SPEAKER) or name))


def parquet_files(path: Path, split: str) -> list[Path]:
    """The Parquet files of a split, none where the corpus is not stored so.

    Raises:
        DatasetError: there are some, but of other splits.
    """
    found = sorted(path.rglob("*.parquet"))
    chosen = [f for f in found if f.name.startswith(split) or f.parent.name == split]
    if found and not chosen:
        there = ", ".join(sorted({f.name.partition("-")[0] for f in found}))
        raise DatasetError(f"{path}: no Parquet file of {split!r}; splits there: {there}")
    return chosen


def parquet(files: Iterable[Path], home: Path) -> Iterator[Row]:
    """Rows of a hub's tables, read as they are asked for: a corpus is larger than memory."""
    try:
        arrow = importlib.import_module("pyarrow.parquet")
    except ImportError as e:
        raise DatasetError(
            f"{home}: Parquet files need pyarrow, which is not installed: pip install pyarrow, or "
            "save the sounds as a folder with a manifest.jsonl"
        ) from e
    for file in files:
        for batch in arrow.ParquetFile(file).iter_batches(batch_size=64):
            yield from keyed(batch.to_pylist(), home)


def split_file(path: Path, split: str, ending: str) -> Path:
    """The table of a split; `DatasetError` names those that are there."""
    file = path / f"{split}{ending}"
    if not file.is_file():
        there = ", ".join(sorted(p.stem for p in path.glob(f"*{ending}"))) or "none"
        raise DatasetError(f"{path}: no {file.name}; splits there: {there}")
    return file


def table_rows(file: Path, delimiter: str) -> Iterator[dict[str, str]]:
    """The rows of a table with a header."""
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    yield from csv.DictReader(read(file).splitlines(), delimiter=delimiter, quoting=quoting)


def json_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    """One object a line; a line that is none is an empty one."""
    for line in filter(str.strip, read(file).splitlines()):
        try:
            values = json.loads(line)
        except ValueError:
            values = {}
        yield values if isinstance(values, dict) else {}


def read(file: Path) -> str:
    """A text file; `DatasetError` where it is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise DatasetError(f"{file}: not readable as UTF-8 text ({e})") from e


def broken(name: str, why: str) -> Row:
    """The row for a line that cannot be understood."""
    return Row(name, b"", "", name, problem=f"its row {why}")


def _first(values: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((values[n] for n in names if values.get(n) not in (None, "")), None)
