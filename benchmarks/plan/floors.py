"""What a GPU's memory forbids, however good the kernels: floors of time and limits of size.

A step of a full-duplex model reads every weight once for all calls, and each call's keys and values
once; no step is shorter than those bytes over the bandwidth. Knows the shapes of models, and of a
card what `gpus` says; nothing of what was measured.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from benchmarks.plan.gpus import FloorError, Gpu, GpuTable

BUDGET_SHARE = 0.8  # of a frame: the rest is jitter, the codec's other half and the network
OVERHEAD_BYTES = 1.5e9  # CUDA context, graphs, codec, workspace: assumed
GOOD_KERNELS = (
    0.7  # of the peak bandwidth: what a well-tuned decoder reaches (vLLM 8B on A100: 0.77)
)


@dataclass(frozen=True)
class Precision:
    """Bytes of one weight, and of one number among the keys and values."""

    weight: float
    cached: float


PRECISIONS = {
    "bf16": Precision(2, 2),
    "fp16": Precision(2, 2),
    "int8": Precision(1, 2),
    "int8+kv8": Precision(1, 1),
}


@dataclass(frozen=True)
class DuplexShape:
    """A full-duplex speech model, as far as its memory traffic goes."""

    name: str
    known_as: tuple[str, ...]  # parts of the addresses it is found at
    parameters: float  # all that lie in memory
    read_per_step: float  # of them, those every step reads; embeddings are gathers of a few rows
    cached_per_frame: float  # numbers among keys and values that one frame of one call adds
    context: int  # frames a call's history holds
    frame_ms: float

    @property
    def budget_ms(self) -> float:
        """What a step may take."""
        return BUDGET_SHARE * self.frame_ms

    def step_ms(self, precision: Precision, gpu: Gpu) -> float:
        """The weights, once."""
        return self.read_per_step * precision.weight / (gpu.bandwidth_gb_s * 1e6)

    def call_ms(self, precision: Precision, gpu: Gpu, context: float | None = None) -> float:
        """The history of one call, once; a full one unless told."""
        frames = self.context if context is None else min(context, self.context)
        return frames * self.cached_per_frame * precision.cached / (gpu.bandwidth_gb_s * 1e6)

    def calls_in_time(
        self, precision: Precision, gpu: Gpu, efficiency: float = 1.0, context: float | None = None
    ) -> float:
        """Calls whose step fits the budget at a share of the bandwidth; a fraction, at least 0."""
        left = efficiency * self.budget_ms - self.step_ms(precision, gpu)
        each = self.call_ms(precision, gpu, context)
        return max(0.0, left / each) if each else (float("inf") if left >= 0 else 0.0)

    def calls_in_memory(self, precision: Precision, gpu: Gpu) -> float:
        """Calls whose full history lies beside the weights; a fraction, at least 0."""
        left = gpu.memory_gb * 1e9 - self.parameters * precision.weight - OVERHEAD_BYTES
        return max(0.0, left / (self.context * self.cached_per_frame * precision.cached))


# Counted on the module built from moshi's configs/moshi_7b_202409.json: temporal transformer
# 6.577e9 (32 layers of 4096), text head 0.131e9, depformer 0.617e9 with its 8 sets of weights, its
# inputs 0.034e9, its heads 0.017e9. Keys and values: 32 layers x 2 x 4096 a frame; 3000 frames.
MOSHI_7B = DuplexShape(
    name="moshi-7b",
    known_as=("moshi-7b", "moshiko", "moshika", "human-1"),
    parameters=7.688e9,
    read_per_step=7.375e9,
    cached_per_frame=32 * 2 * 4096,
    context=3000,
    frame_ms=80,
)


def shape_of(model: str) -> DuplexShape | None:
    """The shape behind a model's name or address, if it is known."""
    return MOSHI_7B if any(part in model.lower() for part in MOSHI_7B.known_as) else None


