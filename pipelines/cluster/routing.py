"""Which replica gets the next caller: of those that can answer, the one with the fewest.

Ray Serve's own router looks at two replicas drawn at random, from memory. That is right for
requests of milliseconds; a caller who stays for an hour would be told that all lines are busy while
a third replica has free ones. Asking every replica costs a caller about a millisecond, once.
"""

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

READY = "ready"  # what replicas report about themselves (`Agent.record_routing_stats`)


class Freest(RequestRouter):
    """Asks replicas for their number of requests under way and takes the lowest."""

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Two ranks, in each of which Ray takes the one with the fewest requests.

        A replica whose engine is being restarted comes second: it refuses its callers, so it has
        few, and would be sent all of them.
        """
        # Of what it remembers: other proxies send callers to the same replicas.
        for replica in candidate_replicas:
            self.replica_queue_len_cache.invalidate_key(replica.replica_id)
        if pending_request is not None:
            # Without it Ray asks again at once, and for ever, while nobody has room.
            pending_request.routing_context.should_backoff = True
        ranks: list[list[RunningReplica]] = [[], []]
        for replica in candidate_replicas:
            ranks[0 if replica.routing_stats.get(READY, True) else 1].append(replica)
        return [rank for rank in ranks if rank]
