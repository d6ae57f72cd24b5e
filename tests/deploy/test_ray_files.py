"""The files for Ray clusters: they parse as Ray reads them, and say what our code expects.

Without Ray the import paths and numbers are still held together; what Ray judges is skipped.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from maata.profile import load_profile
from pipelines.cluster.environment import VARIABLES
from pipelines.cluster.plan import make_plan

ROOT = Path(__file__).resolve().parent.parent.parent
RAY = ROOT / "deploy" / "ray"
SERVICE = yaml.safe_load((RAY / "rayservice.yaml").read_text(encoding="utf-8"))
SERVE_FILES = {
    "serve.yaml": yaml.safe_load((RAY / "serve.yaml").read_text(encoding="utf-8")),
    "rayservice.yaml": yaml.safe_load(SERVICE["spec"]["serveConfigV2"]),
}
CLUSTER = SERVICE["spec"]["rayClusterConfig"]
# Every field of these kinds in KubeRay 1.4 that is used here, as its Go types name them.
FIELDS = {
    "spec": {
        *("upgradeStrategy", "rayClusterDeletionDelaySeconds", "excludeHeadPodFromServeSvc"),
        *("serveConfigV2", "rayClusterConfig", "serveService"),
    },
    "rayClusterConfig": {
        *("rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec"),
        "workerGroupSpecs",
    },
    "headGroupSpec": {"rayStartParams", "template", "serviceType", "headService"},
    "workerGroupSpecs": {
        *("groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams"),
        "template",
    },
}


@pytest.fixture(params=SERVE_FILES)
def serve_file(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVE_FILES[request.param]


def test_profile_and_plan_of_the_arguments_exist(serve_file):
    (application,) = serve_file["applications"]
    arguments = application["args"]
    profile = load_profile(arguments["profile"], arguments["settings"])
    plan = make_plan(profile, arguments["replicas"], spare=arguments["spare"])
    assert plan.grows
    assert plan.gpus == 1  # the profile's own devices say so
    assert 0 < plan.spare < profile.limits.max_calls
    assert profile.limits.drain_seconds >= 60
    assert profile.server.metrics_port


def test_a_serve_file_is_one_for_ray(serve_file):
    schema = pytest.importorskip("ray.serve.schema")
    deploy = schema.ServeDeploySchema.model_validate(serve_file)
    (application,) = deploy.applications
    assert application.name == importlib.import_module("pipelines.cluster.app").NAME
    module, _, name = application.import_path.partition(":")
    builder = getattr(importlib.import_module(module), name)
    (parameter,) = inspect.signature(builder).parameters.values()
    parameter.annotation.model_validate(application.args)  # Ray passes `args` as this model


def test_what_ray_reads_from_its_environment_is_said_everywhere():
    lines = (RAY / "ray.env").read_text(encoding="utf-8").splitlines()
    stated = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert stated == VARIABLES
    groups = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container["env"]}
        assert given.items() >= VARIABLES.items()


def test_the_callback_is_there():
    module, _, name = VARIABLES["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_kuberay_s_fields_are_written_as_it_names_them():
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    assert SERVICE["spec"].keys() <= FIELDS["spec"]
    assert CLUSTER.keys() <= FIELDS["rayClusterConfig"]
    assert CLUSTER["headGroupSpec"].keys() <= FIELDS["headGroupSpec"]
    for group in CLUSTER["workerGroupSpecs"]:
        assert group.keys() <= FIELDS["workerGroupSpecs"]
    for group in (CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]):
        assert all(isinstance(v, str) for v in group["rayStartParams"].values())


def test_the_cluster_fits_what_it_serves():
    (application,) = SERVE_FILES["rayservice.yaml"]["applications"]
    arguments = application["args"]
    profile = load_profile(arguments["profile"], arguments["settings"])
    plan = make_plan(profile, arguments["replicas"])
    (workers,) = CLUSTER["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (plan.least, plan.most)
    assert float(container["resources"]["limits"]["nvidia.com/gpu"]) == plan.gpus
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["serve"] == SERVE_FILES["rayservice.yaml"]["http_options"]["port"] == 8000
    assert ports["calls"] == profile.server.metrics_port
    assert container["readinessProbe"]["httpGet"]["port"] == ports["serve"]
    # The old cluster of an update lives as long as a call may.
    longest = profile.limits.max_call_minutes * 60
    assert SERVICE["spec"]["rayClusterDeletionDelaySeconds"] >= longest
    pin = next(
        line
        for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("ray = ")
    )
    assert f"=={CLUSTER['rayVersion']}" in pin
