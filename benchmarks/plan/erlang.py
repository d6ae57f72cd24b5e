"""Erlang's B formula: how many servers callers need who come at random and do not wait.

A server is whatever serves one call at a time. Knows no GPU, no step time and no price.
"""

from typing import Any

from scipy.optimize import brentq


def erlang_b(servers: int, load: float) -> float:
    """The share of calls that find all servers busy; `load` in erlang (mean callers at once).

    Erlang's loss formula: calls arrive at random and go away when blocked. By its usual recursion
    B(0) = 1, B(k) = A*B(k-1) / (k + A*B(k-1)), which neither overflows nor cancels.
    """
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def offered_load(servers: int, blocking: float) -> float:
    """The load, in erlang, at which `servers` block just that share of calls."""
    if servers == 0:
        return 0.0
    # No more than all servers' worth can be carried, so the load is below servers / (1 - blocking).
    top = servers / (1 - blocking)
    root: Any = brentq(lambda load: erlang_b(servers, load) - blocking, 0.0, top, xtol=1e-12)
    return float(root)


def servers_for(load: float, blocking: float) -> int:
    """The fewest servers that block at most that share of calls."""
    servers, blocked = 0, 1.0
    while blocked > blocking:
        servers += 1
        blocked = load * blocked / (servers + load * blocked)
    return servers
