"""Which answers of a run are put before raters: the same turns of every engine where it can be.

Rows and their recordings in, levelled clips out. What cannot be used is named and left out. Knows
nothing of anchors, pages or answers.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.listening.sound import LONGEST_S, levelled, read_answer
from benchmarks.suite.rows import ANSWERED, TurnRow
from models.audio import AudioError

BEFORE_MS, AFTER_MS = 60.0, 150.0  # kept around an answer, so that no onset or fade is cut off

Place = tuple[str, int]  # conversation, turn


@dataclass(frozen=True)
class Clip:
    """One answer of one engine as raters hear it: float32 `[T]` at `sound.RATE`."""

    row: TurnRow
    pcm: np.ndarray
    gain_db: float
    cut: bool  # longer than raters hear

    @property
    def place(self) -> Place:
        return self.row.conversation, self.row.turn


@dataclass
class Choice:
    """What was chosen: clips by engine, and a sentence for everything that could not be used."""

    clips: dict[str, list[Clip]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def shared(self) -> list[Place]:
        """The places that every engine has a clip of, in the order chosen."""
        having = [{c.place for c in clips} for clips in self.clips.values()]
        first = next(iter(self.clips.values()), [])
        return [c.place for c in first if all(c.place in places for places in having)]


def choose(rows: Sequence[TurnRow], run: Path, per_engine: int, rng: np.random.Generator) -> Choice:
    """Up to `per_engine` clips of each engine, drawn over the conversations in turn.

    Turns that every engine answered come first; what is then missing is filled with turns that an
    engine answered alone. Warm-up calls and turns without an answer are never drawn.
    """
    usable: dict[str, dict[Place, TurnRow]] = {e: {} for e in dict.fromkeys(r.engine for r in rows)}
    for row in rows:
        if row.status == ANSWERED and not row.warmup and row.bot_start_ms is not None and row.audio:
            usable[row.engine].setdefault((row.conversation, row.turn), row)
    choice = Choice({engine: [] for engine in usable})
    common = set.intersection(*(set(places) for places in usable.values())) if usable else set()
    for place in _spread(common, rng):
        if all(len(clips) >= per_engine for clips in choice.clips.values()):
            break
        cut = [_cut(run, places[place], choice.skipped) for places in usable.values()]
        if all(cut):
            for clip in filter(None, cut):
                choice.clips[clip.row.engine].append(clip)
    for engine, clips in choice.clips.items():
        taken = {c.place for c in clips}
        for place in _spread(set(usable[engine]) - taken - common, rng):
            if len(clips) >= per_engine:
                break
            if clip := _cut(run, usable[engine][place], choice.skipped):
                clips.append(clip)
    return choice


def _spread(places: set[Place], rng: np.random.Generator) -> Iterator[Place]:
    """All of them in a random order, one of each conversation before any has a second."""
    by_conversation: dict[str, list[Place]] = defaultdict(list)
    for place in sorted(places):
        by_conversation[place[0]].append(place)
    queues = [[turns[i] for i in rng.permutation(len(turns))] for turns in by_conversation.values()]
    queues = [queues[i] for i in rng.permutation(len(queues))]
    for depth in range(max(map(len, queues), default=0)):
        yield from (queue[depth] for queue in queues if depth < len(queue))


def _cut(run: Path, row: TurnRow, skipped: list[str]) -> Clip | None:
    start, end = row.bot_start_ms, row.bot_end_ms or row.audio_to_ms
    assert start is not None
    if end is None:
        end = start + LONGEST_S * 1000.0
    try:
        pcm = read_answer(run / (row.audio or ""), max(0.0, start - BEFORE_MS), end + AFTER_MS)
        heard, gain = levelled(pcm)
    except AudioError as e:
        skipped.append(f"{row.engine}, {row.conversation}, turn {row.turn}: {e}")
        return None
    return Clip(row, heard, round(gain, 2), end - start > LONGEST_S * 1000.0)
