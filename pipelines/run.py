"""The server as a process: its socket and its orderly end.

Knows uvicorn and signals; nothing of calls.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import uvicorn
from loguru import logger
from prometheus_client import start_http_server

from maata.profile import Profile
from models.base_language import notice
from pipelines.call_server import CallServer
from pipelines.drain import Drain
from pipelines.engine_checks import EngineError
from pipelines.engines import Engines
from pipelines.listen import listen
from pipelines.server import create_app
from pipelines.tracing import set_up as set_up_tracing

CLOSE_SECONDS = 3  # for sockets to close, once no call is left
WORKER_THREADS = 32  # a waiting model call holds one; eight calls hold at most about twenty


class DrainingServer(uvicorn.Server):
    """uvicorn, but a signal lets running calls finish first.

    Its own way is to close the listening socket and then every WebSocket at once. Here the socket
    stays open while calls run, so that new callers are told why instead of finding nobody; and the
    signal is not raised again afterwards, since an orderly end is exit status 0.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        """`drain` is asked at each signal."""
        super().__init__(config)
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for SIGTERM and SIGINT, between any two instructions: only passes the word on."""
        if self._loop is None or self._loop.is_closed():
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._drain.ask)

    async def main_loop(self) -> None:
        """Until the calls have ended, and then as uvicorn does."""
        self._loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(self._drain.wait())
        waiting.add_done_callback(self._leave)
        try:
            await super().main_loop()
        finally:
            waiting.cancel()

    def _leave(self, waiting: asyncio.Task[int]) -> None:
        self.should_exit = True


def serve(profile: Profile) -> None:
    """Serve until a signal ends it. Prints `ready http://…` when calls can be made.

    The first SIGTERM or SIGINT refuses new calls and lets running ones finish, for
    `limits.drain_seconds` at most; a second one ends them at once.

    Raises:
        PortInUse, EngineError, WeightsMissing, TracingUnavailable: before anything is loaded.
    """
    engines = Engines(profile)
    engines.check()
    if "s2s" in profile.engines and (said := notice(profile.s2s.model, profile.s2s.adapters)):
        logger.warning(said)
    set_up_tracing(profile.server.traces)
    sock = listen(profile.server.host, profile.server.port)
    app = create_app(profile, engines)
    server = DrainingServer(
        uvicorn.Config(
            app,
            log_level="warning",
            ws_max_size=profile.limits.max_message_kb * 1024,
            ws_per_message_deflate=False,  # audio does not compress; deflating costs milliseconds
            timeout_graceful_shutdown=CLOSE_SECONDS,
        ),
        app.state.drain,
    )
    call_server: CallServer = app.state.server
    if profile.server.metrics_port:
        start_http_server(
            profile.server.metrics_port,
            addr=profile.server.metrics_host,
            registry=call_server.metrics.registry,
        )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="model"))
        announcing = asyncio.create_task(_announce(engines, sock, server))
        await server.serve(sockets=[sock])
        announcing.cancel()
        if not (engines.loaded or engines.error):
            # A thread is still loading, which nothing can stop; the process would wait for it.
            logger.info("ended while loading")
            sys.stdout.flush()
            os._exit(0)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())
    if engines.error:
        raise EngineError(engines.error)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows): a third of asyncio's cost per message."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _announce(engines: Engines, sock: socket.socket, server: uvicorn.Server) -> None:
    host, port = sock.getsockname()[:2]
    while not engines.ready:
        if engines.error:
            server.should_exit = True
            return
        await asyncio.sleep(0.05)
    print(f"ready http://{host}:{port}", flush=True)
