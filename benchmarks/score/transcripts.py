"""References and hypotheses read from files and joined, utterance by utterance, nothing dropped.

A file holds one utterance a line, or JSON Lines with these keys (the first that is there counts):

- reference: `reference`, `text`; hypothesis: `hypothesis`, `pred_text`, `text` (a string, or null)
- `id`: joins the two files (or they are joined by order); `#2` behind it marks a second reading
- `system`: who wrote the hypothesis; each system is scored by itself
- `conversation`: utterances that belong together, for the confidence intervals

One JSON Lines file may be both. Knows nothing of normalising or scoring.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REFERENCE_KEYS = ("reference", "text")
HYPOTHESIS_KEYS = ("hypothesis", "pred_text", "text")
_READING = re.compile(r"#\d+$")
_NAMED = 5  # ids spelled out in a sentence


class ScoreError(Exception):
    """The files or options cannot be scored; the sentence names the remedy."""


@dataclass(frozen=True)
class Row:
    """One line of one file; `text` is None where the line says there is none."""

    line: int
    text: str | None
    id: str | None = None
    system: str | None = None
    conversation: str | None = None


@dataclass(frozen=True)
class Utterance:
    """What was said and what a system made of it, as written; `hypothesis` is "" where missing."""

    name: str
    group: str  # utterances of one group are not independent of each other
    reference: str
    hypothesis: str
    missing: bool = False


def load(refs: Path, hyps: Path, system: str | None = None) -> dict[str | None, list[Utterance]]:
    """The utterances of every system in `hyps`, or of `system` alone; the key None: no name given.

    Raises:
        ScoreError: a file cannot be read, or the two do not belong together.
    """
    one_file = refs.exists() and hyps.exists() and refs.samefile(hyps)
    references = read(refs, REFERENCE_KEYS)
    hypotheses = read(hyps, HYPOTHESIS_KEYS[:2] if one_file else HYPOTHESIS_KEYS)
    if one_file and not _is_jsonl(refs, _text_of(refs)):
        raise ScoreError(f"{refs} is given as references and as hypotheses: name two files")
    names = list(dict.fromkeys(row.system for row in hypotheses))
    if system is not None:
        if system not in names:
            raise ScoreError(f"no system {system!r} in {hyps}; it has {some(map(str, names))}")
        names = [system]
    elif lost := {r.system for r in references} - {None, *names} if names != [None] else set():
        raise ScoreError(f"{hyps} has nothing of {some(map(str, lost))}, which {refs} names")
    return {
        name: join(
            [row for row in references if name is None or row.system in (None, name)],
            [row for row in hypotheses if row.system == name],
            refs,
            hyps,
        )
        for name in names
    }


def read(path: Path, keys: Sequence[str]) -> list[Row]:
    """The rows of a file, the text of each under the first of `keys` that it has.

    Raises:
        ScoreError: no such file, not UTF-8, empty, or a line that is not what it should be.
    """
    text = _text_of(path)
    lines = text.split("\n")  # not splitlines: a hypothesis may hold U+2028 or U+0085
    if lines[-1] == "":
        lines.pop()
    if not any(line.strip() for line in lines):
        raise ScoreError(f"{path} holds no utterances: write one a line, or JSON Lines")
    if not _is_jsonl(path, text):
        return [Row(number, line.rstrip("\r")) for number, line in enumerate(lines, 1)]
    rows = [
        _parse(line, number, path, keys) for number, line in enumerate(lines, 1) if line.strip()
    ]
    if all(row.text is None for row in rows):
        raise ScoreError(f"{path}: no line has the key {' or '.join(keys)} with a text")
    return rows


def join(
    references: Sequence[Row], hypotheses: Sequence[Row], refs: Path, hyps: Path
) -> list[Utterance]:
    """Every reference with its hypothesis, by id where both files have one, or by order.

    Raises:
        ScoreError: an id twice, ids on some lines only, a hypothesis without a reference, files of
            unequal length without ids, a reference that is null.
    """
    nameless = [row.line for row in references if row.text is None]
    if nameless:
        raise ScoreError(
            f'{refs}: line {nameless[0]} has no reference; write "" where nothing is said'
        )
    by_id = [_check_ids(rows, path) for rows, path in ((references, refs), (hypotheses, hyps))]
    if all(by_id):
        found = {row.id: row for row in hypotheses}
        strangers = found.keys() - {row.id for row in references}
        if strangers:
            raise ScoreError(
                f"{refs} lacks {some(map(str, strangers))} of {hyps}: add the references, "
                "or leave the hypotheses out"
            )
        return [_utterance(row, found.get(row.id)) for row in references]
    if len(references) != len(hypotheses):
        raise ScoreError(
            f"{refs} has {len(references)} utterances and {hyps} {len(hypotheses)}: write an empty "
            'line where a hypothesis is missing, or give both files JSON Lines with an "id"'
        )
    return [_utterance(*pair) for pair in zip(references, hypotheses, strict=True)]


def _utterance(reference: Row, hypothesis: Row | None) -> Utterance:
    name = reference.id or (hypothesis and hypothesis.id) or f"line {reference.line}"
    group = reference.conversation or (hypothesis and hypothesis.conversation)
    text = None if hypothesis is None else hypothesis.text
    return Utterance(
        name, group or _READING.sub("", name), reference.text or "", text or "", text is None
    )


def _check_ids(rows: Sequence[Row], path: Path) -> bool:
    """Whether the rows have ids, which must then be all of them and all different."""
    ids = Counter(row.id for row in rows)
    if set(ids) == {None}:
        return False
    if None in ids:
        line = next(row.line for row in rows if row.id is None)
        raise ScoreError(f'{path}: line {line} has no "id" and others have: give it to all or none')
    twice = [str(name) for name, times in ids.items() if times > 1]
    if twice:
        raise ScoreError(
            f"{path} has {some(twice)} more than once: tell second readings apart (id#2), "
            'systems by a "system" key'
        )
    return True


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ScoreError(f"{path} is not UTF-8 (byte {e.start}): save it as UTF-8") from None
    except OSError as e:
        raise ScoreError(f"cannot read {path}: {e.strerror}; give a file of utterances") from None


def _is_jsonl(path: Path, text: str) -> bool:
    return path.suffix in (".jsonl", ".ndjson") or text.lstrip().startswith("{")


def _parse(line: str, number: int, path: Path, keys: Sequence[str]) -> Row:
    where = f"{path}: line {number}"
    try:
        row = json.loads(line)
    except ValueError as e:
        raise ScoreError(f"{where} is not JSON ({e}): write one object a line") from None
    if not isinstance(row, dict):
        raise ScoreError(f"{where} is not a JSON object: write one object a line")
    key = next((key for key in keys if key in row), None)
    text = None if key is None else row[key]
    if text is not None and not isinstance(text, str):
        raise ScoreError(f'{where}: "{key}" is not a text; write a string, or null for none')
    labels = {name: row.get(name) for name in ("id", "system", "conversation")}
    for name, label in labels.items():
        if isinstance(label, dict | list):
            raise ScoreError(f'{where}: "{name}" is not a name; write a string or a number')
    return Row(number, text, **{k: None if v is None else str(v) for k, v in labels.items()})


def some(names: Iterable[str]) -> str:
    """A few of the names, and how many more there are."""
    listed = sorted(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
