"""The image's recipe, as far as it can be judged without running it: deploy/check_build.py does."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from deploy.check_build import context, is_let_in
from deploy.dockerfile import read, variables

ROOT = Path(__file__).resolve().parent.parent.parent
ARGUMENTS, STAGES = read(ROOT / "Dockerfile")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RULES = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"
]


def test_every_image_is_pinned_and_stages_are_found_by_name():
    known = set()
    for stage in STAGES:
        if stage.image not in known:
            tag = stage.image.partition(":")[2]
            assert tag, stage.image
            assert tag != "latest"
        for name in re.findall(r"\$\{(\w+)\}", stage.image):
            assert ARGUMENTS[name]
        for step in stage.all("COPY"):
            for option in step.options:
                if option.startswith("--from="):
                    assert option.removeprefix("--from=") in known
        known.add(stage.name)


def test_the_runtime_stage_is_small_healthy_and_nobody_s():
    runtime = STAGES[-1]
    assert runtime.name == "runtime"
    (user,) = runtime.all("USER")
    defaults = {k: v for step in runtime.all("ARG") for k, v in variables(step.rest).items()}
    assert defaults["RUN_AS"].split(":")[0].isdigit()
    assert int(defaults["RUN_AS"].split(":")[0]) >= 1000
    assert user.rest == "${RUN_AS}"
    after = [i.word for i in runtime.instructions[runtime.instructions.index(user) :]]
    assert not {"RUN", "COPY"} & set(after)  # nothing is written as the user
    for step in runtime.all("RUN"):
        if "apt-get install" in step.rest:
            assert "--no-install-recommends" in step.rest
            assert "rm -rf /var/lib/apt/lists/*" in step.rest
        assert "pip" not in step.rest  # what installs stays in the stages before
    health = json.loads(runtime.all("HEALTHCHECK")[0].rest.removeprefix("CMD "))
    assert health[0] == "python"
    assert "/ready" in health[-1]
    compile(health[-1], "HEALTHCHECK", "exec")
    for word in ("ENTRYPOINT", "CMD"):
        assert json.loads(runtime.all(word)[0].rest)  # in exec form: signals reach the server


def test_caches_stay_out_of_the_layers():
    for stage in STAGES:
        assert not stage.all("ADD")
        for step in stage.all("RUN"):
            if re.search(r"\b(pip|npm) install\b", step.rest):
                assert any("type=cache" in o for o in step.options), f"line {step.line}"


def test_packages_are_the_lock_s():
    (step,) = [s for stage in STAGES for s in stage.all("RUN") if "requirements.lock" in s.rest]
    assert "--constraint requirements.lock" in step.rest
    extras = set(re.findall(r"--extra (\w+)", step.rest))
    assert extras <= set(PROJECT["project"]["optional-dependencies"])
    assert {"espeak", "s2s"} <= extras
    assert not {"dev", "bench", "train"} & extras
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pinned = re.search(r"^UV_VERSION := (\S+)$", makefile, re.M)
    assert pinned is not None
    given = {k: v for s in STAGES for i in s.all("ARG") for k, v in variables(i.rest).items()}
    assert given["UV_VERSION"] == pinned[1]


def test_everything_that_is_copied_is_in_the_context():
    files = {str(f) for f in context(ROOT / ".dockerignore")}
    copied = set()
    for stage in STAGES:
        for step in stage.all("COPY"):
            if any(o.startswith("--from=") for o in step.options):
                continue
            for source in step.rest.split()[:-1]:
                prefix = source.rstrip("/") + "/"
                assert any(f == source or f.startswith(prefix) for f in files), source
                copied.add(source.rstrip("/"))
    assert {*PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]} <= copied
    assert "weights" in copied


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("maata/cli.py", True),
        ("weights/starter/asr/model.safetensors", True),
        ("web/src/main.ts", True),
        ("deploy/runpod/start.sh", True),
        ("web/node_modules/vite/index.js", False),
        ("models/__pycache__/audio.cpython-311.pyc", False),
        ("pipelines/page/index.html", False),
        (".env", False),
        (".git/config", False),
        ("tests/live.py", False),
        ("runs/a/turns.jsonl", False),
        ("deploy/env.example", False),
    ],
)
def test_what_comes_into_the_build(name, wanted):
    assert is_let_in(name, RULES) is wanted
