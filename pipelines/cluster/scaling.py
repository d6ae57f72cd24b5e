"""How many replicas the calls need: enough for all of them, and for the next few callers.

Ray Serve's own measure is requests under way, in which a fetched picture weighs as much as a call
of an hour. Here replicas report their calls (`Agent.record_autoscaling_stats`), and lines are
counted. Ray's controller runs this without our packages: nothing of ours is imported.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

CALLS = "calls"  # the figure that replicas report


class FreeLines:
    """The policy of a deployment (Ray calls it every tenth of a second)."""

    def __init__(self, lines: int, spare: int) -> None:
        """
        Args:
            lines: calls that one replica can hold.
            spare: lines to be free over all replicas.
        """
        self._lines = lines
        self._spare = spare

    def __call__(self, ctx: "AutoscalingContext") -> tuple[int, dict[str, Any]]:
        """Replicas needed; Ray applies the bounds and waits out the delays of its configuration.

        The newest figure of each running replica counts, not a mean over time: a caller who came
        just now holds a line. Those that are ending are not asked, as they take no new calls.
        """
        reported = (ctx.raw_metrics or {}).get(CALLS, {})
        calls = sum(series[-1].value for series in reported.values() if series)
        return max(1, math.ceil((calls + self._spare) / self._lines)), {}
