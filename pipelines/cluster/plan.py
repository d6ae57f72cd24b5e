"""How many replicas, of what size, on which cluster: what a person asks for, parsed and judged.

Knows nothing of Ray itself, which may not be installed; that is one of the things it says.
"""

import importlib.util
from dataclasses import dataclass

from maata.profile import Profile

# Ray's own default for a replica. A replica's models take the threads that its profile says.
REPLICA_CPUS = 1.0


class ClusterError(Exception):
    """The cluster cannot be what was asked for; the sentence names the remedy."""


@dataclass(frozen=True)
class Plan:
    """The size of a deployment."""

    least: int = 1  # replicas
    most: int = 1
    gpus: float = 0.0  # of one replica
    spare: int = 1  # lines that are kept free over all replicas, by starting further ones

    @property
    def grows(self) -> bool:
        """Whether the number of replicas follows the calls."""
        return self.most > self.least


@dataclass(frozen=True)
class LogChoice:
    """How replicas log (`maata.log`)."""

    level: str = "INFO"
    as_json: bool = False


def make_plan(
    profile: Profile,
    replicas: str | int = "1",
    gpus: float | None = None,
    spare: int | None = None,
) -> Plan:
    """The plan for a profile.

    Args:
        profile: what every replica serves.
        replicas: `N`, or `LEAST:MOST` for as many as the calls need.
        gpus: of one replica; without it what the profile's devices need.
        spare: lines to keep free; without it half of what one replica has, as the next one takes
            from seconds to minutes to start.

    Raises:
        ClusterError: not such numbers.
    """
    least, most = _range(str(replicas))
    if gpus is None:
        gpus = gpus_needed(profile)
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise ClusterError(f"--gpus {gpus:g}: give a share of one GPU, as 0.5, or a whole number")
    if gpus == 0 and gpus_needed(profile):
        raise ClusterError(
            f"--gpus 0, but profile {profile.name} has models with device = 'cuda': leave --gpus "
            "out, or set their device to 'cpu'"
        )
    lines = profile.limits.max_calls
    if spare is None:
        spare = max(1, lines // 2)
    if spare < 0:
        raise ClusterError(f"spare = {spare}: the number of lines to keep free is 0 or more")
    return Plan(least, most, float(gpus), spare)


def gpus_needed(profile: Profile) -> int:
    """GPUs that one replica's models ask for: 1 if any of them is on one.

    Models at an address (`s2s.address`, a language model's server) are not the replica's.
    """
    cascade, s2s = profile.cascade, profile.s2s
    devices: list[str] = []
    if "cascade" in profile.engines:
        devices.append(cascade.asr.device)
        if cascade.llm.backend != "openai":
            devices.append(cascade.llm.device)
        if cascade.tts.engine == "speecht5":
            devices.append(cascade.tts.device)
    if "s2s" in profile.engines:
        if not s2s.address:
            devices.append(s2s.device)
        if s2s.captions:
            devices.append(cascade.asr.device)
    return int("cuda" in devices)


def check_room(plan: Plan, free: list[float]) -> None:
    """Whether the least number of replicas fits onto the GPUs there are.

    Args:
        plan: what is asked for.
        free: GPUs of every node of the cluster; a replica lives on one node.

    Raises:
        ClusterError: it does not; with the numbers.
    """
    if not plan.gpus:
        return
    places = sum(_places(gpus, plan.gpus) for gpus in free)
    if places < plan.least:
        raise ClusterError(
            f"{_count(plan.least, 'replica')} with {_count(plan.gpus, 'GPU')} each, and room for "
            f"{places} on {_count(len(free), 'machine')} with {_count(sum(free), 'GPU')} in all: "
            "lower --replicas or --gpus, add machines with GPUs, or take a profile for CPUs"
        )


def require_ray() -> None:
    """Whether Ray Serve is installed.

    Raises:
        ClusterError: it is not.
    """
    # Only looked for: Ray reads its environment when it is imported, which is not set yet.
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("--ray needs Ray Serve, which is not installed: install maata[ray]")


def _places(gpus: float, each: float) -> int:
    """Replicas that fit onto one node; a share of a GPU never spans two."""
    if each >= 1:
        return int(gpus // each)
    return int(gpus) * int(1 / each + 1e-9)


def _count(number: float, of: str) -> str:
    return f"{number:g} {of}" + ("" if number == 1 else "s")


def _range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        least = int(first)
        most = int(last) if colon else least
    except ValueError:
        least = most = 0
    if not 1 <= least <= most:
        raise ClusterError(f"--replicas {text}: give a number, as 2, or least and most, as 1:4")
    return least, most
