"""An engine that says what it is told to: frames of sound or silence, each with a text token.

Options: `script`, one character a frame: a letter is that token with a tone, a small letter the
token in silence, `.` padding in silence, `~` padding with idle noise, `!` the end by a fault.
"""

from dataclasses import dataclass, field

import numpy as np

from models.host_engine import End
from models.host_messages import Chunk, Option

FRAME = 1920
PADDING = 3
TOKENS = {letter: 10 + n for n, letter in enumerate("abcdefghij")}


@dataclass
class ScriptedStream:
    """One line of the script, a frame a tick; padding and silence after its end."""

    script: str
    end: End | None = None
    heard: int = 0  # samples
    at: int = 0
    ready: list[Chunk] = field(default_factory=list)

    @property
    def counters(self) -> dict[str, float]:
        return {"missed": 7, "silence": 3, "heard": self.heard}

    def push(self, chunk: Chunk) -> None:
        self.heard += len(chunk.pcm) // 2

    def finish(self) -> None:
        self.end = End("finished")

    def take(self) -> list[Chunk]:
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None:
        self.end = self.end or End("closed")

    def step(self) -> None:
        sign = self.script[self.at] if self.at < len(self.script) else "."
        self.at += 1
        if sign == "!":
            self.end = End("the script says so", fault=True)
            return
        rng = np.random.default_rng(self.at)
        level = 3000.0 if sign.isupper() else 30.0 if sign == "~" else 0.0
        pcm = (level * rng.standard_normal(FRAME)).astype("<i2")
        self.ready.append(Chunk(pcm=pcm.tobytes(), tokens=(TOKENS.get(sign.lower(), PADDING),)))


class ScriptedHost:
    """Real time, 80 ms a tick."""

    period: float | None = 0.08

    def __init__(self, burst_after: int = 0, burst: int = 0) -> None:
        """After `burst_after` ticks the engine stalls for `burst` of them and then catches up."""
        self._streams: list[ScriptedStream] = []
        self._ticks = 0
        self._stall = range(burst_after, burst_after + burst)

    def open(self, options: dict[str, Option]) -> ScriptedStream:
        stream = ScriptedStream(str(options["script"]))
        self._streams.append(stream)
        return stream

    def tick(self, deadline: float | None) -> bool:
        self._ticks += 1
        if self._ticks in self._stall:
            return False
        times = 1 + len(self._stall) if self._stall and self._ticks == self._stall.stop else 1
        for stream in self._streams:
            for _ in range(times):
                if stream.end is None:
                    stream.step()
        return False

    def skipped(self, ticks: int) -> None: ...

    def health(self) -> dict[str, float]:
        return {"ticks": self._ticks}
