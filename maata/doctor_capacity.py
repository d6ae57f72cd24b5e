"""Which engines a machine can run and how many calls: measured, or predicted by the floors.

The floors are a card's memory and bandwidth (`benchmarks.plan.floors`); a prediction always says
that it is one. Knows no screen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maata.doctor_checks import Finding
from maata.doctor_needs import on_gpu, speecht5_on_gpu
from maata.doctor_probes import ProbeFailed, Probes
from maata.profile import Engine, Profile, S2sSettings, TtsSettings

if TYPE_CHECKING:
    from benchmarks.plan.gpus import Gpu

Basis = Literal["measured", "predicted", "unknown"]
MEASURE = "`maata bench --suite load` measures it"
# benchmarks/results/starter-load: what the starter cascade held on 2 cores, the callers there too.
CPU_CALLS, CPU_CORES = 2, 2
TURN_S = 12.0  # one user turn to the next of a call: assumed
BUSY = 0.5  # share of the time that the cascade's models may compute before turns queue: assumed
TELUGU_TOKENS = 125  # of Whisper for 5 s of Telugu: 13.5 a word, 1.85 words a second
WHISPER_LARGE = 1.55e9  # parameters; CTranslate2 keeps them in two bytes or one
SPEECHT5 = 157e6  # parameters of the hub's, vocoder included, in float32; the starter has 7 M
SPEECHT5_STARTER = 7.4e6
# Keys and values of one clause: 6 layers of 768, 512 steps of sound and 256 characters, float32.
SPEECHT5_CLAUSE = 6 * 2 * 768 * (512 + 256) * 4
SPEECHT5_PROCESS = 0.5e9  # CUDA's context of the voice's own process: assumed


@dataclass(frozen=True)
class Capacity:
    """What one engine can do here."""

    engine: Engine
    runs: bool
    calls: int | None  # at once; None where nobody can say
    basis: Basis
    said: str


def precision_of(s2s: S2sSettings) -> str:
    """The floors' name of the weights' precision."""
    return "int8" if "q8" in s2s.model.lower() else "bf16"


def memory_needed(profile: Profile) -> dict[str, int]:
    """Bytes on the GPU by part, of the parts whose size is known; of this server, not of vLLM."""
    from benchmarks.plan.floors import OVERHEAD_BYTES, PRECISIONS, shape_of

    parts: dict[str, float] = {}
    shape = shape_of(profile.s2s.model)
    if "s2s" in on_gpu(profile) and shape is not None:
        precision = PRECISIONS[precision_of(profile.s2s)]
        parts["s2s weights"] = shape.parameters * precision.weight + OVERHEAD_BYTES
        each = shape.context * shape.cached_per_frame * precision.cached
        parts[f"{profile.s2s.slots} histories"] = profile.s2s.slots * each
    asr = profile.cascade.asr
    if asr.device == "cuda" and "large" in asr.model:
        parts["whisper"] = WHISPER_LARGE * (1 if asr.compute_type.startswith("int8") else 2)
    if "cascade" in profile.engines and speecht5_on_gpu(profile):
        parts["speecht5"] = speecht5_bytes(profile.cascade.tts)
    return {name: int(size) for name, size in parts.items()}


def speecht5_bytes(tts: TtsSettings) -> float:
    """Of the voice's process on a GPU: weights, keys and values of all rows, what CUDA takes."""
    from models.weights import is_starter

    count = SPEECHT5_STARTER if is_starter(tts.model) else SPEECHT5
    return 4 * count + tts.rows * SPEECHT5_CLAUSE + SPEECHT5_PROCESS


def cascade_calls(profile: Profile, gpu: "Gpu") -> int:
    """Calls whose turns keep a card busy for half of the time; predicted.

    A turn is the tokens of its stages, each of which reads the stage's weights once, at the share
    of the bandwidth that good kernels reach. What batching saves is not counted.
    """
    from benchmarks.plan.floors import CASCADE_TURN, GOOD_KERNELS

    turn_ms = 0.0
    for stage in CASCADE_TURN:
        ms = stage.floor_ms(gpu)
        if stage.name.startswith("whisper"):
            ms *= TELUGU_TOKENS / stage.tokens
            if profile.cascade.asr.compute_type.startswith("int8"):
                ms /= 2
        if stage.name.startswith("speecht5") and not speecht5_on_gpu(profile):
            ms = 0.0
        turn_ms += ms / GOOD_KERNELS
    return int(BUSY * TURN_S * 1000 / turn_ms)


