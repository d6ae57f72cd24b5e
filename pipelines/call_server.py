"""The state of a server process: its engines, the calls on them, and who gets a line.

Admits callers, or refuses them with a close code and a sentence. Knows nothing of what happens
inside a call, and nothing of the other addresses a server answers at.
"""

import os
from dataclasses import replace
from functools import partial

from loguru import logger
from starlette.websockets import WebSocket

from maata.profile import Profile
from models.host_client import HostLost, Stream, StreamRefused
from pipelines.call import Call
from pipelines.cascade import build_cascade
from pipelines.engines import Engines
from pipelines.graph import Build
from pipelines.metrics import Metrics
from pipelines.request import (
    BAD_REQUEST,
    NOT_READY,
    TOO_MANY_CALLS,
    CallRequest,
    Refusal,
    check_origin,
    check_token,
    parse_request,
)
from pipelines.s2s import build_s2s
from pipelines.wire import error_message

RETRY_AFTER_SECONDS = 30


class CallServer:
    """The state of one server process: its engines and the calls on them."""

    def __init__(self, profile: Profile, engines: Engines) -> None:
        self.profile = profile
        self.engines = engines
        self.metrics = Metrics()
        self.metrics.watch(lambda: engines.s2s.health if engines.s2s else None)
        self.calls: set[Call] = set()
        self._coming = 0  # calls that have a line and no graph yet
        self._chats = 0  # in Moshi's own protocol
        self.draining = False
        self.token = os.environ.get(profile.server.token_env, "")

    @property
    def active(self) -> int:
        """Calls now, in either protocol."""
        return len(self.calls) + self._chats

    async def answer(self, websocket: WebSocket) -> None:
        """Carry one call, or refuse it with a reason."""
        try:
            call = await self._admit(websocket)
        except Refusal as refusal:
            self.metrics.refused.labels(refusal.reason).inc()
            await refuse(websocket, refusal)
            return
        try:
            outcome = await call.run()
            logger.info("call ended: {}", outcome)
        finally:
            self.calls.discard(call)

    async def chat(self, websocket: WebSocket) -> None:
        """Carry one call in Moshi's own protocol, for Moshi's stock clients."""
        from pipelines.moshi_chat import chat, tell  # needs the packages of the s2s extra

        try:
            request = self._check(websocket, engine="s2s")
            if self.engines.s2s is None:
                raise self._loading()
        except Refusal as refusal:
            self.metrics.refused.labels(refusal.reason).inc()
            await tell(websocket, refusal.code, refusal.sentence)
            return
        engine, limits = self.engines.s2s, self.profile.limits
        self._chats += 1
        with self.metrics.active.labels("s2s").track_inprogress():
            try:
                outcome = await chat(
                    websocket,
                    engine.host,
                    engine.pieces,
                    engine.options(request),
                    longest=limits.max_call_minutes * 60,
                    idle=limits.idle_minutes * 60,
                    count=partial(self.metrics.observe_frames, "s2s"),
                )
            finally:
                self._chats -= 1
        self.metrics.calls.labels("s2s", outcome).inc()

    def _check(self, websocket: WebSocket, **fixed: str) -> CallRequest:
        """What a caller asks for, if this caller may have a line at all.

        Raises:
            Refusal: the wrong page, token or choice, no free line, or a server that is closing.
        """
        check_origin(
            websocket.headers.get("origin"),
            websocket.headers.get("host", ""),
            self.profile.server.allowed_origins,
        )
        check_token(self._given_token(websocket), self.token)
        request = parse_request({**websocket.query_params, **fixed}, self.profile)
        if self.draining:
            raise Refusal(NOT_READY, "draining", "the server is shutting down; call again soon")
        if len(self.calls) + self._coming + self._chats >= self.profile.limits.max_calls:
            raise Refusal(
                TOO_MANY_CALLS,
                "full",
                f"all {self.profile.limits.max_calls} lines are busy; try again in "
                f"{RETRY_AFTER_SECONDS} seconds",
            )
        return request

    async def _admit(self, websocket: WebSocket) -> Call:
        request = self._check(websocket)
        self._coming += 1  # before the first await: two callers cannot take one line
        try:
            request, build, stream = await self._graph(request)
            try:
                await websocket.accept()
                call = Call(websocket, request, self.profile, build, self.metrics)
            except Exception:
                if stream is not None:
                    await stream.close()
                raise
            self.calls.add(call)
        finally:
            self._coming -= 1
        return call

    async def _graph(self, request: CallRequest) -> tuple[CallRequest, Build, Stream | None]:
        """The engine that answers, how its graph is built, and the stream that graph will close.

        Raises:
            Refusal: the engine is not there or has no place, and no other may answer.
        """
        if request.engine == "s2s":
            try:
                stream = await self._stream(request)
            except Refusal as refusal:
                if not self.profile.s2s.fallback or not self.engines.serves("cascade"):
                    raise
                request = replace(
                    request, engine="cascade", adapter="", fallback_reason=refusal.sentence
                )
            else:
                assert self.engines.s2s is not None
                build = partial(
                    build_s2s, profile=self.profile, engine=self.engines.s2s, stream=stream
                )
                return request, build, stream
        if self.engines.cascade is None:
            raise self._loading()
        build = partial(
            build_cascade,
            settings=self.profile.cascade,
            models=self.engines.cascade,
            request=request,
        )
        return request, build, None

    async def _stream(self, request: CallRequest) -> Stream:
        engine = self.engines.s2s
        if engine is None:
            raise self._loading()
        try:
            return await engine.open(request)
        except StreamRefused as e:
            if e.retry_after is None:
                raise Refusal(BAD_REQUEST, "choice", str(e)) from e
            again = f"{e}; try again in {e.retry_after:.0f} seconds"
            raise Refusal(TOO_MANY_CALLS, "slots", again) from e
        except HostLost as e:
            raise Refusal(
                NOT_READY, "engine", f"the speech-to-speech engine is restarting: {e}"
            ) from e

    def _loading(self) -> Refusal:
        why = self.engines.error or "the models are still loading; try again in a few seconds"
        return Refusal(NOT_READY, "loading", why)

    def _given_token(self, websocket: WebSocket) -> str | None:
        header = websocket.headers.get("authorization", "")
        if header.lower().startswith("bearer "):
            return header[7:].strip()
        return websocket.query_params.get("token")


async def refuse(websocket: WebSocket, refusal: Refusal) -> None:
    """Browsers hide why a handshake failed, so accept, say it, and close with the code."""
    try:
        await websocket.accept()
        await websocket.send_bytes(error_message(refusal.sentence, fatal=True))
        await websocket.close(refusal.code, refusal.sentence[:120])
    except Exception as e:
        logger.debug("refused caller was gone: {}", type(e).__name__)
