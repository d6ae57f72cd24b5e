"""What the callers of a run will say: a suite's set, spoken once and kept, or recorded speech.

Knows sets, voices and corpora; nothing about engines.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.corpora.corpus import Address, DatasetError, Recordings, open_dataset
from benchmarks.sets import turnset
from benchmarks.sets.render import render
from benchmarks.sets.turnset import Conversation
from benchmarks.suite import suites
from benchmarks.suite.progress import bars
from benchmarks.suite.suites import Suite
from benchmarks.suite.turn_rows import Said


@dataclass(frozen=True)
class Prepared:
    """A suite's input."""

    name: str  # of the set, with its version
    sha256: str
    conversations: tuple[Conversation, ...]
    said: Mapping[str, Sequence[Said]]  # conversation -> its turns
    recordings: Recordings | None = None  # where people say it

    def refused(self) -> list[str]:
        """What of a corpus cannot be said, a sentence each."""
        return (
            [f"{one.id}: {one.reason}" for one in self.recordings.refused]
            if self.recordings
            else []
        )


def prepare(suite: Suite, console: Console) -> Prepared:
    """Loads the suite's set and lets the callers' voices say it.

    Raises:
        SetError, NoSuchSuite: the set is not the one that the suite names.
        EspeakMissing, EspeakFailed: there is no voice for it.
    """
    loaded = turnset.load(suite.turnset)
    conversations = suites.chosen(suite, loaded)
    said: dict[str, list[Said]] = {}
    with bars(console) as shown:
        for n, conversation in enumerate(conversations, 1):
            utterances = render(conversation, cache())
            said[conversation.id] = [
                Said(turn.text, utterance, turn.key)
                for turn, utterance in zip(conversation.turns, utterances, strict=True)
            ]
            shown.show("callers' voices", n, len(conversations))
    return Prepared(loaded.name, loaded.sha256, conversations, said)


def recorded(address: Address, limit: int | None) -> Prepared:
    """The usable clips of a corpus as calls of one turn; sounds are read when they are said.

    Raises:
        DatasetError: it cannot be read, or no clip of it can be used.
    """
    found = open_dataset(address.layout, address.path, address.split, limit)
    if not found.clips:
        first = found.refused[0]
        raise DatasetError(
            f"{address.path}: none of {len(found.refused)} clips can be used; the first, "
            f"{first.id}: {first.reason}"
        )
    turns = found.turns()
    said = Recorded(found, {c.id: c for c in turns.conversations})
    return Prepared(turns.name, turns.sha256, turns.conversations, said, found)


@dataclass(frozen=True)
class Recorded(Mapping[str, Sequence[Said]]):
    """The clips of a corpus, one in memory at a time."""

    recordings: Recordings
    conversations: Mapping[str, Conversation]

    def __getitem__(self, name: str) -> list[Said]:
        """Raises DatasetError if its file has changed since."""
        conversation = self.conversations[name]
        [utterance] = self.recordings.utterances(conversation)
        return [Said(conversation.turns[0].text, utterance, group=conversation.group)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.conversations)

    def __len__(self) -> int:
        return len(self.conversations)


def cache() -> Path:
    """Where callers' sounds are kept; `MAATA_CACHE` overrides `~/.cache/maata`."""
    return Path(os.environ.get("MAATA_CACHE", Path.home() / ".cache" / "maata")) / "callers"
