"""How `maata doctor` looks at the machine: one plain function a question, all of them replaceable.

Each answers in numbers or raises `ProbeFailed`; what an answer means is known in `doctor_checks`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ANSWER_S = 10  # nvidia-smi answers at once, or the driver hangs
VLLM_S = 3


class ProbeFailed(Exception):
    """The question has no answer here; the sentence says why."""


@dataclass(frozen=True)
class Gpu:
    """One card as the driver reports it; bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver, the newest CUDA it can run, and its cards."""

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


def driver() -> Driver:
    """What nvidia-smi says.

    Raises:
        ProbeFailed: it is not installed, or the driver does not answer it.
    """
    query = "name,driver_version,memory.total,memory.free"
    said = _said("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
    cuda = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", _said("nvidia-smi"))
    rows = [[part.strip() for part in line.split(",")] for line in said.splitlines() if line]
    if not rows or cuda is None:
        raise ProbeFailed("nvidia-smi lists no GPU")
    try:
        gpus = tuple(Gpu(r[0], int(r[2]) << 20, int(r[3]) << 20) for r in rows)
    except (IndexError, ValueError) as e:
        raise ProbeFailed(f"nvidia-smi answers {said.splitlines()[0]!r}") from e
    return Driver(rows[0][1], (int(cuda[1]), int(cuda[2])), gpus)


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise ProbeFailed(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise ProbeFailed(f"{command[0]} does not answer") from e
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["fails"]
        raise ProbeFailed(f"{command[0]}: {said[0]}")
    return done.stdout


def torch_build() -> tuple[str, tuple[int, int] | None]:
    """Version of torch and the CUDA it was built for, read from its files: importing takes seconds.

    Raises:
        ProbeFailed: torch is not installed.
    """
    spec = find_spec("torch")
    path = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ProbeFailed("torch is not installed")
    text = path.read_text(encoding="utf-8")
    version = re.search(r"__version__ = '([^']+)'", text)
    cuda = re.search(r"^cuda\b.*= '(\d+)\.(\d+)", text, re.MULTILINE)
    return version[1] if version else "?", (int(cuda[1]), int(cuda[2])) if cuda else None


def ctranslate2_problem() -> str:
    """Why CTranslate2 cannot use a GPU; empty when it can."""
    from models.cuda import problem

    return problem()


def memory() -> tuple[int, int]:
    """Bytes of RAM: all, and what programs could get now.

    Raises:
        ProbeFailed: the system does not say.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        parts = (line.partition(":") for line in lines)
        table = {name: int(rest.split()[0]) << 10 for name, _, rest in parts}
        return table["MemTotal"], table["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError) as e:
        raise ProbeFailed("the system does not say how much memory it has") from e


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_disk(directory: Path) -> int:
    """Bytes free where a directory is, or would be."""
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free


def bind(host: str, port: int) -> str:
    """Why nobody can listen there; empty when one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as e:
            return e.strerror or str(e)
    return ""


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def espeak() -> None:
    """Opens espeak-ng.

    Raises:
        ProbeFailed: it is not there; the sentence names the remedy.
    """
    from models.espeak import Espeak, EspeakMissing

    try:
        Espeak()
    except EspeakMissing as e:
        raise ProbeFailed(str(e)) from e


def weights(address: str) -> Path:
    """The directory of an address, if all of it is here.

    Raises:
        ProbeFailed: it is not; the sentence names the remedy.
    """
    from models.weights import WeightsMissing, local

    try:
        return local(address)
    except WeightsMissing as e:
        raise ProbeFailed(str(e)) from e


def hub_cache() -> Path:
    """Where weights of the hub go."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def page() -> bool:
    """Whether the call page is built."""
    spec = find_spec("pipelines")
    return bool(spec and spec.origin and (Path(spec.origin).parent / "page/index.html").is_file())


def models_served(base_url: str, key_env: str) -> list[str]:
    """Names of the models that an OpenAI-compatible server has.

    Raises:
        ProbeFailed: it does not answer, or with something else.
    """
    request = urllib.request.Request(f"{base_url.rstrip('/')}/models")
    if key_env and (key := os.environ.get(key_env)):
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=VLLM_S) as answer:
            return [str(entry["id"]) for entry in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        reason = getattr(e, "reason", None) or e
        raise ProbeFailed(f"no answer from {base_url} ({reason})") from e


@dataclass(frozen=True)
class Probes:
    """All questions; a test puts its own answers in."""

    driver: Callable[[], Driver] = driver
    torch_build: Callable[[], tuple[str, tuple[int, int] | None]] = torch_build
    ctranslate2_problem: Callable[[], str] = ctranslate2_problem
    memory: Callable[[], tuple[int, int]] = memory
    cores: Callable[[], int] = cores
    free_disk: Callable[[Path], int] = free_disk
    bind: Callable[[str, int], str] = bind
    installed: Callable[[str], bool] = installed
    espeak: Callable[[], None] = espeak
    weights: Callable[[str], Path] = weights
    hub_cache: Callable[[], Path] = hub_cache
    page: Callable[[], bool] = page
    models_served: Callable[[str, str], list[str]] = models_served
