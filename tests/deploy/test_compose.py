"""compose.yaml and what it mounts: every name that one file takes from another is there.

The schema of Compose itself is checked by hand (docs/deploy.md has the command).
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dockerfile import read
from maata.profile import load_profile

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECONDS = {"s": 1, "m": 60}


def seconds(text: str) -> int:
    return int(text[:-1]) * SECONDS[text[-1]]


def test_the_three_profiles_and_nothing_outside_them():
    of = {name: set(service["profiles"]) for name, service in SERVICES.items()}
    assert {p for profiles in of.values() for p in profiles} == {"starter", "gpu", "observe"}
    for name, service in SERVICES.items():
        for needed in service.get("depends_on", {}):
            assert of[name] <= of[needed], f"{name} needs {needed}, which its profile lacks"


def test_images_are_pinned_or_built_here():
    for name, service in SERVICES.items():
        if "build" not in service:
            tag = service["image"].partition(":")[2]
            assert re.search(r"\d", tag), name
        else:
            known = [i.rest for stage in read(ROOT / "Dockerfile")[1] for i in stage.all("ARG")]
            for argument in service["build"]["args"]:
                assert any(a.startswith(argument) for a in known)


def test_the_world_comes_in_through_caddy_alone():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert name == "caddy" or port.startswith("127.0.0.1:"), (name, port)
    caddyfile = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    assert re.search(r"respond /metrics 404", caddyfile)
    upstream = re.search(r"reverse_proxy \{\$AGENT:(\w+):(\d+)\}", caddyfile)
    assert upstream is not None
    for agent in ("agent", "agent-gpu"):
        assert upstream[1] in SERVICES[agent]["networks"]["default"]["aliases"]
    assert caddyfile.count("{") == caddyfile.count("}")


def test_what_is_mounted_exists():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), (name, source)
                assert volume.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"], (name, source)


def test_every_variable_has_a_default_and_a_line_in_the_example():
    used = dict(re.findall(r"\$\{(\w+)(:-[^}]*)?\}", TEXT))
    assert all(default for default in used.values()), used
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(\w+)=", example, re.M))
    assert listed <= used.keys()
    assert used.keys() - listed <= {"TORCH_BACKEND"}


@pytest.mark.parametrize("name", ["agent", "agent-gpu"])
def test_the_agent_s_settings_are_the_profile_s(name, monkeypatch):
    service = SERVICES[name]
    for key, value in service["environment"].items():
        chosen = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        if key.startswith("MAATA_"):
            monkeypatch.setenv(key, chosen)
    profile = load_profile("starter")
    assert profile.server.metrics_port == 9464  # as prometheus.yml has it
    assert seconds(service["stop_grace_period"]) > profile.limits.drain_seconds
    if name == "agent-gpu":
        assert profile.cascade.llm.backend == "openai"
        assert profile.cascade.llm.base_url == "http://vllm:8000/v1"


def test_calls_outlive_nothing_they_run_through():
    """Compose stops who depends on others first: the agent drains while proxy and model are up."""
    assert "caddy" in SERVICES["agent"]["depends_on"]
    assert {"caddy", "vllm"} <= set(SERVICES["agent-gpu"]["depends_on"])
    assert SERVICES["agent-gpu"]["depends_on"]["vllm"]["condition"] == "service_started"
    assert all(SERVICES[name]["init"] for name in ("agent", "agent-gpu"))


def test_vllm_is_set_up_for_short_turns():
    command = " ".join(SERVICES["vllm"]["command"])
    assert "--enable-prefix-caching" in command
    flags = dict(re.findall(r"--([a-z-]+)=(\S+)", command))
    # As many sequences as there are lines at most, or callers wait for each other.
    assert int(flags["max-num-seqs"]) >= load_profile("starter").limits.max_calls
    assert int(flags["max-model-len"]) <= 8192
    health = SERVICES["vllm"]["healthcheck"]
    compile(health["test"][-1], "healthcheck", "exec")
    assert seconds(health["start_period"]) >= 300
    assert flags["port"] == "8000"


def test_prometheus_asks_the_services_by_their_names():
    scrapes = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))
    found = {
        (name, dns["port"])
        for job in scrapes["scrape_configs"]
        for dns in job["dns_sd_configs"]
        for name in dns["names"]
    }
    assert found == {("agent", 9464), ("vllm", 8000)}
