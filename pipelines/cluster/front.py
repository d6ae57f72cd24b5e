"""What a replica's application needs around it on a cluster and has from its web server elsewhere.

Ray's proxy takes messages of 16 MB and knows nothing of the profile, so the bound on a caller's
message is kept here; and every answer names the replica it came from. Knows nothing of Ray.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-maata-replica"
TOO_BIG = 1009  # RFC 6455, 7.4.1


class Front:
    """Bounds the messages that come in, and signs what goes out."""

    def __init__(self, app: ASGIApp, name: str, longest: int) -> None:
        """
        Args:
            app: the application.
            name: of this replica, as Ray calls it.
            longest: bytes of a caller's message; longer ones end the call, as uvicorn does.
        """
        self._app = app
        self._name = name.encode()
        self._longest = longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket."""

        async def sign(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                headers = [*message.get("headers", ()), (HEADER, self._name)]
                message = {**message, "headers": headers}
            await send(message)

        async def bound(message: Message) -> Message:
            data = message.get("bytes") or message.get("text") or b""
            if message["type"] != "websocket.receive" or len(data) <= self._longest:
                return message
            reason = f"a message of {len(data)} bytes, where {self._longest} are allowed"
            await send({"type": "websocket.close", "code": TOO_BIG, "reason": reason})
            return {"type": "websocket.disconnect", "code": TOO_BIG}

        async def listen() -> Message:
            return await bound(await receive())

        await self._app(scope, listen, sign)
