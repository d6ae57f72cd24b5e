"""The orderly end of a server: no new calls, running ones finish, the rest are told why.

Counts the open WebSockets of an application as ASGI sees them, so a call is waited for from its
first handshake byte, in whatever protocol it speaks. Knows nothing of signals or of the process
(`run.py`), nor of what happens in a call.
"""

import asyncio
import math
from collections.abc import Callable
from time import monotonic

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.call_server import CallServer
from pipelines.request import NOT_READY

# A browser or a balancer that was turned away finds this server again, or the next one, after so
# long: what starting the starter profile takes (a full-size one says 503 on /ready until it is up).
RESTART_SECONDS = 15
TELL_SECONDS = 3.0  # the longest that telling the last callers may take
CLOSING = "the server is closing; call again in a moment"


class Drain:
    """One server's end, from the first wish for it until nobody is on the line."""

    def __init__(
        self, server: CallServer, limit: float, now: Callable[[], float] = monotonic
    ) -> None:
        """`limit` is how many seconds running calls may go on; nothing happens before `ask`."""
        self._server = server
        self._limit = limit
        self._now = now
        self._until = math.inf  # on the clock of `now`; infinite: nobody asked yet
        self._sockets = 0
        self._changed = asyncio.Event()

    def ask(self) -> None:
        """Begin; asked once more, wait no longer. To be called on the event loop."""
        if self._server.draining:
            self._until = self._now()
        else:
            self._server.draining = True
            self._until = self._now() + self._limit
            logger.info(
                "draining: {} calls may go on for {:g} s, no new ones", self._sockets, self._limit
            )
        self._changed.set()

    async def wait(self) -> int:
        """Until every call has ended, at its own end or at the limit.

        Returns:
            How many calls were cut at the limit; each was told why.
        """
        while not (self._server.draining and self._sockets == 0) and self._now() < self._until:
            left = self._until - self._now()
            self._changed.clear()
            try:
                async with asyncio.timeout(left if math.isfinite(left) else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
        calls = list(self._server.calls)
        if calls:
            ends = [asyncio.create_task(c.end(NOT_READY, "drained", CLOSING)) for c in calls]
            await asyncio.wait(ends, timeout=TELL_SECONDS)
        logger.info("drained: {} calls were cut", len(calls))
        return len(calls)

    @property
    def retry_after(self) -> int:
        """Seconds after which a caller turned away may find a server here again."""
        left = max(0.0, self._until - self._now())
        return math.ceil(left) + RESTART_SECONDS

    def begun(self) -> None:
        """A socket was opened."""
        self._sockets += 1

    def ended(self) -> None:
        """A socket was closed."""
        self._sockets -= 1
        self._changed.set()

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self._server.draining


class DrainMiddleware:
    """Counts the application's WebSockets for its `Drain`, and says Retry-After while it drains.

    The header is on every 503 and on every WebSocket handshake, since a refused caller is let in to
    be told why (browsers hide a failed handshake).
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        """`app` is what is drained."""
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket, from its first byte to its last."""

        async def send_on(message: Message) -> None:
            if self._drain.draining and _turns_away(message):
                header = (b"retry-after", str(self._drain.retry_after).encode())
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        if scope["type"] != "websocket":
            await self._app(scope, receive, send_on)
            return
        self._drain.begun()
        try:
            await self._app(scope, receive, send_on)
        finally:
            self._drain.ended()


def _turns_away(message: Message) -> bool:
    if message["type"] == "http.response.start":
        return message["status"] == 503
    return message["type"] == "websocket.accept"
