"""What a profile and a plan become in Ray's terms; needs Ray's package, and no cluster."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from maata.profile import load_profile
from pipelines.cluster.plan import LogChoice, make_plan
from pipelines.drain import TELL_SECONDS

pytest.importorskip("ray")
pytestmark = pytest.mark.ray


def options(profile: str = "starter", replicas: str = "1", **settings: str) -> Any:
    """Ray's configuration of the deployment, and what a replica asks for."""
    from pipelines.cluster.app import build

    loaded = load_profile(profile, {k.replace("__", "."): v for k, v in settings.items()})
    plan = make_plan(loaded, replicas)
    deployment = build(loaded, plan, LogChoice())._bound_deployment
    return deployment._deployment_config, deployment.ray_actor_options


def test_a_replica_is_pinned_to_the_gpus_of_its_plan():
    assert options("l4")[1]["num_gpus"] == 1
    assert options("starter")[1]["num_gpus"] == 0


def test_calls_have_their_time_before_ray_ends_a_replica():
    config, _ = options(limits__drain_seconds="300")
    assert config.graceful_shutdown_timeout_s > 300 + TELL_SECONDS
    # Pages and refused callers are let in beside as many calls as there are lines.
    assert config.max_ongoing_requests > load_profile("starter").limits.max_calls


def test_an_update_brings_the_new_replica_first_where_that_takes_no_gpu():
    assert options("starter", "1")[0].max_surge_percent == 100
    assert 0 < options("starter", "1:8")[0].max_surge_percent < 25
    assert options("l4", "4")[0].max_surge_percent == 0


def test_the_policy_counts_the_lines_of_the_profile():
    config, _ = options("starter", "1:4", limits__max_calls="6")
    scaling = config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 4)
    module, _, name = scaling.policy.policy_function.partition(":")
    assert getattr(importlib.import_module(module), name)
    policy = scaling.policy.get_policy()(**scaling.policy.policy_kwargs)  # as Ray's controller does
    series = {"r": [SimpleNamespace(value=4)]}
    assert policy(SimpleNamespace(raw_metrics={"calls": series}))[0] == 2  # 4 and 3 free of 6
    assert options("starter", "2")[0].autoscaling_config is None


async def test_callers_go_to_replicas_that_can_answer_first():
    from pipelines.cluster.routing import READY, Freest

    forgotten: list[str] = []
    cache = SimpleNamespace(invalidate_key=forgotten.append)
    request: Any = SimpleNamespace(routing_context=SimpleNamespace(should_backoff=False))
    reports = {"a": {READY: True}, "b": {READY: False}, "c": {}}  # c has not reported yet
    found: Any = [SimpleNamespace(replica_id=n, routing_stats=r) for n, r in reports.items()]
    router: Any = SimpleNamespace(replica_queue_len_cache=cache)
    ranks = await Freest.choose_replicas(router, found, request)
    assert [[r.replica_id for r in rank] for rank in ranks] == [["a", "c"], ["b"]]
    assert forgotten == ["a", "b", "c"]  # every one is asked, none remembered
    assert request.routing_context.should_backoff
    assert await Freest.choose_replicas(router, [], None) == []
