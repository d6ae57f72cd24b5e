"""What an ear hears of packets that arrive when they like: a jitter buffer, counted in samples.

Knows nothing about sockets or messages; positions are samples at 24 kHz on the call's clock. The
model is a player that starts `jitter` after the first packet, plays packets back to back, and waits
for `jitter` again whenever it ran dry. What was buffered at an interruption is never heard.
"""

from dataclasses import dataclass

import numpy as np

DEFAULT_JITTER_MS = 40  # one server chunk: what a player on a good line keeps in hand


@dataclass(frozen=True)
class Underrun:
    """The buffer ran dry inside an answer: silence of `length` samples from sample `at`."""

    at: int
    length: int


class Playback:
    """The bot's side of a recording, written as packets arrive."""

    def __init__(self, rate: int, jitter_ms: int = DEFAULT_JITTER_MS):
        self.jitter = rate * jitter_ms // 1000  # samples
        self.underruns: list[Underrun] = []
        self.end = 0  # the sample after the last one scheduled
        self._track = np.zeros(rate * 60, dtype=np.int16)
        self._mid_answer = False

    def receive(self, now: int, pcm: np.ndarray) -> int:
        """Schedules a packet that arrived at sample `now`; returns where it will be heard.

        Args:
            now: arrival on the call's clock, in samples; never earlier than the last call's.
            pcm: int16 `[T]`.
        """
        at = self.end
        if now > self.end:  # dry, or the first packet of an answer
            at = now + self.jitter
            if self._mid_answer:
                self.underruns.append(Underrun(self.end, at - self.end))
        self._write(at, pcm)
        self._mid_answer = True
        return at

    def interrupt(self, now: int) -> int:
        """Drops what has not been heard by sample `now`; returns how many samples that was."""
        dropped = max(0, self.end - now)
        if dropped:
            self._track[now : self.end] = 0
            self.end = now
        self._mid_answer = False
        return dropped

    def answer_over(self) -> None:
        """A gap before the next packet is a pause between answers, not an underrun."""
        self._mid_answer = False

    def track(self, start: int = 0, end: int | None = None) -> np.ndarray:
        """int16 `[T]`: what is or will be heard from `start` to `end` (default: all scheduled)."""
        end = self.end if end is None else min(end, self.end)
        return self._track[start:end]

    def _write(self, at: int, pcm: np.ndarray) -> None:
        self.end = at + len(pcm)
        if self.end > len(self._track):
            grown = np.zeros(max(self.end, 2 * len(self._track)), dtype=np.int16)
            grown[: len(self._track)] = self._track
            self._track = grown
        self._track[at : self.end] = pcm
