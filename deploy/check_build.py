"""Runs the Dockerfile's build stages without Docker, in a clean directory, and starts the result.

    python deploy/check_build.py [--keep] [DIRECTORY]

Needs Python 3.11, Node and about 2 GB: the registries and the time of the real build. Every
COPY and RUN of the stages page, packages and ours is carried out as written, on copies of what
`.dockerignore` lets in, with the absolute paths /opt, /src and /root moved under DIRECTORY. The
runtime stage's RUN is not (it makes a user); instead its command and health check are run. Which
packages were installed is compared with the lock. What it cannot show: that the base images exist,
that a CUDA build of torch does, and that the layers are as small as they should be.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import dockerfile

ROOT = Path(__file__).resolve().parent.parent
MOVED = re.compile(r"(?<![\w./$}-])/(?=(?:opt|src|root|data)\b)")


def context(ignore: Path) -> list[Path]:
    """The files of the checkout that `.dockerignore` lets into a build, relative to it.

    Only what git has or could have: what stands in .gitignore is ignored by both.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    rules = [r for r in ignore.read_text().splitlines() if r and not r.startswith("#")]
    names = {name.decode() for name in listed.split(b"\0") if name}
    return sorted(Path(n) for n in names if is_let_in(n, rules) and (ROOT / n).is_file())


def is_let_in(name: str, rules: list[str]) -> bool:
    """Docker's rule: the last pattern that matches the path or a folder above it decides."""
    let_in = True
    parts = name.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for rule in rules:
        pattern = rule.removeprefix("!")
        tails = [pattern.removeprefix("**/"), pattern] if pattern.startswith("**/") else [pattern]
        if any(fnmatch.fnmatchcase(a, t) or a == t for a in above for t in tails):
            let_in = rule.startswith("!")
    return let_in


class Build:
    """The stages as far as they have been carried out, in one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = context(ROOT / ".dockerignore")
        self.defaults, stages = dockerfile.read(ROOT / "Dockerfile")
        self.stages = {stage.name: stage for stage in stages}
        self.environment: dict[str, str] = {}
        self.workdir = root

    def moved(self, text: str) -> str:
        """The text with the image's absolute paths under the directory."""
        return MOVED.sub(f"{self.root}/", text)

    def run(self, name: str) -> None:
        """Carry out one stage."""
        stage = self.stages[name]
        for step in stage.instructions:
            if step.word in ("ENV", "ARG"):
                for key, value in dockerfile.variables(step.rest).items():
                    self.environment[key] = self.moved(value)
            elif step.word == "WORKDIR":
                self.workdir = Path(self.moved(step.rest))
                self.workdir.mkdir(parents=True, exist_ok=True)
            elif step.word == "COPY":
                self._copy(step)
            elif step.word == "RUN":
                began = time.monotonic()
                self._shell(self.moved(step.rest))
                print(f"{name}: line {step.line} ok, {time.monotonic() - began:.0f} s", flush=True)

    def _copy(self, step: dockerfile.Instruction) -> None:
        if any(option.startswith("--from=") for option in step.options):
            return  # every stage lives in this one directory
        *sources, target = step.rest.split()
        into = self.workdir / target
        for source in sources:
            folder = Path(source)
            taken = [f for f in self.files if f == folder or folder in f.parents]
            if not taken:
                raise SystemExit(f"Dockerfile line {step.line}: {source} is not in the context")
            for file in taken:
                below = file.relative_to(folder) if file != folder else Path(file.name)
                place = into / below if target.endswith("/") else into
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, place)

    def _shell(self, command: str) -> None:
        environment = {**os.environ, **self.environment}
        environment.pop("PYTHONPATH", None)
        if os.environ.get("PIP_FIND_LINKS"):
            # uv does not read pip's configuration; a folder of wheels has the torch that fits here.
            environment.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
            environment["TORCH_BACKEND"] = ""
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.workdir,
            env=environment,
            check=True,
        )


def check_packages(build: Build) -> None:
    """Everything installed is what the lock says."""
    lock = dict(
        line.split(" ")[0].split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.lstrip().startswith("#")
    )
    listed = subprocess.run(
        [f"{build.root}/opt/uv/bin/uv", "pip", "list", "--format=json", "--quiet"],
        env={**os.environ, "VIRTUAL_ENV": f"{build.root}/opt/venv"},
        capture_output=True,
        check=True,
    )
    found = {p["name"]: p["version"].split("+")[0] for p in json.loads(listed.stdout)}
    wrong = {n: v for n, v in found.items() if lock.get(n) != v}
    if wrong:
        raise SystemExit(f"not as in requirements.lock: {wrong}")
    print(f"packages: {len(found)}, all as in requirements.lock ({len(lock)} with every extra)")


def check_runtime(build: Build, port: int) -> None:
    """The runtime stage's own command serves, its health check passes, SIGTERM ends it with 0."""
    runtime = build.stages["runtime"]
    environment = {"HOME": f"{build.root}/data", "LANG": "C.UTF-8"}
    for step in runtime.all("ENV"):
        environment |= {k: build.moved(v) for k, v in dockerfile.variables(step.rest).items()}
    environment["PATH"] = f"{build.root}/opt/maata/bin:{build.root}/opt/venv/bin:/usr/bin:/bin"
    data = build.root / "data"
    data.mkdir(exist_ok=True)
    command = json.loads(runtime.all("ENTRYPOINT")[0].rest) + json.loads(runtime.all("CMD")[0].rest)
    command[0] = f"{build.root}/opt/maata/bin/{command[0]}"
    command[command.index("0.0.0.0")] = "127.0.0.1"
    health = json.loads(runtime.all("HEALTHCHECK")[0].rest.removeprefix("CMD "))
    health = [part.replace("7860", str(port)) for part in health]
    began = time.monotonic()
    server = subprocess.Popen([*command, "--port", str(port)], cwd=data, env=environment)
    try:
        while subprocess.run(health, env=environment, capture_output=True).returncode != 0:
            if server.poll() is not None or time.monotonic() - began > 300:
                raise SystemExit("the runtime stage's command did not become healthy")
            time.sleep(1)
        print(f"runtime: healthy after {time.monotonic() - began:.0f} s", flush=True)
        server.send_signal(signal.SIGTERM)
        if server.wait(30) != 0:
            raise SystemExit(f"after SIGTERM: exit status {server.returncode}")
        print("runtime: SIGTERM, exit status 0")
    finally:
        server.kill()


def main() -> None:
    """Build, check, clean up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, help="empty or absent; else a new one")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    parser.add_argument("--port", type=int, default=17860, help="for the runtime stage's command")
    chosen = parser.parse_args()
    root = (chosen.directory or Path(tempfile.mkdtemp(prefix="maata-build-"))).resolve()
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise SystemExit(f"{root} is not empty")
    build = Build(root)
    try:
        for stage in ("page", "packages", "ours"):
            build.run(stage)
        check_packages(build)
        for part in ("opt/venv", "opt/maata"):
            size = subprocess.run(["du", "-sm", root / part], capture_output=True, text=True)
            print(f"/{part}: {size.stdout.split()[0]} MB")
        check_runtime(build, chosen.port)
    finally:
        if not chosen.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
