"""The machine under a run of engines: GPU, clocks, versions, commit; looked up and never set.

Standard library only; what cannot be found is an empty string. Knows nothing of rows.
"""

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "transformers", "moshi", "bitsandbytes", "triton", "numpy")
ANSWER_S = 10
CLOCKS = {
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "sm_max_mhz": "clocks.max.sm",
    "memory_max_mhz": "clocks.max.mem",
    "celsius": "temperature.gpu",
    "watts": "power.draw",
    "used_mib": "memory.used",
}


@dataclass(frozen=True)
class Machine:
    """What every row of a run has in common."""

    gpu: str
    driver: str
    commit: str
    versions: dict[str, str]


def machine(commit: str = "") -> Machine:
    """This machine; `commit` for a copy of the repository without its history."""
    named = _asked("name,driver_version")
    gpu, driver = named if len(named) == 2 else (_processor(), "")
    found = commit or _said("git", "-C", str(ROOT), "rev-parse", "HEAD")
    if not commit and found and _said("git", "-C", str(ROOT), "status", "--porcelain"):
        found += "+changes"
    return Machine(gpu, driver, found, {"python": platform.python_version(), **_versions()})


def clocks() -> dict[str, str]:
    """The first GPU's clocks, temperature and power as the driver says them; empty without one."""
    said = _asked(",".join(CLOCKS.values()))
    return dict(zip(CLOCKS, said, strict=True)) if len(said) == len(CLOCKS) else {}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _asked(query: str) -> list[str]:
    said = _said("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
    return [part.strip() for part in said.splitlines()[0].split(",")] if said else []


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.machine()


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
