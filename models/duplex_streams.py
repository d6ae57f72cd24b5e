"""The duplex engine behind a host's door: bytes to samples, options to a voice, ends to reasons.

Options of a stream are `voice` (a name, or names with weights), `emotion` and `adapter` (names).
Knows nothing of processes or sockets. A stream is admitted only if the engine would still meet
its deadlines.
"""

import math
from dataclasses import asdict

import numpy as np

from models.admission import ENOUGH_TICKS, Admission, TickCurve
from models.audio import to_int16
from models.duplex import DuplexEngine
from models.duplex_call import FINISHED, LEFT, Call
from models.host_engine import End, OpenRefused
from models.host_messages import Chunk, Option


class DuplexStream:
    """One call as a stream: int16 PCM in, int16 PCM with one text token a chunk out."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def end(self) -> End | None:
        reason = self._call.ended
        return None if reason is None else End(reason, fault=reason not in (FINISHED, LEFT))

    @property
    def counters(self) -> dict[str, float]:
        box = self._call.input
        return {**asdict(self._call.counters), "silence": box.silence, "dropped": box.dropped}

    def push(self, chunk: Chunk) -> None:
        if len(chunk.pcm) % 2:
            raise ValueError("PCM is int16: an odd number of bytes is no audio")
        self._call.push(np.frombuffer(chunk.pcm, dtype="<i2").astype(np.int16, copy=False))

    def finish(self) -> None:
        self._call.finish()

    def take(self) -> list[Chunk]:
        return [
            Chunk(pcm=to_int16(frame.pcm).tobytes(), tokens=(frame.text_token,))
            for frame in self._call.take()
        ]

    def close(self) -> None:
        self._call.leave()


class DuplexStreams:
    """A host's engine (`models.host_engine.HostEngine`) made of a duplex engine."""

    def __init__(self, engine: DuplexEngine, admission: Admission) -> None:
        self._engine = engine
        self._admission = admission
        self._ended = engine.ended
        self.period: float | None = 1.0 / engine.frame_rate  # seconds

    def open(self, options: dict[str, Option]) -> DuplexStream:
        """Raises OpenRefused when there is no room, ValueError for what the model lacks."""
        if unknown := set(options) - {"voice", "emotion", "adapter"}:
            raise ValueError(
                f"unknown option {min(unknown)!r}: voice, emotion and adapter can be given"
            )
        voice, emotion, adapter = (options.get(key) for key in ("voice", "emotion", "adapter"))
        if isinstance(voice, float | int) or not isinstance(emotion, str | None):
            raise ValueError("a voice is a name or names with weights, an emotion is a name")
        if not isinstance(adapter, str | None):
            raise ValueError("an adapter is a name")
        self._engine.check(
            voice, emotion, adapter
        )  # first: no waiting will help against a wrong name
        refusal = self._admission.refusal(len(self._engine.calls))
        if refusal is not None:
            raise OpenRefused(refusal.reason, refusal.retry_after)
        return DuplexStream(self._engine.join(voice, emotion, adapter))

    def tick(self, deadline: float | None) -> bool:
        calls = self._engine.tick(deadline)
        self._admission.ticked(calls, self._engine.last_tick)
        for _ in range(self._engine.ended - self._ended):
            self._admission.left()
        self._ended = self._engine.ended
        return False

    def skipped(self, ticks: int) -> None:
        self._engine.count_missed(ticks)

    def health(self) -> dict[str, float]:
        return {
            "slots": self._engine.slots,
            "calls": len(self._engine.calls),
            "ticks": self._engine.ticks,
            "last_tick_seconds": self._engine.last_tick,
            "missed_deadlines": self._engine.missed,
            "step_p50_seconds": self._admission.recent(0.5),
            "step_p99_seconds": self._admission.recent(0.99),
            "next_call_p99_seconds": self._admission.predict(len(self._engine.calls) + 1),
        }


def measure(
    engine: DuplexEngine, *, enough: float = math.inf, ticks: int = ENOUGH_TICKS
) -> TickCurve:
    """The engine's tick curve on this machine, from calls that are made and ended for it.

    Takes up to three batch sizes x `ticks` steps, none larger than the first whose p99 is beyond
    `enough` seconds: there no call is admitted. To be done before the first caller comes.
    """
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (8, engine.frame_size)).astype(np.float32)
    calls: list[Call] = []

    def tick(batch: int) -> None:
        while len(calls) < batch:
            calls.append(engine.join())
        for i, call in enumerate(calls):
            call.push(noise[(i + engine.ticks) % len(noise)])
        engine.tick()
        for call in calls:
            call.take()

    try:
        return TickCurve.measure(
            tick, {1, (engine.slots + 1) // 2, engine.slots}, ticks=ticks, enough=enough
        )
    finally:
        for call in calls:
            call.leave()
