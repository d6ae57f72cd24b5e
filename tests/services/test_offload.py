"""Blocking iterators consumed from the event loop: items, errors and early leaving."""

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from services.offload import iterate


async def test_items_arrive_in_order_while_the_loop_runs_on():
    def count(stop: threading.Event) -> Iterator[int]:
        for i in range(5):
            sleep(0.02)  # blocks a worker thread, not the loop
            yield i

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert [i async for i in iterate(count)] == [0, 1, 2, 3, 4]
    ticking.cancel()
    assert ticks > 8


async def test_an_error_is_raised_where_it_happened():
    def fail(stop: threading.Event) -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    items = iterate(fail)
    assert await anext(items) == 1
    with pytest.raises(RuntimeError, match="no more"):
        await anext(items)


async def test_leaving_early_stops_the_thread_at_the_next_item():
    stopped = threading.Event()

    def endless(stop: threading.Event) -> Iterator[int]:
        try:
            while not stop.is_set():
                yield 0
                sleep(0.005)
        finally:
            stopped.set()

    items = iterate(endless)
    await anext(items)
    await items.aclose()
    deadline = monotonic() + 2
    while not stopped.is_set():
        assert monotonic() < deadline
        await asyncio.sleep(0.01)
