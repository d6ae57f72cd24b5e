"""What is on the two channels of a spoken dialogue: samples, words, turns and events by sample.

Plain values of 24 kHz sound in frames of 80 ms, as Moshi takes it. Knows nothing of how a dialogue
is made (`duplex_script.py`, `duplex_sound.py`), stored (`duplex_dataset.py`) or tokenized.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

RATE = 24_000  # Hz
FRAME = 1_920  # samples: Moshi's 80 ms

EventKind = Literal[
    "greeting",  # the agent opens the call
    "pause",  # the caller falls silent inside a sentence; the agent waits
    "interruption",  # the caller speaks into an answer until the agent stops
    "overlap",  # the caller speaks into the last moments of an answer, which is finished
    "agent backchannel",  # the agent acknowledges; the caller goes on
    "user backchannel",  # the caller acknowledges; the agent goes on
    "silence",  # nobody speaks for seconds
    "noise",  # something is heard on the caller's side that is not speech
    "echo",  # the agent is heard on the caller's side
]


@dataclass(frozen=True)
class Word:
    """A word as it is written, and when it is heard: `[start, end)` in samples at 24 kHz."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Event:
    """Something that happens in `[start, end)`, in samples."""

    kind: EventKind
    start: int
    end: int


@dataclass(frozen=True)
class Exchange:
    """One question and its answer, with what is needed to judge another answer to it.

    `training.dialogues.fits(load()[intent].fits, heard, slots)` is that judgement.
    """

    intent: str
    question: str
    reply: str  # in full, even where it was interrupted
    slots: dict[str, str]  # those that the intent's written key names
    question_start: int  # samples; first and one past the last sample of speech
    question_end: int
    reply_start: int
    reply_end: int  # where the agent stopped, if it was interrupted
    interrupted: bool = False


@dataclass(frozen=True, eq=False)
class SpokenDialogue:
    """A conversation on two channels. `ValueError` unless they are equally long whole frames."""

    agent: np.ndarray  # int16 [T], 24 kHz; digital silence where the agent does not speak
    user: np.ndarray  # int16 [T], 24 kHz, as it arrives from the caller
    agent_words: tuple[Word, ...]  # in the order of their start
    user_words: tuple[Word, ...]
    voice: str  # of the agent: an id of `models.voices`; "" when nobody knows
    emotion: str
    exchanges: tuple[Exchange, ...] = ()
    events: tuple[Event, ...] = field(default=())
    caller: str = ""  # who speaks on the user's side: an espeak variant

    def __post_init__(self) -> None:
        for name, pcm in (("agent", self.agent), ("user", self.user)):
            if pcm.dtype != np.int16 or pcm.ndim != 1:
                raise ValueError(f"The {name} channel must be int16 [T], not {pcm.dtype}.")
        if len(self.agent) != len(self.user) or len(self.agent) % FRAME:
            raise ValueError(
                f"Channels of {len(self.agent)} and {len(self.user)} samples: both must have the "
                f"same number of whole frames of {FRAME} samples."
            )

    @property
    def frames(self) -> int:
        """Length in frames of 80 ms."""
        return len(self.agent) // FRAME

    def piece(self, start: int, end: int) -> "SpokenDialogue":
        """The samples `[start, end)`, times counted from `start`; both whole frames.

        A word belongs to the piece that it starts in and ends there at the latest. Exchanges stay
        only if the piece holds them whole.
        """
        words = {
            name: tuple(
                Word(word.text, word.start - start, min(word.end, end) - start)
                for word in getattr(self, name)
                if start <= word.start < end
            )
            for name in ("agent_words", "user_words")
        }
        return replace(
            self,
            agent=self.agent[start:end],
            user=self.user[start:end],
            agent_words=words["agent_words"],
            user_words=words["user_words"],
            exchanges=tuple(
                _earlier(exchange, start)
                for exchange in self.exchanges
                if start <= exchange.question_start and exchange.reply_end <= end
            ),
            events=tuple(
                Event(event.kind, max(event.start, start) - start, min(event.end, end) - start)
                for event in self.events
                if event.start < end and event.end > start
            ),
        )


def _earlier(exchange: Exchange, samples: int) -> Exchange:
    times = ("question_start", "question_end", "reply_start", "reply_end")
    return replace(exchange, **{name: getattr(exchange, name) - samples for name in times})
