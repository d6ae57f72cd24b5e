"""Scripted full-duplex agents: each behaves in one known way, to the sample.

They hear the caller's own samples (audible means what it means to the ruler) and know when what
they send will be heard: a jitter buffer later. For loops of virtual time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.playback import DEFAULT_JITTER_MS
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from tests.benchmarks.scripted_server import Script, Served, now, ready, samples, tone

LOUD = 184  # of 32768: -45 dBFS
JITTER_S = DEFAULT_JITTER_MS / 1000
DECIDED_MS = 450  # of silence: it was the end, or a long pause


async def heard(served: Served, loud: int) -> AsyncIterator[tuple[int | None, int | None, int]]:
    """For every packet: its first and the sample after its last loud one, and its end."""
    async for data in served.socket:
        pcm = samples(data)
        start = len(served.arrivals) * len(pcm)
        served.arrivals.append(now())
        found = np.flatnonzero(np.abs(pcm.astype(int)) >= loud)
        first, last = (None, None) if not len(found) else (int(found[0]), int(found[-1]) + 1)
        yield (
            None if first is None else start + first,
            None if last is None else start + last,
            start + len(pcm),
        )


async def say_at(served: Served, sample: float, ms: int) -> None:
    """Speaks so that the voice is heard from `sample` (at IN_RATE, on the caller's clock)."""
    await asyncio.sleep(served.origin + sample / IN_RATE - JITTER_S - now())
    with suppress(ConnectionClosed):  # the caller has heard enough
        await served.answer(tone(ms, OUT_RATE))


def answering(
    after_ms: int, speak_ms: int, *, stop_after_ms: int | None = None, loud: int = LOUD
) -> Script:
    """Answers so long after every silence, and stops so long after an onset.

    Without `stop_after_ms` it speaks to its end, and is deaf to what is said meanwhile.
    """

    async def script(served: Served) -> None:
        await ready(served)
        talking: asyncio.Task[None] | None = None
        stopping: asyncio.Task[None] | None = None
        until: int | None = None  # the last loud sample that has had no answer
        begun = 0

        async def stop(onset: int, task: asyncio.Task[None]) -> None:
            await asyncio.sleep(
                served.origin + onset / IN_RATE + (stop_after_ms or 0) / 1000 - now()
            )
            task.cancel()
            await served.interrupt()

        async for first, last, end in heard(served, loud):
            if first is not None and (until is None or first - until > IN_RATE // 2):
                begun = first
                if talking is not None and not talking.done() and stop_after_ms is not None:
                    stopping = asyncio.create_task(stop(begun, talking))
            free = talking is None or talking.done()
            if free or stop_after_ms is not None:
                until = until if last is None else last
            if until is not None and free and end - until >= IN_RATE * DECIDED_MS // 1000:
                at = until + IN_RATE * after_ms / 1000
                talking = asyncio.create_task(say_at(served, at, speak_ms))
                until = None
        del stopping

    return script


def barging_in(after_ms: int, speak_ms: int) -> Script:
    """Speaks so long after every onset, whatever is said."""

    async def script(served: Served) -> None:
        await ready(served)
        talking: asyncio.Task[None] | None = None
        async for first, _, _ in heard(served, LOUD):
            if first is not None and (talking is None or talking.done()):
                at = first + IN_RATE * after_ms / 1000
                talking = asyncio.create_task(say_at(served, at, speak_ms))

    return script


def backchannelling(after_ms: int, every_ms: int, speak_ms: int) -> Script:
    """Says something short again and again while the caller holds the turn, and never answers."""

    async def script(served: Served) -> None:
        await ready(served)
        talking: asyncio.Task[None] | None = None
        due: int | None = None
        until = 0
        async for first, last, end in heard(served, LOUD):
            if first is not None and due is None:
                due = first + IN_RATE * after_ms // 1000
            until = until if last is None else last
            if due is not None and end - until > 2 * IN_RATE:
                due = None
            if due is not None and end >= due - IN_RATE // 10 and end - until < IN_RATE:
                talking = asyncio.create_task(say_at(served, due, speak_ms))
                due += IN_RATE * every_ms // 1000
        del talking

    return script


async def silent(served: Served) -> None:
    """Never answers."""
    await ready(served)
