"""A blocking iterator, consumed from the event loop without blocking it.

Knows nothing of models. The iterator runs in a worker thread for as long as it is read; leaving
early sets its stop event, so an interrupted answer stops costing CPU at the next item.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()


async def iterate(
    start: Callable[[threading.Event], Iterator[T]],
) -> AsyncGenerator[T, None]:
    """Yield the items of `start(stop)`, produced in a worker thread.

    Args:
        start: makes the iterator; it must look at the given event between items and end when set.

    Raises:
        Exception: whatever the iterator raised, raised here at the place it happened.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[object] = asyncio.Queue()
    stop = threading.Event()

    def produce() -> None:
        last: object = _END
        try:
            for item in start(stop):
                loop.call_soon_threadsafe(items.put_nowait, item)
                if stop.is_set():
                    break
        except Exception as e:
            last = e
        if not loop.is_closed():
            loop.call_soon_threadsafe(items.put_nowait, last)

    producer = loop.run_in_executor(None, produce)
    try:
        while (item := await items.get()) is not _END:
            if isinstance(item, Exception):
                raise item
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        if not producer.done():
            # Its result is in the queue; nobody else will look at the future.
            producer.add_done_callback(lambda f: f.exception())
