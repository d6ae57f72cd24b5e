"""The end of a server: calls that run are finished, new ones refused, and the limit holds."""

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from pipecat.pipeline.pipeline import Pipeline
from pipecat.transports.base_transport import BaseTransport
from starlette.websockets import WebSocket

from benchmarks.server.child import Server
from maata.profile import Profile, load_profile
from pipelines.call import Call
from pipelines.call_server import CallServer
from pipelines.drain import RESTART_SECONDS, Drain, DrainMiddleware
from pipelines.engines import Engines
from pipelines.graph import CallHooks, Graph
from pipelines.latency import LatencyObserver
from pipelines.request import CallRequest
from pipelines.run import DrainingServer
from tests.live import PACKET, QUESTION, Caller, calling, refused


def echo(transport: BaseTransport, hooks: CallHooks) -> Graph:
    """A graph without models: what comes in goes out."""
    pipeline = Pipeline([transport.input(), transport.output()])
    return Graph(pipeline, LatencyObserver(hooks.latency), lambda voice, emotion: "")


@asynccontextmanager
async def echoing(limit: float) -> AsyncIterator[tuple[str, DrainingServer, asyncio.Task[None]]]:
    """Real calls on echo graphs behind a draining server: its address, it, and its life."""
    profile = load_profile("starter")
    server = CallServer(profile, Engines(profile))
    drain = Drain(server, limit)
    app = FastAPI()
    app.add_middleware(DrainMiddleware, drain=drain)
    choice = CallRequest("cascade", "priya", "neutral")

    @app.websocket("/ws")
    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()
        call = Call(websocket, choice, profile, echo, server.metrics)
        server.calls.add(call)
        try:
            await call.run()
        finally:
            server.calls.discard(call)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1
    )
    running = DrainingServer(config, drain)
    life = asyncio.create_task(running.serve())
    await until(lambda: running.started)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/ws", running, life
    finally:
        running.should_exit = True
        await asyncio.wait([life], timeout=5)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never came")


def fatal(caller: Caller) -> list[str]:
    return [d["error"] for d in caller.of("error") if d.get("fatal")]


async def test_at_the_limit_callers_are_told_and_the_server_ends():
    async with echoing(limit=0.5) as (url, server, life), calling(url) as caller:
        asked = monotonic()
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(asyncio.shield(life), 6)
        assert monotonic() - asked >= 0.5  # the call had all of its time
        await caller.socket.wait_closed()
        assert caller.socket.close_code == 4503  # on which the page dials again
        assert "closing" in fatal(caller)[0]


async def test_a_second_signal_waits_for_nobody():
    async with echoing(limit=600) as (url, server, life), calling(url) as caller:
        server.handle_exit(signal.SIGINT, None)
        await asyncio.sleep(0.3)
        assert not life.done()
        server.handle_exit(signal.SIGINT, None)
        await asyncio.wait_for(asyncio.shield(life), 5)
        await caller.socket.wait_closed()
        assert caller.socket.close_code == 4503


async def test_with_nobody_on_the_line_the_end_is_at_once():
    async with echoing(limit=600) as (_url, server, life):
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(asyncio.shield(life), 2)


async def test_a_call_that_is_still_being_let_in_is_waited_for():
    """A socket counts from its handshake on, before there is a Call."""
    profile = Profile()
    drain = Drain(CallServer(profile, Engines(profile)), limit=600)
    open_door = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await open_door.wait()

    socket = asyncio.create_task(DrainMiddleware(slow, drain)({"type": "websocket"}, None, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    drain.ask()
    waiting = asyncio.create_task(drain.wait())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    open_door.set()
    await socket
    assert await asyncio.wait_for(waiting, 1) == 0


def get(url: str) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and Retry-After."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status, json.load(reply), reply.headers["retry-after"]
    except urllib.error.HTTPError as e:
        return e.code, json.load(e), e.headers["retry-after"]


def has_ended(pid: int) -> bool:
    """Whether a child has, leaving its exit status for whoever waits for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@pytest.mark.slow
@pytest.mark.timeout(300)  # it starts a whole server
async def test_a_signal_to_maata_serve_ends_no_call(tmp_path: Path):
    """The whole process: SIGTERM in mid-call, a turn after it, hang up, exit status 0."""
    server = Server(tmp_path / "log", "--set", "limits.drain_seconds=60")
    await asyncio.to_thread(server.__enter__)
    try:
        url = server.url.replace("http", "ws") + "/ws"
        assert server.pid is not None
        async with calling(url) as caller:
            os.kill(server.pid, signal.SIGTERM)
            await caller.send_audio(np.zeros(PACKET * 25, dtype=np.int16))  # half a second
            status, body, again = await asyncio.to_thread(get, f"{server.url}/ready")
            assert (status, body["ready"], body["draining"]) == (503, False, True)
            assert RESTART_SECONDS < int(again or 0) <= 60 + RESTART_SECONDS
            assert (await asyncio.to_thread(get, f"{server.url}/health"))[0] == 200
            code, sentence = await refused(url)
            assert code == 4503
            assert "shutting down" in sentence
            async with websockets.connect(url) as turned_away:
                assert turned_away.response is not None
                assert int(turned_away.response.headers["retry-after"]) > RESTART_SECONDS
            ended = await caller.speak(QUESTION)
            await caller.until(lambda: caller.loud(ended), 20)  # it is still answered
            assert caller.socket.close_code is None
        pid = server.pid
        await until(lambda: has_ended(pid))  # by itself: no further signal was sent
    finally:
        status = await asyncio.to_thread(server.stop)
    assert status == 0
    assert "drained: 0 calls were cut" in (tmp_path / "log").read_text(encoding="utf-8")
