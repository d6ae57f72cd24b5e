"""Packets leave on absolute deadlines whatever the machine does; every sample leaves once."""

import asyncio
import random
import time

import numpy as np
import pytest

from benchmarks.caller.pacing import PACKET, Microphone, WallClock


class SlowClock:
    """A clock whose sleeps overshoot, at times by much: a busy machine in no time at all."""

    def __init__(self, seed: int, stalls: set[int]):
        self._random = random.Random(seed)
        self._now = 100.0
        self._sleeps = 0
        self._stalls = stalls

    def now(self) -> float:
        return self._now

    async def sleep_until(self, deadline: float) -> None:
        self._sleeps += 1
        overshoot = 0.2 if self._sleeps in self._stalls else self._random.uniform(0, 0.004)
        self._now = max(self._now, deadline) + overshoot
        await asyncio.sleep(0)


async def test_lateness_never_accumulates():
    clock, sent = SlowClock(1, stalls={200, 700}), []

    async def send(packet: np.ndarray) -> None:
        sent.append(clock.now())

    await Microphone(send, clock, origin=clock.now()).run(1_000)
    late = [at - (100.0 + (n + 1) * 0.02) for n, at in enumerate(sent)]
    assert min(late) >= 0  # never before the sample was spoken
    assert max(late[:198]) < 0.005
    assert max(late[198:215]) > 0.15  # the stall is seen …
    assert max(late[215:698]) < 0.01  # … and caught up
    assert late[-1] < 0.01


@pytest.mark.slow
async def test_a_thousand_packets_in_real_time():
    """20 s on the real clock. A busy machine makes packets late, but the schedule never drifts."""
    origin, sent = time.monotonic(), []

    async def send(packet: np.ndarray) -> None:
        sent.append(time.monotonic())

    await Microphone(send, WallClock(), origin).run(1_000)
    late = [at - (origin + (n + 1) * 0.02) for n, at in enumerate(sent)]
    assert min(late) >= -0.001
    for at in range(0, 1_000, 100):  # a drift would show in the best packet of every second
        assert min(late[at : at + 100]) < 0.005


async def test_utterances_go_out_whole_between_silence():
    clock, sent = SlowClock(2, stalls=set()), []

    async def send(packet: np.ndarray) -> None:
        sent.append(packet)

    mic = Microphone(send, clock, clock.now())
    words = np.arange(1, 1_001, dtype=np.int16)  # not a whole number of packets
    await mic.run(5)
    assert mic.speak(words) == 5 * PACKET
    waiting = asyncio.create_task(mic.finished())
    await mic.run(8)
    assert not waiting.done()
    await mic.run(20)
    await asyncio.wait_for(waiting, 1)
    line = np.concatenate(sent)
    assert len(line) == 20 * PACKET
    assert (line[5 * PACKET : 5 * PACKET + 1_000] == words).all()
    assert not line[: 5 * PACKET].any()
    assert not line[5 * PACKET + 1_000 :].any()
    assert (mic.track() == line).all()
