"""One caller's side of the duplex engine: audio in, frames out, and what became of them.

Knows the engine only as the function that ends a call. Belongs to the thread that ticks the engine.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.duplex_conditions import Choice
from models.duplex_input import FrameBuffer

FINISHED = "finished"
LEFT = "left"
NOT_FINITE = "the model's numbers were no longer finite in this call"
NOT_TAKEN = "the caller did not take its audio"
OUTPUT_FRAMES = 125  # ten seconds of untaken speech: nobody listens any more


@dataclass(frozen=True)
class Frame:
    """80 ms of an answer: float32 PCM `[frame_size]` in -1..1, and the text token beside it."""

    pcm: np.ndarray
    text_token: int


@dataclass
class Counters:
    """What one call has gone through, in frames; `fed == given` unless its numbers broke."""

    fed: int = 0  # frames of the caller, or silence in their place, that the model heard
    given: int = 0  # frames of answer
    missed: int = 0  # answers that came after their deadline


class Call:
    """One caller's place in the batch, from `DuplexEngine.join` until `ended` says why it ended.

    `generation` is unique in the engine's life, `slot` is not.
    """

    def __init__(
        self,
        slot: int,
        generation: int,
        choice: Choice,
        adapter: str | None = None,
        *,
        input: FrameBuffer,
        delay: int,
        release: Callable[["Call", str], None],
    ) -> None:
        self._release = release
        self.slot = slot
        self.generation = generation
        self.choice = choice
        self.adapter = adapter
        self.input = input
        self.counters = Counters()
        self.ended: str | None = None
        self.steps = 0  # of the language model, in this call
        self.tail = delay  # steps still owed once the caller's audio is used up
        self._frames: deque[Frame] = deque()

    def push(self, pcm: np.ndarray) -> None:
        """Gives mono PCM `[n]` at the engine's sample rate, int16 or float32; any n, any pace.

        Audio of a call that has ended is let go. Raises ValueError for samples that are no audio.
        """
        if self.ended is None:
            self.input.push(pcm)

    def finish(self) -> None:
        """The caller will say no more: what waits is heard, then the acoustic delay is played out.

        The acoustic codebooks of a frame come `delay` steps after its first one, so the last
        frames the model began are whole only after that many further steps. Then the call ends.
        """
        if self.ended is None and not self.input.finished:
            self.input.finish()

    def take(self) -> list[Frame]:
        """All answer frames since the last call of this, oldest first; also after the end."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def leave(self) -> None:
        """Hangs up: the slot is free at once, and what was not taken is gone."""
        if self.ended is None:
            self._frames.clear()
            self._release(self, LEFT)

    def answer(self, frame: Frame) -> None:
        """One more frame for the caller (called by the engine's tick)."""
        self._frames.append(frame)
        self.counters.given += 1

    @property
    def untaken(self) -> int:
        """Answer frames nobody has taken yet."""
        return len(self._frames)
