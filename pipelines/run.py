"""The server as a process: its socket and its orderly end.

Knows uvicorn and signals; nothing of calls.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from prometheus_client import start_http_server

from maata.profile import Profile
from pipelines.call_server import CallServer
from pipelines.engines import EngineError, Engines
from pipelines.server import create_app

WORKER_THREADS = 32  # a waiting model call holds one; eight calls hold at most about twenty


class PortInUse(Exception):
    """Another program listens there; the sentence names the remedy."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        PortInUse: with the remedy.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it the
    # kernel holds small messages back for up to 25 ms (measured; 0.3 ms with it).
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise PortInUse(
            f"cannot listen on {host}:{port} ({e.strerror}): stop what runs there, "
            "or choose another with --port"
        ) from e
    return sock


def serve(profile: Profile) -> None:
    """Serve until a signal ends it. Prints `ready http://…` when calls can be made.

    Raises:
        PortInUse, EngineError, WeightsMissing: before anything is loaded.
    """
    engines = Engines(profile)
    engines.check()
    sock = listen(profile.server.host, profile.server.port)
    app = create_app(profile, engines)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            ws_max_size=profile.limits.max_message_kb * 1024,
            ws_per_message_deflate=False,  # audio does not compress; deflating costs milliseconds
            timeout_graceful_shutdown=int(profile.limits.drain_seconds),
        )
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
