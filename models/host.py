"""A host process, started, watched and started again: the engine's life outside the server's.

A model stepping in a thread of the server would hold the interpreter lock for thousands of small
calls and the audio of every caller would wait; in a process of its own it holds its own. A host
that dies or hangs ends its streams with HostLost and is replaced; nothing else is touched.
"""

import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.host_client import SILENCE, HostClient, HostLost, Stream
from models.host_messages import Option
from models.host_server import WITH_PARENT

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds before a restart; doubles while it keeps failing
STEADY = 30.0  # seconds of service after which a death counts as the first again


@dataclass(frozen=True)
class EngineSpec:
    """What the host process loads: `module:function`, called with `options` (JSON values)."""

    factory: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class HostHealth:
    """What the server's readiness and metrics need to know of a host."""

    state: Literal["starting", "ready", "stopped"]
    restarts: int
    reason: str | None  # of the latest death, None if there was none
    pid: int | None
    engine: dict[str, float]


class Host:
    """Keeps one host process alive from `start` to `close`, or finds one that others keep alive.

    `patience` is how long an engine may take to load, in seconds; `silence` how long a loaded one
    may say nothing (longer than its longest tick).
    """

    def __init__(
        self,
        engine: EngineSpec | str,
        *,
        patience: float = 600.0,
        silence: float = SILENCE,
    ) -> None:
        """`engine` is what to load, or the address at which a host serves it already."""
        self._engine = engine
        self._patience = patience
        self._silence = silence
        self._folder = Path(tempfile.mkdtemp(prefix="maata-"))  # readable by this user only
        self._client: HostClient | None = None
        self._pid: int | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = 0
        self._reason: str | None = None  # of the latest death
        self._not_loaded: str | None = None  # the same, until the next attempt to load

    def start(self) -> None:
        """Starts the process in the background; `wait_ready` or `health` tell when it serves."""
        self._keeper = asyncio.create_task(self._keep())

    async def wait_ready(self) -> None:
        """Returns when the engine is loaded. Raises HostLost when an attempt to load it fails."""
        while self._serving is None:
            if self._not_loaded is not None:
                raise HostLost(self._not_loaded)
            await asyncio.sleep(0.05)

    @property
    def health(self) -> HostHealth:
        if self._keeper is None or self._keeper.done():
            state = "stopped"
        else:
            state = "ready" if self._serving else "starting"
        engine = dict(self._client.health) if self._client else {}
        return HostHealth(state, self._restarts, self._reason, self._pid, engine)

    async def open(self, options: Mapping[str, Option], *, patience: float = 10.0) -> Stream:
        """A new stream; see HostClient.open. Raises HostLost at once while the host is away."""
        client = self._serving
        if client is None:
            raise HostLost(self._reason or "the engine is still being loaded")
        return await client.open(options, patience=patience)

    async def close(self) -> None:
        """Ends all streams and the process."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        # On a thread: removing files is the disk's time, not the loop's.
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def _serving(self) -> HostClient | None:
        """The connection, while there is a loaded engine behind it."""
        client = self._client
        return client if client and client.lost is None and client.ready.is_set() else None

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            self._not_loaded = None
            await self._one_life()
            log.error("the host ended: %s", self._reason)
            pause = FIRST_PAUSE if time.monotonic() - started > STEADY else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._restarts += 1

    async def _one_life(self) -> None:
        """From the start of a process to its end."""
        own = isinstance(self._engine, EngineSpec)
        address = f"ipc://{self._folder}/{self._restarts}" if own else self._engine
        lost = asyncio.Event()

        def on_lost(reason: str) -> None:
            self._reason = reason
            if not client.ready.is_set():
                self._not_loaded = reason
            lost.set()

        client = HostClient(str(address), silence=self._silence, on_lost=on_lost)
        self._client = client
        process = asyncio.create_task(self._run(str(address), client)) if own else None
        try:
            async with asyncio.timeout(self._patience):
                await _either(client.ready, lost)
            await lost.wait()
        except TimeoutError:
            client.lose(f"the engine was not ready within {self._patience:g} s")
        finally:
            await client.close()
            if process is not None:
                process.cancel()
                await asyncio.gather(process, return_exceptions=True)

    async def _run(self, address: str, client: HostClient) -> None:
        """One host process; however this ends, the process has ended."""
        assert isinstance(self._engine, EngineSpec)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "models.host_server", address),
            *(self._engine.factory, json.dumps(dict(self._engine.options)), WITH_PARENT),
            stdin=asyncio.subprocess.PIPE,  # its end of file tells the host that we are gone
            start_new_session=True,  # Ctrl-C is for the server, which then closes its hosts
        )
        self._pid = process.pid
        try:
            code = await process.wait()
            # Its last words may still be in the socket, and say more than an exit status.
            await asyncio.sleep(0.2)
            ended = f"signal {-code}" if code < 0 else f"exit status {code}"
            client.lose(f"the host process ended ({ended})")
        finally:
            self._pid = None
            if process.returncode is None:
                process.kill()  # a hung engine does not listen to anything milder
                await process.wait()


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
