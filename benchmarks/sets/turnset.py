"""The shipped sets of caller turns: frozen files, read into plain values.

A set is what makes two runs comparable, so its file is pinned by hash in `SETS` and never edited:
a changed set is a new file under a new name. Knows nothing of sound (`render.py`) or of what fits
(`keys.py`).
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.keys.keys import BadKey, Key, parse

SETS: Mapping[str, str] = {
    "te-v1": "824a44d7d8356681754c34b54c9a9c8c357b00d7acaca6435cefe0dda730c2fe"
}  # name → sha256 of sets/NAME.toml
DEFAULT = "te-v1"
FULL = "full"

_SETS = Path(__file__).parent


class SetError(ValueError):
    """A set cannot be used; the sentence names the file and the remedy."""


@dataclass(frozen=True)
class CallerTurn:
    """One thing a caller says."""

    text: str  # Telugu script, no figures, no punctuation: as it is spoken
    key: Key | None = None  # what a fitting answer holds; None: nothing is known about that
    example: str = ""  # an answer that fits; {time} and its kin stand for the call's clock


@dataclass(frozen=True)
class Conversation:
    """The turns of one call, in order."""

    id: str
    family: str  # what it is about
    voice: str  # an espeak-ng variant; "" where the turns are recordings
    turns: tuple[CallerTurn, ...]
    seed: str = ""  # name of the set and of the conversation: what the rendering is drawn from
    group: str = ""  # conversations of one group are not independent; "": it stands alone


@dataclass(frozen=True)
class TurnSet:
    """Conversations under a name that will always mean the same."""

    name: str  # te-v1, or te-v1:standard for a subset
    sha256: str  # of the file
    conversations: tuple[Conversation, ...]

    @property
    def turns(self) -> int:
        """How many caller turns."""
        return sum(len(c.turns) for c in self.conversations)


def load(name: str = DEFAULT) -> TurnSet:
    """A shipped set, or its subset: `te-v1`, `te-v1:smoke`, `te-v1:standard` (`:full` is all).

    Raises:
        SetError: no such set or subset, or its file was changed.
    """
    base, _, subset = name.partition(":")
    if base not in SETS:
        raise SetError(f"there is no set {base!r}; known are {', '.join(SETS)}")
    path = _SETS / f"{base}.toml"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SETS[base]:
        raise SetError(
            f"{path}: this is not the set {base} (sha256 {found[:12]}… instead of "
            f"{SETS[base][:12]}…); a changed set is a new name: restore the file, or give yours "
            "another name in benchmarks/sets/turnset.py"
        )
    raw = tomllib.loads(data.decode())
    whole = TurnSet(base, found, parse_set(raw, base))
    if not subset or subset == FULL:
        return whole
    subsets = raw.get("subsets", {})
    if subset not in subsets:
        raise SetError(f"{base} has no subset {subset!r}; known are {FULL}, {', '.join(subsets)}")
    return replace(
        whole, name=name, conversations=_chosen(whole.conversations, subsets[subset], name)
    )


def parse_set(raw: Mapping[str, Any], name: str) -> tuple[Conversation, ...]:
    """The conversations of a set's TOML.

    Raises:
        SetError: a turn names a key that is not there, a slot without a value, an id used twice.
    """
    keys = raw.get("keys", {})
    conversations: list[Conversation] = []
    for entry in raw.get("conversation", []):
        try:
            seed = f"{name}/{entry['id']}"
            turns = tuple(_turn(turn, keys, seed) for turn in entry["turns"])
            one = Conversation(entry["id"], entry["family"], entry["voice"], turns, seed)
        except (KeyError, TypeError) as e:
            raise SetError(f"{name}: conversation {entry.get('id', '?')}: {e} is missing") from e
        if any(one.id == other.id for other in conversations):
            raise SetError(f"{name}: conversation {one.id} is there twice")
        conversations.append(one)
    if not conversations:
        raise SetError(f"{name}: there is no [[conversation]]")
    return tuple(conversations)


def _turn(raw: Mapping[str, Any], keys: Mapping[str, Any], where: str) -> CallerTurn:
    named = raw["key"]
    if named not in keys:
        raise SetError(f"{where}: there is no key {named!r}")
    slots = raw.get("slots", {})
    try:
        lines = [Template(line).substitute(slots) for line in keys[named]["fits"]]
        example = Template(keys[named]["example"]).substitute(slots)
        return CallerTurn(raw["text"], parse(lines), example)
    except BadKey as e:
        raise SetError(f"{where}: key {named!r}: {e}") from e
    except (KeyError, ValueError) as e:
        raise SetError(f"{where}: key {named!r}: slot {e} has no value") from e


def _chosen(
    conversations: tuple[Conversation, ...], wanted: Mapping[str, list[int]], name: str
) -> tuple[Conversation, ...]:
    by_id = {c.id: c for c in conversations}
    chosen: list[Conversation] = []
    for id_, numbers in wanted.items():
        if id_ not in by_id or not all(1 <= n <= len(by_id[id_].turns) for n in numbers):
            raise SetError(f"{name}: {id_} with turns {numbers} is not in the set")
        turns = tuple(by_id[id_].turns[n - 1] for n in numbers)
        chosen.append(replace(by_id[id_], turns=turns))
    return tuple(chosen)
