"""What Ray Serve's HTTP proxy says to a caller whom no replica serves, in the page's terms.

The proxy of a machine holds the callers' sockets; a replica, perhaps on another machine, holds
their calls. When a replica dies, Ray only drops the socket; when there is none, it fails the
handshake, whose reason browsers hide. Here both become a close code with a sentence, on which the
page dials again and is handed to another replica. Runs inside Ray's proxies
(`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`); knows nothing of calls.
"""

from collections.abc import MutableMapping
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_READY = 4503  # as `pipelines.request` has it, whose package the proxy does without
LOST = "the replica that carried the call was lost; call again"
NOBODY = "no replica can take the call now; call again in a moment"


def middlewares() -> list[Middleware]:
    """What Ray puts around its proxy."""
    return [Middleware(CallEnds)]


class CallEnds:
    """Ends every WebSocket that its application leaves open, or does not open, with a reason."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is Ray's proxy."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        line = _Line(send)

        async def listen() -> Message:
            message = await receive()
            line.over = line.over or message["type"] == "websocket.disconnect"
            return message

        try:
            await self._app(scope, listen, line.send)
        finally:
            await line.close(LOST if line.open else NOBODY)


class _Line:
    """How far a socket is, as what was sent on it tells."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.open = False
        self.over = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass on what belongs on a socket; an answer in HTTP, as Ray's refusals are, does not."""
        kind = message["type"]
        if kind.startswith("http."):
            return
        self.open = self.open or kind == "websocket.accept"
        self.over = self.over or kind == "websocket.close"
        await self._send(message)

    async def close(self, sentence: str) -> None:
        """End it, unless it is over."""
        if self.over:
            return
        self.over = True
        if not self.open:
            await self._send({"type": "websocket.accept"})
        await self._send({"type": "websocket.close", "code": NOT_READY, "reason": sentence})
