"""What a run ran on: hardware, versions, commit, profile and weights, as `run.json` keeps them.

Everything is looked up here and now; what is not there is None. Knows nothing about turns.
"""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from maata.profile import Profile
from models.weights import WeightsMissing, resolve

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("maata", "torch", "pipecat-ai", "moshi", "ctranslate2", "onnxruntime")
WHOLE_BYTES = 64 * 2**20  # a greater file is known by its name and size
ANSWER_S = 10  # git and nvidia-smi answer at once or not at all


def environment() -> dict[str, Any]:
    """The machine and the software, as `run.json` has them; memory in GB (10^9 bytes)."""
    gpu, driver = _gpu()
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "gpu": gpu,
        "driver": driver,
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if (changed := _git("status", "--porcelain")) is None else bool(changed),
    }


def hardware(found: dict[str, Any]) -> str:
    """The name of the machine in one line: its GPU, else its processor and cores."""
    return found["gpu"] or f"{found['cpu']}, {found['cores']} cores"


def profile_identity(profile: Profile) -> dict[str, str]:
    """Name and sha256 of the profile as it is served, its overrides included."""
    digest = hashlib.sha256(profile.model_dump_json().encode()).hexdigest()
    return {"name": profile.name, "sha256": digest}


def weights(models: dict[str, dict[str, str]]) -> dict[str, str]:
    """Role -> sha256 of the files at its address, for the addresses that are on this machine.

    Args:
        models: engine -> role -> weights address. Addresses on the hub carry their own revision
            and are left out; so is what is no address (`espeak-ng`).
    """
    found: dict[str, str] = {}
    for roles in models.values():
        for role, address in roles.items():
            if "://" in address:
                continue
            try:
                found[role] = tree_sha256(resolve(address))
            except WeightsMissing:
                continue
    return found


def tree_sha256(directory: Path) -> str:
    """sha256 over the sorted names, sizes and contents of a directory's files.

    Of files above 64 MB only name and size count: reading them would take longer than the run.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        size = path.stat().st_size
        content = hashlib.sha256(path.read_bytes()).hexdigest() if size <= WHOLE_BYTES else "-"
        digest.update(f"{path.relative_to(directory).as_posix()}\t{size}\t{content}\n".encode())
    return digest.hexdigest()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _cores() -> int:
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says of the checkout; None outside of one (an installed wheel)."""
    return _said("git", "-C", str(ROOT), *arguments) if (ROOT / ".git").exists() else None


def _gpu() -> tuple[str | None, str | None]:
    """Name and driver version of the first GPU."""
    said = _said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if not said:
        return None, None
    name, _, driver = said.splitlines()[0].partition(",")
    return name.strip(), driver.strip() or None


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