def capacities(profile: Profile, probes: Probes, findings: list[Finding]) -> list[Capacity]:
    """Of every engine of the profile."""
    blocked = {e for f in findings if f.state == "fail" for e in f.engines}
    return [
        (_cascade if engine == "cascade" else _s2s)(profile, probes, engine not in blocked)
        for engine in profile.engines
    ]


def _card(probes: Probes) -> tuple[str, "Gpu | None", float]:
    """Name of the first card, its row in the table, and bytes free on it."""
    from benchmarks.plan.gpus import load_gpus

    try:
        seen = probes.driver().gpus[0]
    except ProbeFailed:
        return "a machine without a GPU", None, 0.0
    table = load_gpus()
    key = table.key_of(seen.name)
    return seen.name, None if key is None else table.get(key), seen.free


def _cascade(profile: Profile, probes: Probes, runs: bool) -> Capacity:
    limit = profile.limits.max_calls
    if "cascade" not in on_gpu(profile):
        cores = probes.cores()
        if cores < CPU_CORES:
            said = f"never measured on {cores} core; limits.max_calls is {limit}; {MEASURE}"
            return Capacity("cascade", runs, None, "unknown", said)
        said = (
            f"{CPU_CALLS} calls at once were measured without a gap on {CPU_CORES} cores (starter "
            f"models), this machine has {cores}; limits.max_calls is {limit}; {MEASURE}"
        )
        return Capacity("cascade", runs, min(CPU_CALLS, limit), "measured", said)
    name, gpu, _ = _card(probes)
    if gpu is None:
        said = f"nothing can be predicted for {name}; {MEASURE}"
        return Capacity("cascade", runs, None, "unknown", said)
    calls = cascade_calls(profile, gpu)
    said = (
        f"about {calls} calls, predicted, not measured (turns {TURN_S:.0f} s apart, the card busy "
        f"half of the time, 70 % of its bandwidth); limits.max_calls is {limit}; {MEASURE}"
    )
    return Capacity("cascade", runs, min(calls, limit), "predicted", said)


def _s2s(profile: Profile, probes: Probes, runs: bool) -> Capacity:
    from benchmarks.plan.floors import GOOD_KERNELS, OVERHEAD_BYTES, PRECISIONS, shape_of

    s2s = profile.s2s
    shape = shape_of(s2s.model)
    if s2s.address:
        said = f"a host at {s2s.address} decides, up to limits.max_calls"
        return Capacity("s2s", runs, None, "unknown", said)
    if "s2s" not in on_gpu(profile) or shape is None:
        if shape is not None:
            said = f"{s2s.model} on a CPU does not keep 80 ms: use a GPU, or a smaller s2s.model"
            return Capacity("s2s", False, 0, "predicted", said)
        said = (
            f"the step is measured when the server starts, and as many are admitted as keep "
            f"{s2s.budget_ms:.0f} ms, at most s2s.slots = {s2s.slots}"
        )
        return Capacity("s2s", runs, None, "unknown", said)
    name, gpu, free = _card(probes)
    if gpu is None:
        said = f"nothing can be predicted for {name}; {MEASURE}"
        return Capacity("s2s", runs, None, "unknown", said)
    word = precision_of(s2s)
    precision = PRECISIONS[word]
    in_time = shape.calls_in_time(precision, gpu, GOOD_KERNELS)
    needed = memory_needed(profile)
    beside = needed.get("whisper", 0) + needed.get("speecht5", 0)
    left = free - shape.parameters * precision.weight - OVERHEAD_BYTES - beside
    in_memory = max(0.0, left / (shape.context * shape.cached_per_frame * precision.cached))
    calls = int(min(in_time, in_memory, s2s.slots))
    said = (
        f"about {calls} calls in {word}, predicted, not measured: {in_time:.1f} by time (70 % of "
        f"the bandwidth, full histories), {in_memory:.1f} by the memory free now; s2s.slots is "
        f"{s2s.slots}; {MEASURE}"
    )
    if calls == 0:
        why = "its steps" if in_time < 1 else "its memory"
        said += f"; {why} cannot hold even one: take 8-bit weights, or a larger card"
    return Capacity("s2s", runs and calls > 0, calls, "predicted", said)
