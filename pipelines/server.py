"""The web server: the page at `/`, calls at `/ws` and `/api/chat`, and what operators ask for.

Knows nothing of who gets a line (`call_server.py`) or of what happens in a call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from loguru import logger

from maata import __version__
from maata.profile import Profile
from pipelines.call_server import CallServer
from pipelines.drain import Drain, DrainMiddleware
from pipelines.engines import Engines
from pipelines.info import describe, page_directory


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
        await server.engines.close()

    app = FastAPI(title="maata", version=__version__, lifespan=lifespan)
    app.state.server = server
    app.state.drain = Drain(server, profile.limits.drain_seconds)
    app.add_middleware(DrainMiddleware, drain=app.state.drain)
    app.add_api_websocket_route("/ws", server.answer)
    if "s2s" in profile.engines:
        app.add_api_websocket_route("/api/chat", server.chat)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "up"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        is_ready = server.engines.ready and not server.draining
        body: dict[str, Any] = {"ready": is_ready, "loading": server.engines.progress}
        if server.draining:
            body["draining"] = True
        if server.engines.error:
            body["error"] = server.engines.error
        if server.engines.s2s is not None:
            health = server.engines.s2s.health
            body["s2s"] = {"state": health.state, "restarts": health.restarts}
            if health.reason and health.state != "ready":
                body["s2s"]["reason"] = health.reason
        return JSONResponse(body, status_code=200 if is_ready else 503)

    @app.get("/api/info")
    async def info() -> dict[str, Any]:
        return describe(profile, server.active, bool(server.token))

    if not profile.server.metrics_port:

        @app.get("/metrics")
        async def metrics() -> Response:
            return Response(server.metrics.exposition(), media_type="text/plain; version=0.0.4")

    if page_directory().is_dir():
        app.mount("/", StaticFiles(directory=page_directory(), html=True), name="page")
    return app


async def _load(server: CallServer) -> None:
    """Load the engines in a worker thread; a failure is shown on /ready and to callers."""
    try:
        if not server.engines.loaded:
            await asyncio.to_thread(server.engines.load, _say_progress)
        await server.engines.start()
    except Exception as e:
        logger.exception("loading failed")
        server.engines.error = f"the models could not be loaded: {e}"


def _say_progress(part: str, share: float) -> None:
    logger.info("loading {}: {:.0%}", part, share)
