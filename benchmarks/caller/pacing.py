"""A microphone that never drifts: 20 ms packets on absolute deadlines, silence between utterances.

Counts packets, not seconds, and takes its clock from outside. Packet n holds the samples of
`[n, n + 1) * 20 ms` after the origin and leaves at `origin + (n + 1) * 20 ms`: a live microphone
cannot send a sample before it was spoken. A late packet does not delay the ones after it. Other
lengths than 20 ms are for other instruments.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import numpy as np

from benchmarks.caller.wire import IN_RATE

PACKET_MS = 20
PACKET = IN_RATE * PACKET_MS // 1000  # samples


class Clock(Protocol):
    """Seconds that only grow, and a way to wait for one of them."""

    def now(self) -> float: ...

    async def sleep_until(self, deadline: float) -> None: ...


class WallClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, deadline: float) -> None:
        # Also with nothing to wait for: a caller that is behind must still let its ear listen.
        await asyncio.sleep(max(0.0, deadline - time.monotonic()))


class Microphone:
    """Sends an endless line of packets; `speak` puts an utterance on it."""

    def __init__(
        self,
        send: Callable[[np.ndarray], Awaitable[None]],
        clock: Clock,
        origin: float,
        packet: int = PACKET,
    ):
        """
        Args:
            send: takes one packet, int16 `[packet]`.
            clock: where `origin` was read.
            origin: the clock's time of sample 0.
            packet: its length in samples.
        """
        self._silence = np.zeros(packet, dtype=np.int16)
        self._send = send
        self._clock = clock
        self._origin = origin
        self._pending = np.zeros(0, dtype=np.int16)
        self._spoken = asyncio.Event()
        self.packets = 0
        self.late: list[float] = []  # seconds behind the deadline, a packet each
        self.said: list[tuple[int, np.ndarray]] = []  # (first sample at IN_RATE, int16 [T])

    def speak(self, pcm: np.ndarray) -> int:
        """Starts an utterance (int16 `[T]`) with the next packet; returns its first sample."""
        start = self.packets * len(self._silence)
        self.said.append((start, pcm))
        self._pending = pcm
        self._spoken = asyncio.Event()
        return start

    async def finished(self) -> None:
        """Returns when the last packet of the utterance has been sent."""
        if len(self._pending):
            await self._spoken.wait()

    async def run(self, packets: int | None = None) -> None:
        """Sends packets, for ever or `packets` of them; errors of `send` are the caller's."""
        while packets is None or self.packets < packets:
            deadline = self._origin + (self.packets + 1) * len(self._silence) / IN_RATE
            await self._clock.sleep_until(deadline)
            self.late.append(self._clock.now() - deadline)
            length = len(self._silence)
            packet, self._pending = self._pending[:length], self._pending[length:]
            await self._send(np.concatenate((packet, self._silence[len(packet) :])))
            self.packets += 1
            if not len(self._pending):
                self._spoken.set()

    def track(self) -> np.ndarray:
        """int16 `[T]` at `IN_RATE`: everything sent so far."""
        track = np.zeros(self.packets * len(self._silence), dtype=np.int16)
        for start, pcm in self.said:
            sent = pcm[: max(0, len(track) - start)]
            track[start : start + len(sent)] = sent
        return track
