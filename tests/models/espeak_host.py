"""A synthesizer as a host's engine: text in, PCM out, at work only while there is text."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from models.espeak import Espeak
from models.host_engine import End
from models.host_messages import Chunk, Option


class SpokenStream:
    """Clauses are spoken in order, a chunk of at most 60 ms a tick."""

    def __init__(self, espeak: Espeak, voice: str) -> None:
        self._espeak, self._voice = espeak, voice
        self._texts: deque[str] = deque()
        self._speaking: Iterator[np.ndarray] | None = None
        self._ready: list[Chunk] = []
        self._finished = False
        self._samples = 0
        self._end: End | None = None

    @property
    def end(self) -> End | None:
        return self._end

    @property
    def counters(self) -> dict[str, float]:
        return {"samples": self._samples}

    def push(self, chunk: Chunk) -> None:
        if chunk.pcm:
            raise ValueError("a synthesizer takes text, not audio")
        self._texts.append(chunk.text)

    def finish(self) -> None:
        self._finished = True

    def take(self) -> list[Chunk]:
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> None:
        self._end = self._end or End("closed")
        self._texts.clear()
        self._speaking = None

    def work(self) -> bool:
        if self._speaking is None and self._texts:
            self._speaking = self._espeak.stream(self._texts.popleft(), self._voice)
        if self._speaking is not None:
            pcm = next(self._speaking, None)
            if pcm is None:
                self._speaking = None
            else:
                self._samples += len(pcm)
                self._ready.append(Chunk(pcm=pcm.tobytes()))
            return True
        if self._finished:
            self._end = End("finished")
        return False


class EspeakHost:
    """Every open stream gets a chunk's worth of work a tick."""

    period: float | None = None

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._streams: list[SpokenStream] = []

    def open(self, options: dict[str, Option]) -> SpokenStream:
        stream = SpokenStream(self._espeak, str(options.get("voice", "priya")))
        self._streams.append(stream)
        return stream

    def tick(self, deadline: float | None) -> bool:
        self._streams = [stream for stream in self._streams if stream.end is None]
        worked = [stream.work() for stream in self._streams]  # all of them, not up to the first
        return any(worked)

    def skipped(self, ticks: int) -> None: ...

    def health(self) -> dict[str, float]:
        return {"streams": sum(stream.end is None for stream in self._streams)}
