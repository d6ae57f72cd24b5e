"""One replica: a process of the cluster with engines of its own, serving the application.

Loads before Ray sends it callers, so a call never lands on a replica that is loading. Everything a
caller sees comes from `pipelines.server`; here it only lives in another house.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any

from loguru import logger
from ray import serve

from maata.log import set_up_log
from maata.profile import Profile
from pipelines.cluster.routing import READY
from pipelines.cluster.scaling import CALLS

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipelines.call_server import CallServer

# An engine that was restarted in vain for so long may do better in a new process.
PATIENCE_SECONDS = 120.0


@serve.ingress()
class Agent:
    """What Ray makes one of for every replica."""

    async def __init__(self, profile: dict[str, Any], log: dict[str, Any]) -> None:
        """Load the engines; Ray calls this and waits.

        Args:
            profile: of `Profile`, as JSON values.
            log: `level` and `as_json` of `maata.log`.

        Raises:
            EngineError, WeightsMissing, HostLost: with the remedy; Ray shows it as the reason why
                the deployment failed.
        """
        self._ending: asyncio.Task[None] | None = None  # first: `__del__` comes after a failure too
        set_up_log(log["level"], as_json=log["as_json"])
        # Only here: pipecat greets at import, and Ray's controller reads this file too.
        from pipelines.engines import Engines
        from pipelines.run import WORKER_THREADS
        from pipelines.tracing import set_up as set_up_tracing

        self._profile = Profile.model_validate(profile)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="model"))
        set_up_tracing(self._profile.server.traces)
        self._engines = Engines(self._profile)
        self._engines.check()
        await asyncio.to_thread(self._engines.load, _say_progress)
        await self._engines.start()
        self._ready_at = monotonic()

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """The application, which Ray runs in this process."""
        from pipelines.cluster.ending import can_tell, drain_at_the_end
        from pipelines.cluster.front import Front
        from pipelines.cluster.scrape import serve_metrics
        from pipelines.server import create_app

        app = create_app(self._profile, self._engines)
        self._server: CallServer = app.state.server
        name = serve.get_replica_context().replica_tag
        longest = self._profile.limits.max_message_kb * 1024
        app.add_middleware(Front, name=name, longest=longest)
        if can_tell():
            self._ending = asyncio.create_task(drain_at_the_end(app.state.drain))
        serve_metrics(self._server.metrics.registry, self._profile.server, name)
        return app

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The figure that `FreeLines` counts."""
        return {CALLS: float(self._server.active)}

    async def record_routing_stats(self) -> dict[str, bool]:
        """Whether to send callers here."""
        return {READY: self._engines.ready}

    async def check_health(self) -> None:
        """Ray replaces a replica of which this fails three times, and its calls end.

        Raises:
            RuntimeError: an engine is away and does not come back.
        """
        if self._engines.ready:
            self._ready_at = monotonic()
        elif monotonic() - self._ready_at > PATIENCE_SECONDS:
            raise RuntimeError(f"an engine is away for more than {PATIENCE_SECONDS:g} s")

    async def __del__(self) -> None:
        """After the application has ended, which closes the engines."""
        if self._ending is not None:
            self._ending.cancel()


def _say_progress(part: str, share: float) -> None:
    logger.info("loading {}: {:.0%}", part, share)