@dataclass(frozen=True)
class Decoding:
    """An autoregressive stage of a cascade: weights read once per token, tokens of one turn."""

    name: str
    bytes_per_token: float
    tokens: int

    def floor_ms(self, gpu: Gpu) -> float:
        """All its tokens, one call alone."""
        return self.tokens * self.bytes_per_token / (gpu.bandwidth_gb_s * 1e6)


# One turn of 5 s and a first clause of 2.5 s. Sizes of Whisper's and Llama's parts are assumed;
# SpeechT5: 6 layers of 768 in fp32, two mel frames a step, 31.25 steps a second.
CASCADE_TURN = (
    Decoding("whisper large-v3, 90 tokens, bf16", 0.906e9 * 2, 90),
    Decoding("llama 3.2 1B, 40 tokens, bf16", 1.236e9 * 2, 40),
    Decoding("speecht5, 78 steps, fp32", 229e6, 78),
)


@dataclass(frozen=True)
class Verdict:
    """What the floors say to a claim.

    `forbidden`: not real-time with perfect kernels, or the bytes do not fit. `over budget`: fits
    the frame but not the share of it a step may take. `possible`: needs `efficiency` of the peak.
    """

    word: Literal["forbidden", "over budget", "possible"]
    efficiency: float  # share of the peak bandwidth needed to keep the budget
    why: str


def judge(
    calls: int,
    precision: str,
    gpu: Gpu,
    shape: DuplexShape = MOSHI_7B,
    context: float | None = None,
) -> Verdict:
    """Hold a number of calls with full histories (or `context` frames) against the floors.

    Raises:
        FloorError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise FloorError(f"no precision {precision!r}; known are {', '.join(PRECISIONS)}")
    bytes_each = PRECISIONS[precision]
    needed = shape.step_ms(bytes_each, gpu) + calls * shape.call_ms(bytes_each, gpu)
    share = needed / shape.budget_ms
    held = shape.parameters * bytes_each.weight
    held += calls * shape.context * shape.cached_per_frame * bytes_each.cached
    time = f"its bytes take {needed:.0f} ms at the peak bandwidth"
    reasons = []
    if needed > shape.frame_ms:
        reasons.append(f"{time}, a frame lasts {shape.frame_ms:.0f} ms")
    if held > gpu.memory_gb * 1e9:
        reasons.append(
            f"weights and histories are {held / 1e9:.1f} GB, the card has {gpu.memory_gb:.1f}"
        )
    if reasons:
        return Verdict("forbidden", share, " and ".join(reasons))
    if share > 1:
        return Verdict("over budget", share, f"{time}, the budget is {shape.budget_ms:.0f} ms")
    hard = f" (good kernels reach {GOOD_KERNELS:.0%})" if share > GOOD_KERNELS else ""
    return Verdict("possible", share, f"needs {share:.0%} of the peak bandwidth{hard}")


def floor_rows(gpu: Gpu, shape: DuplexShape = MOSHI_7B) -> list[dict]:
    """A line of floors for each precision, histories full: JSON-ready, in ms and calls."""
    return [
        {
            "precision": name,
            "step_ms": round(shape.step_ms(p, gpu), 2),
            "call_ms": round(shape.call_ms(p, gpu), 3),
            "calls_in_time": round(shape.calls_in_time(p, gpu), 1),
            "calls_in_time_good_kernels": round(shape.calls_in_time(p, gpu, GOOD_KERNELS), 1),
            "calls_in_memory": round(shape.calls_in_memory(p, gpu), 1),
        }
        for name, p in PRECISIONS.items()
        if name != "fp16"  # the bytes of bf16
    ]


def claim_rows(table: GpuTable, key: str) -> list[dict]:
    """The table's claims about a card, judged: JSON-ready."""
    return [
        {**claim.model_dump(), **asdict(judge(claim.calls, claim.precision, table.get(key)))}
        for claim in table.claim
        if claim.gpu == key
    ]
