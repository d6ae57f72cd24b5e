"""The web server: the page at `/`, calls at `/ws`, and what operators ask for.

Translates refusals to close codes and sentences, admits calls, and knows nothing of what happens
inside one.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response, WebSocket
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from loguru import logger

from maata import __version__
from maata.profile import Profile
from models.voices import EMOTIONS, VOICES
from models.weights import is_starter
from pipelines.call import AUDIO_IN_RATE, AUDIO_OUT_RATE, Call
from pipelines.engines import Engines
from pipelines.metrics import Metrics
from pipelines.request import (
    NOT_READY,
    TOO_MANY_CALLS,
    Refusal,
    check_origin,
    check_token,
    parse_request,
)
from pipelines.wire import error_message

RETRY_AFTER_SECONDS = 30
LOADED = "loaded"


class CallServer:
    """The state of one server process: its engines and the calls on them."""

    def __init__(self, profile: Profile, engines: Engines) -> None:
        self.profile = profile
        self.engines = engines
        self.metrics = Metrics()
        self.calls: set[Call] = set()
        self.draining = False
        self.token = os.environ.get(profile.server.token_env, "")

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

    async def _admit(self, websocket: WebSocket) -> Call:
        check_origin(
            websocket.headers.get("origin"),
            websocket.headers.get("host", ""),
            self.profile.server.allowed_origins,
        )
        check_token(self._given_token(websocket), self.token)
        request = parse_request(websocket.query_params, self.profile)
        if self.draining:
            raise Refusal(NOT_READY, "draining", "the server is shutting down; call again soon")
        if self.engines.cascade is None:
            why = self.engines.error or "the models are still loading; try again in a few seconds"
            raise Refusal(NOT_READY, "loading", why)
        if len(self.calls) >= self.profile.limits.max_calls:
            raise Refusal(
                TOO_MANY_CALLS,
                "full",
                f"all {self.profile.limits.max_calls} lines are busy; try again in "
                f"{RETRY_AFTER_SECONDS} seconds",
            )
        call = Call(websocket, request, self.profile, self.engines.cascade, self.metrics)
        self.calls.add(call)  # before the first await: two callers cannot take one line
        try:
            await websocket.accept()
        except Exception:
            self.calls.discard(call)
            raise
        return call

    def _given_token(self, websocket: WebSocket) -> str | None:
        header = websocket.headers.get("authorization", "")
        if header.lower().startswith("bearer "):
            return header[7:].strip()
        return websocket.query_params.get("token")

    def info(self) -> dict[str, Any]:
        """What a page needs to know before it calls."""
        profile, cascade = self.profile, self.profile.cascade
        models = {"asr": cascade.asr.model, "llm": cascade.llm.model, "tts": "espeak-ng"}
        starter = is_starter(cascade.asr.model) or is_starter(cascade.llm.model)
        s2s = "the speech-to-speech engine is not part of this version"
        return {
            "name": "maata",
            "version": __version__,
            "profile": profile.name,
            "starter": starter,
            "default_engine": profile.engine,
            "engines": [
                {"id": "cascade", "available": True, "starter": starter, "models": models},
                {"id": "s2s", "available": False, "reason": s2s},
            ],
            "voices": [
                {"id": v.id, "name": v.name, "name_te": v.name_te, "description": v.description}
                for v in VOICES
            ],
            "default_voice": profile.voice.default,
            "emotions": list(EMOTIONS),
            "default_emotion": profile.voice.emotion,
            "samples": _samples(),
            "audio": {"in": AUDIO_IN_RATE, "out": AUDIO_OUT_RATE},
            "token_required": bool(self.token),
            "limits": {
                "max_calls": profile.limits.max_calls,
                "max_call_minutes": profile.limits.max_call_minutes,
            },
            "active_calls": len(self.calls),
        }


async def refuse(websocket: WebSocket, refusal: Refusal) -> None:
    """Browsers hide why a handshake failed, so accept, say it, and close with the code."""
    try:
        await websocket.accept()
        await websocket.send_bytes(error_message(refusal.sentence, fatal=True))
        await websocket.close(refusal.code, refusal.sentence[:120])
    except Exception as e:
        logger.debug("refused caller was gone: {}", type(e).__name__)


def page_directory() -> Path:
    """Where the built page lives, in a checkout and in an installed wheel alike."""
    return Path(str(resources.files("pipelines"))) / "page"


def _samples() -> list[dict[str, str]]:
    index = page_directory() / "samples" / "samples.json"
    return json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []


def create_app(profile: Profile, engines: Engines | None = None) -> FastAPI:
    """The application for one profile.

    Args:
        profile: what to serve.
        engines: already loaded engines; without them the application loads its own when it starts,
            answering 503 on `/ready` until they are there.
    """
    server = CallServer(profile, engines or Engines(profile))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(server))
        yield
        server.draining = True
        loading.cancel()

    app = FastAPI(title="maata", version=__version__, lifespan=lifespan)
    app.state.server = server
    app.add_api_websocket_route("/ws", server.answer)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "up"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        is_ready = server.engines.ready and not server.draining
        body = {"ready": is_ready, "loading": server.engines.progress}
        if server.engines.error:
            body["error"] = server.engines.error
        return JSONResponse(body, status_code=200 if is_ready else 503)

    @app.get("/api/info")
    async def info() -> dict[str, Any]:
        return server.info()

    if not profile.server.metrics_port:

        @app.get("/metrics")
        async def metrics() -> Response:
            return Response(server.metrics.exposition(), media_type="text/plain; version=0.0.4")

    if page_directory().is_dir():
        app.mount("/", StaticFiles(directory=page_directory(), html=True), name="page")
    return app


async def _load(server: CallServer) -> None:
    """Load the engines in a worker thread; a failure is shown on /ready and to callers."""
    if server.engines.ready:
        return
    try:
        await asyncio.to_thread(server.engines.load, _say_progress)
    except Exception as e:
        logger.exception("loading failed")
        server.engines.error = f"the models could not be loaded: {e}"


def _say_progress(part: str, share: float) -> None:
    logger.info("loading {}: {:.0%}", part, share)
