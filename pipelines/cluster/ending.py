"""How a replica hears that it is to end, and its calls with it.

For scaling down, a rolling update and the end of the whole deployment alike, Ray Serve sends a
replica no new callers, waits until its calls are over or `graceful_shutdown_timeout_s` have passed,
and kills it. It offers no hook for the beginning of that wait (`__del__` is called after it), so
the replica's own state is looked at, which Ray keeps private: with another release than the pinned
one, look here first. A test on a real cluster holds it.
"""

import asyncio

from loguru import logger
from ray._private import worker

from pipelines.drain import Drain

LOOK_SECONDS = 0.5


async def drain_at_the_end(drain: Drain) -> None:
    """Begin to drain when Ray ends this replica; returns when every call is over and told why."""
    while not _is_ending():  # noqa: ASYNC110  (Ray sets no event)
        await asyncio.sleep(LOOK_SECONDS)
    drain.ask()
    await drain.wait()


def _is_ending() -> bool:
    """Whether Ray has begun to end the replica in whose process this runs."""
    (actor,) = worker.global_worker.actors.values()  # of an actor's process there is one
    return actor._replica_impl._shutting_down


def can_tell() -> bool:
    """Whether this release of Ray keeps the state that is looked at where we look."""
    try:
        _is_ending()
    except (AttributeError, ValueError) as e:
        logger.warning(
            "this release of Ray does not show when a replica ends ({}): callers at the drain "
            "limit are cut without a word; install the one that maata[ray] pins",
            e,
        )
        return False
    return True
