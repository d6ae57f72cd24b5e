"""`maata serve --ray`: a cluster of this machine while it serves, or one that runs already.

Knows Ray as a cluster and signals; nothing of calls. Ray reads its environment when it is imported,
so it is imported here only after that is set.
"""

import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from loguru import logger

from maata.doctor_probes import ProbeFailed, driver
from maata.profile import Profile
from models.base_language import notice
from pipelines.cluster.environment import ALONE, VARIABLES
from pipelines.cluster.plan import REPLICA_CPUS, ClusterError, LogChoice, Plan, check_room
from pipelines.cluster.signals import Signals, end_at_the_latest
from pipelines.listen import PortInUse, listen

LOOK_SECONDS = 0.5
KNOCK_SECONDS = 5.0
# Ray's controller and proxies ask for none, a replica for one; on an update old and new ones are
# there at once. These are places, not processor time: the machine has as much as it has.
PLACES_A_REPLICA = 2


class _Start(threading.Thread):
    """A cluster of this machine and what is deployed onto it.

    In a thread of its own, since Ray takes the signals of whichever is the main one.
    """

    def __init__(self, places: int, deploy: Callable[[], None]) -> None:
        """`places` is of `_start_ray`, `deploy` follows it."""
        super().__init__(daemon=True)
        self._places, self._deploy = places, deploy
        self.up = threading.Event()  # the cluster is there, or will not be
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Both; an error is kept for whoever waits."""
        try:
            _start_ray(self._places)
            self.up.set()
            self._deploy()
        except Exception as e:
            self.error = e
        finally:
            self.up.set()
            self.over.set()
        # The kernel ends Ray's processes with the thread that started them, so it stays.
        threading.Event().wait()


def serve_alone(profile: Profile, plan: Plan, log: LogChoice) -> None:
    """Serve on replicas of this machine. Prints `ready http://…` when calls can be made.

    The first SIGTERM or SIGINT ends all replicas as they end for an update: no new calls, running
    ones finish, for `limits.drain_seconds` at most. A second one ends everything at once.

    Raises:
        ClusterError: the port is taken, too few GPUs, replicas that cannot load, or a cluster that
            ends by itself.
    """
    port = free_port(profile.server.host, profile.server.port)
    check_room(plan, [_gpus_here()])  # before Ray is started, which takes seconds
    # Ray's ports ask for the token; it is this cluster's own, and nothing is written into the home.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _set(VARIABLES | ALONE | token)
    import ray

    places = max(os.cpu_count() or 1, int(PLACES_A_REPLICA * plan.most * REPLICA_CPUS))
    start = _Start(places, partial(_deploy, profile, plan, log, port))
    signals = Signals()
    signals.listen()
    start.start()
    try:
        while not start.over.wait(LOOK_SECONDS) and not signals.count:
            if start.up.is_set():
                signals.listen()  # Ray's core dumps a stack at each
        if start.error is not None:
            raise start.error
        if start.over.is_set():
            signals.listen()
            print(f"ready http://{profile.server.host}:{port}", flush=True)
            _serve_until(signals)
        else:
            start.up.wait()  # cut in the middle, Ray leaves processes behind
            logger.info("ended while starting")
    finally:
        limit = end_at_the_latest()
        ray.shutdown()
        limit.cancel()


def deploy_onto(address: str, profile: Profile, plan: Plan, log: LogChoice) -> None:
    """Deploy onto a cluster that runs already, or update what runs there; returns when it serves.

    An update replaces replicas one after the other; the calls on the old ones finish as above.

    Args:
        address: `auto`, for the cluster this machine belongs to, or `HOST:6379`.
        profile: what to serve; its `server.host` and `port` are of the proxy on every machine.
        plan: how large.
        log: of the replicas, in Ray's files on their machines.

    Raises:
        ClusterError: no such cluster, too few GPUs, or replicas that cannot load.
    """
    if address != "auto":
        _knock(address)
    _set(VARIABLES)
    import ray

    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as e:
        raise _nobody(address, str(e)) from e
    try:
        _deploy(profile, plan, log, profile.server.port)
        print(f"ready http://{profile.server.host}:{profile.server.port}", flush=True)
    finally:
        ray.shutdown()


def free_port(host: str, port: int) -> int:
    """The port, or one that is free for 0; Ray binds it itself.

    Raises:
        ClusterError: another program listens there.
    """
    try:
        with listen(host, port) as sock:
            return sock.getsockname()[1]
    except PortInUse as e:
        raise ClusterError(str(e)) from e


def _knock(address: str) -> None:
    """Whether anybody listens there: Ray itself would wait for minutes.

    Raises:
        ClusterError: nobody does, or it is no address.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, ValueError) as e:
        raise _nobody(address, str(e)) from e


