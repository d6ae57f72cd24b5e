"""The application as Ray Serve deploys it: what a plan and a profile mean in Ray's options.

`serve deploy` and KubeRay call `application` with the `args` of their file; `maata serve --ray`
calls `build`. Knows nothing of clusters or processes.
"""

import os
import warnings
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import LoggingConfig

from maata.profile import Profile, load_profile
from pipelines.cluster.plan import REPLICA_CPUS, LogChoice, Plan, make_plan
from pipelines.cluster.replica import Agent

NAME = "maata"
# Beyond the lines, for what is no call: the page, `/ready`, callers who are refused with a reason.
# Ray holds back what comes after that, so it must not be the calls that use it up.
OTHER_REQUESTS = 32
# Between the drain's limit, at which callers are told, and Ray's, at which the replica is killed:
# looking for the end, telling, closing the engines.
ENDING_SECONDS = 20.0
UP_SECONDS = 5.0  # too few free lines for so long: another replica; one caller who tries is no call
DOWN_SECONDS = 300.0  # too many for so long: one less; a replica takes minutes to come back
REPORT_SECONDS = 2.0  # between two reports of a replica: its calls, whether it is ready
LOOK_BACK_SECONDS = 10.0  # the window of reports that Ray keeps; the newest counts
HEALTH_SECONDS = 5.0
# A replica that cannot load fails for a reason that trying again does not mend.
TRIES = 2


class Arguments(BaseModel):
    """`args` of an application in a Serve file."""

    model_config = ConfigDict(extra="forbid")

    profile: str = "starter"
    settings: dict[str, Any] = {}  # as `--set`
    replicas: str | int = 1  # or "least:most"
    gpus: float | None = None  # of one replica
    spare: int | None = None  # lines to keep free


def application(args: Arguments) -> Application:
    """The import path of a Serve file. Variables `MAATA_*` count as everywhere.

    Raises:
        ProfileError, ClusterError: Ray shows it as the reason why the deployment failed.
    """
    profile = load_profile(args.profile, args.settings)
    level = os.environ.get("MAATA_LOG_LEVEL", "INFO").upper()
    as_json = os.environ.get("MAATA_LOG_JSON", "").lower() in ("1", "true", "yes", "on")
    plan = make_plan(profile, args.replicas, args.gpus, args.spare)
    return build(profile, plan, LogChoice(level, as_json))


def build(profile: Profile, plan: Plan, log: LogChoice) -> Application:
    """The application for a profile."""
    limits = profile.limits
    deployment: Deployment = serve.deployment(
        name="Agent",
        max_ongoing_requests=limits.max_calls + OTHER_REQUESTS,
        ray_actor_options={"num_cpus": REPLICA_CPUS, "num_gpus": plan.gpus},
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=limits.drain_seconds + ENDING_SECONDS,
        health_check_period_s=HEALTH_SECONDS,
        max_constructor_retry_count=TRIES,
        # On an update a new replica comes before an old one goes, where that takes no GPU more.
        max_surge_percent=0 if plan.gpus else max(1, 100 // plan.most),
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
        request_router_config={
            "request_router_class": "pipelines.cluster.routing:Freest",
            "request_routing_stats_period_s": REPORT_SECONDS,
        },
        **_replicas(profile, plan),
    )(Agent)
    return deployment.bind(profile.model_dump(mode="json"), asdict(log))


def _replicas(profile: Profile, plan: Plan) -> dict[str, Any]:
    if not plan.grows:
        return {"num_replicas": plan.least}
    policy = AutoscalingPolicy(
        policy_function="pipelines.cluster.scaling:FreeLines",
        policy_kwargs={"lines": profile.limits.max_calls, "spare": plan.spare},
    )
    with warnings.catch_warnings():
        # `metrics_interval_s` is to be replaced by variables that Ray 2.60 does not read yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        scaling = AutoscalingConfig(
            min_replicas=plan.least,
            max_replicas=plan.most,
            upscale_delay_s=UP_SECONDS,
            downscale_delay_s=DOWN_SECONDS,
            metrics_interval_s=REPORT_SECONDS,
            look_back_period_s=LOOK_BACK_SECONDS,
            policy=policy,
        )
    return {"autoscaling_config": scaling}
