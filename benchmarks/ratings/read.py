"""Raters' CSV files, checked row by row against the key of their kit.

Every row that cannot be used, and every clip that a rater left out, becomes a `Gap` with a
sentence; the rest is kept. Knows nothing of means or models.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("kit", "rater", "order", "kind", "clip_a", "clip_b", "answer", "ms")
ACR, PAIR = "acr", "pair"
A, B, SAME = "a", "b", "same"
SCORES = range(1, 6)
_SCHEMA = 1


class RatingsError(ValueError):
    """No rating can be read at all; the sentence names the remedy."""


@dataclass(frozen=True)
class Gap:
    """Something that is not there or cannot be used; `line` counts from 1, None: the whole file."""

    file: str
    line: int | None
    rater: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """One usable row: a score of 1 to 5 for `a`, or a preference between `a` and `b`."""

    file: str
    line: int
    rater: str
    kind: str  # ACR or PAIR
    a: str
    b: str  # "" unless a pair
    score: int  # 0 for a pair
    preferred: str  # A, B or SAME; "" for a single clip
    ms: int

    @property
    def task(self) -> tuple[str, ...]:
        """What was asked, whichever of a pair was called A."""
        return tuple(sorted(filter(None, (self.a, self.b))))


@dataclass(frozen=True)
class Key:
    """What the kit's page does not say: whose clips they are."""

    kit: str
    engines: list[str]
    clips: dict[str, dict[str, Any]]
    pairs: dict[tuple[str, ...], dict[str, Any]]  # by sorted ids

    @property
    def tasks(self) -> list[tuple[str, ...]]:
        """Everything a rater is asked."""
        return [*((name,) for name in self.clips), *self.pairs]


def read_key(path: Path) -> Key:
    """`key.json` of a kit.

    Raises:
        RatingsError: no such file, or no key.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != _SCHEMA:
            raise ValueError(f"of schema {raw['schema']}, not {_SCHEMA}")
        pairs = {tuple(sorted((p["a"], p["b"]))): p for p in raw["pairs"]}
        clips = {name: dict(about) for name, about in raw["clips"].items()}
        for about in clips.values():
            if about["role"] == "engine" and about["engine"] not in raw["engines"]:
                raise ValueError(f"a clip of an engine {about['engine']!r} that is not listed")
        return Key(str(raw["kit"]), list(raw["engines"]), clips, pairs)
    except FileNotFoundError as e:
        raise RatingsError(f"{path}: no such file; it lies beside the kit's listening.html") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise RatingsError(f"{path}: not the key of a listening kit ({e!r})") from e


def read_answers(paths: Sequence[Path], key: Key) -> tuple[list[Answer], list[Gap]]:
    """The usable answers of all files, and what is wrong or missing.

    Of several answers of one rater to one question the last counts: a rater may save twice. Only
    answers that differ are named, since two people may have typed the same code.
    """
    gaps: list[Gap] = []
    kept: dict[tuple[str, tuple[str, ...]], Answer] = {}
    files: dict[str, str] = {}
    for path in paths:
        for found in _file(path, key):
            if isinstance(found, Gap):
                gaps.append(found)
                continue
            before = kept.pop((found.rater, found.task), None)
            if before and _meaning(before) != _meaning(found):
                reason = f"answered otherwise in {before.file}, line {before.line}; this one counts"
                gaps.append(Gap(found.file, found.line, found.rater, reason))
            kept[found.rater, found.task] = found
            files[found.rater] = found.file
    for rater, file in files.items():
        for task in key.tasks:
            if (rater, task) not in kept:
                gaps.append(Gap(file, None, rater, f"no answer for {' / '.join(task)}"))
    return list(kept.values()), gaps


def _file(path: Path, key: Key) -> Iterator[Answer | Gap]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        yield Gap(path.name, None, "", f"not readable as UTF-8 text ({e.__class__.__name__})")
        return
    head = text.partition("\n")[0]
    # Spreadsheets of some languages save with semicolons or tabs.
    mark = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            yield Gap(path.name, None, "", f"no column {missing[0]!r}: not saved by the kit's page")
            return
        for row in rows:
            if any(cell.strip() for cell in row):
                values = dict(zip(columns, (cell.strip() for cell in row), strict=False))
                yield _row(path.name, rows.line_num, values, key)
    except csv.Error as e:
        yield Gap(path.name, rows.line_num, "", f"not CSV from here on ({e})")


def _row(file: str, line: int, values: dict[str, str], key: Key) -> Answer | Gap:
    rater, kind, answer = (values.get(name, "") for name in ("rater", "kind", "answer"))
    a, b = values.get("clip_a", ""), values.get("clip_b", "")
    if wrong := _wrong(values, key, a, b):
        return Gap(file, line, rater, wrong)
    score = int(float(answer)) if kind == ACR else 0
    preferred = answer.lower() if kind == PAIR else ""
    ms = int(number) if (number := _number(values.get("ms", ""))) is not None else 0
    return Answer(file, line, rater, kind, a, b, score, preferred, ms)


def _wrong(values: dict[str, str], key: Key, a: str, b: str) -> str | None:
    """Why a row cannot be used, or None."""
    kind, answer = values.get("kind", ""), values.get("answer", "")
    if not values.get("rater"):
        return "no rater"
    if (kit := values.get("kit", "")) != key.kit:
        return f"of another kit ({kit or 'none named'}), not {key.kit}"
    if kind not in (ACR, PAIR):
        return f"kind {kind!r} is neither {ACR} nor {PAIR}"
    for name in (a, b) if kind == PAIR else (a,):
        if name not in key.clips:
            return f"no clip {name!r} in the kit"
    if kind == PAIR and tuple(sorted((a, b))) not in key.pairs:
        return f"no pair {a} / {b} in the kit"
    if kind == ACR and b:
        return "a second clip where one is rated"
    if not answer:
        return "no answer: skipped"
    if kind == ACR and _number(answer) not in SCORES:
        return f"score {answer!r} is not 1, 2, 3, 4 or 5"
    if kind == PAIR and answer.lower() not in (A, B, SAME):
        return f"preference {answer!r} is not {A}, {B} or {SAME}"
    return None


def _number(text: str) -> float | None:
    """Spreadsheets write 4 as 4.0; anything else than a finite number is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _meaning(answer: Answer) -> tuple[int, str]:
    """An answer regardless of which clip was called A."""
    chosen = {A: answer.a, B: answer.b}.get(answer.preferred, answer.preferred)
    return answer.score, chosen