def _nobody(address: str, why: str) -> ClusterError:
    said = (why.strip().splitlines() or ["no answer"])[0].rstrip(".")
    return ClusterError(
        f"no Ray cluster answers at {address!r} ({said}): start one with `ray start --head`, or "
        "leave --address out for one of this machine"
    )


def _set(variables: dict[str, str]) -> None:
    """Set what the environment does not have yet."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def _start_ray(places: int) -> None:
    """A cluster of this machine.

    Raises:
        ClusterError: Ray's processes do not come up.
    """
    import ray

    # It warns that signals are not its own.
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
    try:
        ray.init(num_cpus=places, include_dashboard=False, logging_level=logging.WARNING)
    except Exception as e:  # Ray raises nothing narrower for a node that is not up in time
        why = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise ClusterError(
            f"Ray does not start here ({why}): try again when the machine is less busy, or look "
            "into /tmp/ray/session_latest/logs"
        ) from e
    logger.info("Ray runs at {}", ray.get_runtime_context().gcs_address)


def _gpus_here() -> float:
    try:
        return float(len(driver().gpus))
    except ProbeFailed:
        return 0.0


def _deploy(profile: Profile, plan: Plan, log: LogChoice, port: int) -> None:
    """Start Ray Serve where it is not, and deploy; returns when a replica serves."""
    import ray

    try:
        from ray import serve
        from ray.serve.schema import LoggingConfig
    except ImportError as e:
        raise ClusterError(f"Ray is here without Ray Serve ({e}): install maata[ray]") from e
    from pipelines.cluster.app import NAME, build

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    if "s2s" in profile.engines and (said := notice(profile.s2s.model, profile.s2s.adapters)):
        logger.warning(said)
    check_room(plan, [n["Resources"].get("GPU", 0.0) for n in ray.nodes() if n["Alive"]])
    serve.start(
        http_options={"host": profile.server.host, "port": port},
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    try:
        serve.run(build(profile, plan, log), name=NAME, route_prefix="/")
    except RuntimeError as e:
        parts = serve.status().applications[NAME].deployments.values()
        said = "\n".join([str(e), *(part.message for part in parts)])
        raise ClusterError(f"the replicas cannot start: {_reason(said)}") from e


def _serve_until(signals: Signals) -> None:
    """Until the first signal, and then until the calls have ended, or the second.

    Raises:
        ClusterError: the cluster has died; its proxy goes on listening, and answers nobody.
    """
    import ray
    from ray import serve

    from pipelines.cluster.app import NAME

    pause = threading.Event()
    looked = time.monotonic()
    while not signals.count:
        pause.wait(LOOK_SECONDS)
        if time.monotonic() - looked > KNOCK_SECONDS:
            looked = time.monotonic()
            if not any(node["Alive"] for node in ray.nodes()):
                raise ClusterError("the cluster has died: look into /tmp/ray/session_latest/logs")
    logger.info("draining: no new calls; a second signal ends those that run")
    serve.delete(NAME, _blocking=False)
    while NAME in serve.status().applications and signals.count < 2:
        pause.wait(LOOK_SECONDS)


def _reason(report: str) -> str:
    """The last error that a report of Ray names: it holds whole tracebacks of the replicas."""
    named = re.findall(r"^(?:\w+\.)*\w*(?:Error|Missing|Lost|Exception): (.+)$", report, re.M)
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    return named[-1] if named else (lines[-1] if lines else "Ray gives no reason")
