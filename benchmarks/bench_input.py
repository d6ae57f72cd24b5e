"""What the callers of a suite will say: its set, spoken once and kept in a cache.

Knows sets and voices; nothing about engines.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import suites, turnset
from benchmarks.bench_call import Said
from benchmarks.bench_progress import bars
from benchmarks.render import render
from benchmarks.suites import Suite
from benchmarks.turnset import Conversation


@dataclass(frozen=True)
class Prepared:
    """A suite's input."""

    name: str  # of the set, with its version
    sha256: str
    conversations: tuple[Conversation, ...]
    said: dict[str, list[Said]]  # conversation -> its turns


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


def cache() -> Path:
    """Where callers' sounds are kept; `MAATA_CACHE` overrides `~/.cache/maata`."""
    return Path(os.environ.get("MAATA_CACHE", Path.home() / ".cache" / "maata")) / "callers"
