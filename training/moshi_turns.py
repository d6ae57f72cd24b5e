"""How well a Moshi takes turns: it waits through a pause, and stops when it is cut in on.

By streaming generation through the duplex engine, with callers that never trained, on the samples'
own clock: a live call adds its transport. The bench measures the same in calls, on sentences that
no dialogue has; here there are enough cases to compare two models. Knows nothing of training.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice

import numpy as np
import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models.audio import audible, first_audible
from models.duplex import DuplexEngine
from training.duplex_dialogue import RATE, DialogueSource, Mix
from training.duplex_timeline import Event, SpokenDialogue
from training.moshi_score import SAMPLING, SLOTS, join

PAUSE_MS = (600, 800)  # inside a sentence: what is asked for is 700
CUT_IN_MS = 1_000  # of the answer are heard before it is cut in on
STOPPED_MS = 400  # a caller who cut in expects silence by then
ENDED_MS = 800  # an answer that goes on for longer was not ended by what was said into it
_QUIET_MS = 500  # silence after which an answer counts as stopped
_MS = RATE // 1000
_LONGEST = 20 * RATE  # samples of a caller's dialogue
_WAIT = 8 * RATE  # samples in which an answer must begin, and be cut in on
_LISTENED = 2 * RATE  # samples after an acknowledgement


@dataclass(frozen=True, eq=False)
class Hesitation:
    """A question with a pause in it: `pcm` int16 [T] at 24 kHz."""

    pcm: np.ndarray
    pause: Event

    def frame(self, start: int, size: int, _: np.ndarray) -> np.ndarray:
        """What is said in the samples `[start, start + size)`."""
        return self.pcm[start : start + size]


@dataclass(eq=False)
class CutIn:
    """Two questions, int16 [T] at 24 kHz; the second is said into the answer to the first."""

    first: np.ndarray
    second: np.ndarray
    onset: int | None = None  # of the second, once it is known

    def frame(self, start: int, size: int, heard: np.ndarray) -> np.ndarray:
        """What is said next, when `heard` float32 [start] has been heard."""
        if start < len(self.first):
            return self.first[start : start + size]
        if self.onset is None:
            begun = first_audible(heard, RATE, len(self.first)) if start <= self.latest else None
            if begun is None or start < begun + CUT_IN_MS * _MS:
                return self.first[:0]
            self.onset = start
        return self.second[start - self.onset : start - self.onset + size]

    def silent(self) -> "CutIn":
        """The same with nothing said into the answer."""
        return CutIn(self.first, np.zeros_like(self.second))

    @property
    def latest(self) -> int:
        """The sample from which on nobody cuts in any more."""
        return len(self.first) + _WAIT

    def stop(self, heard: np.ndarray) -> int | None:
        """Samples from the cut-in until the answer is silent; None if there was none by then."""
        at = self.onset
        pieces = audible(heard, RATE)
        if at is None or not any(piece.start <= at < piece.end for piece in pieces):
            return None
        last = at
        for piece in pieces:
            if piece.end > at and piece.start - last < _QUIET_MS * _MS:
                last = max(last, piece.end)
        return last - at


def hesitations(count: int, seed: int = 0) -> list[Hesitation]:
    """Questions in a quiet room with one pause of `PAUSE_MS`."""
    shortest, longest = (ms * _MS for ms in PAUSE_MS)
    found = (
        Hesitation(dialogue.user[: dialogue.exchanges[0].question_end], event)
        for dialogue in _dialogues(seed, Mix.plain(pause=1.0), turns=1)
        for event in dialogue.events
        if event.kind == "pause" and shortest <= event.end - event.start <= longest
    )
    return list(islice(found, count))


def cut_ins(count: int, seed: int = 0) -> list[CutIn]:
    """Pairs of questions of one caller in a quiet room."""
    pairs = (
        (dialogue.user, *dialogue.exchanges)
        for dialogue in _dialogues(seed, Mix.plain(), turns=2)
        if len(dialogue.exchanges) == 2
    )
    return [
        CutIn(pcm[: first.question_end], pcm[second.question_start : second.question_end])
        for pcm, first, second in islice(pairs, count)
    ]


def acknowledgements(count: int, seed: int = 0) -> list[CutIn]:
    """Questions in a quiet room, and what is said into their answers by who wants no turn."""
    found = (
        CutIn(dialogue.user[: dialogue.exchanges[0].question_end], dialogue.user[e.start : e.end])
        for dialogue in _dialogues(seed, Mix.plain(user_backchannel=1.0), turns=1)
        for e in dialogue.events
        if e.kind == "user backchannel"
    )
    return list(islice(found, count))


def _dialogues(seed: int, mix: Mix, turns: int) -> Iterator[SpokenDialogue]:
    source = DialogueSource(seed, _LONGEST, callers="held_out", mix=mix, turns=turns)
    return map(source.dialogue, numbers())


def take_turns(mimi: MimiModel, lm: LMModel, count: int) -> dict[str, float]:
    """The figures of `count` pauses and `count` cut-ins; both models in evaluation mode.

    `pause_kept`: share of questions with a pause into which nothing was said, from the pause until
    they were over; `pause_silent`: those that had no answer at all; `cut_in_stopped`: share of the
    answers that were cut in on and silent within `STOPPED_MS`; `cut_in_ms`: the median until
    silence; `cut_in_none`: share of the calls in which no answer was running when it was to be cut
    in on; `acknowledged_ended`: share of the answers into which somebody said yes, and which were
    silent within `ENDED_MS`; `ended`: the same of the same answers with nothing said into them,
    many of which are over by then.
    """
    state = torch.get_rng_state()  # the engine seeds torch's generator
    engine = DuplexEngine(mimi, lm, slots=min(SLOTS, count), sampling=SAMPLING)
    try:
        asked = hesitations(count)
        answers = _heard(engine, lm, [(one.frame, len(one.pcm) + _WAIT) for one in asked])
        figures = _pauses(asked, answers)
        pairs = cut_ins(count)
        lengths = (one.latest + len(one.second) + 2 * RATE for one in pairs)
        calls = [(one.frame, length) for one, length in zip(pairs, lengths, strict=True)]
        figures |= _cut_ins(pairs, _heard(engine, lm, calls))
        heeded = acknowledgements(count)
        for name, said in (("acknowledged_ended", heeded), ("ended", [c.silent() for c in heeded])):
            lengths = (one.latest + _LISTENED for one in said)
            calls = [(one.frame, length) for one, length in zip(said, lengths, strict=True)]
            figures |= _ended(name, said, _heard(engine, lm, calls))
        return figures
    finally:
        engine.close()
        torch.set_rng_state(state)


def _pauses(asked: list[Hesitation], answers: list[np.ndarray]) -> dict[str, float]:
    kept = silent = 0
    for one, heard in zip(asked, answers, strict=True):
        pieces = audible(heard, RATE)
        # Until the question is over: what a pause set off may be heard when it has just ended.
        kept += not any(p.start < len(one.pcm) and p.end > one.pause.start for p in pieces)
        silent += not any(p.end > len(one.pcm) for p in pieces)
    return {
        "pause_kept": round(kept / len(asked), 4),
        "pause_silent": round(silent / len(asked), 4),
    }


def _cut_ins(pairs: list[CutIn], answers: list[np.ndarray]) -> dict[str, float]:
    stops = [one.stop(heard) for one, heard in zip(pairs, answers, strict=True)]
    running = [stop for stop in stops if stop is not None]
    figures = {"cut_in_none": round(1 - len(running) / len(stops), 4)}
    if running:
        in_time = sum(stop <= STOPPED_MS * _MS for stop in running)
        figures["cut_in_stopped"] = round(in_time / len(running), 4)
        figures["cut_in_ms"] = round(statistics.median(running) / _MS)
    return figures


def _ended(name: str, said: list[CutIn], answers: list[np.ndarray]) -> dict[str, float]:
    stops = [one.stop(heard) for one, heard in zip(said, answers, strict=True)]
    running = [stop for stop in stops if stop is not None]
    if not running:
        return {}
    return {name: round(sum(stop <= ENDED_MS * _MS for stop in running) / len(running), 4)}


_Speak = Callable[[int, int, np.ndarray], np.ndarray]


def _heard(engine: DuplexEngine, lm: LMModel, calls: list[tuple[_Speak, int]]) -> list[np.ndarray]:
    """What each caller hears, float32 [T], several calls at once; every call has its samples."""
    heard: list[np.ndarray] = []
    for first in range(0, len(calls), engine.slots):
        heard += _together(engine, lm, calls[first : first + engine.slots])
    return heard


def _together(
    engine: DuplexEngine, lm: LMModel, calls: list[tuple[_Speak, int]]
) -> list[np.ndarray]:
    size = engine.frame_size
    lines = join(engine, lm, len(calls))
    ticks = -(-max(length for _, length in calls) // size)
    heard = np.zeros((len(calls), (ticks + 1) * size), np.float32)
    for tick in range(ticks):
        start, end = tick * size, (tick + 1) * size
        for line, (speak, _), sound in zip(lines, calls, heard, strict=True):
            frame = speak(start, size, sound[:start])
            line.push(np.pad(frame, (0, size - len(frame))))
        engine.tick()
        for line, sound in zip(lines, heard, strict=True):
            for given in line.take():  # heard once the whole frame it answers has been said
                sound[end : end + size] = given.pcm
    for line in lines:
        line.leave()
    return list(heard)
