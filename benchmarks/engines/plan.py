"""What is to be timed, most important first, and about how long each takes on an H100-class GPU.

A plan is a list of points that a worker (`models.fullsize`) runs one by one. Seconds here are
estimates to plan by, not measurements. Knows no process and no file.
"""

from dataclasses import dataclass, field
from typing import Any

BATCHES = (1, 2, 4, 8, 16, 32, 48, 64)
CONTEXT = 3000  # frames: what Moshi 7B is served with, 240 s
SOAK_S = 240.0
SHORTEST_SOAK_S = 60.0  # below it a soak says nothing the sweep has not
SETTLING_S = 6.0  # caches, CUDA graphs and compiled shapes of a new batch size: assumed


@dataclass(frozen=True)
class Point:
    """One thing for the worker to do."""

    key: str
    part: str
    shape: str
    estimate_s: float
    keys: dict[str, Any] = field(default_factory=dict)  # for the worker

    def message(self, **more: Any) -> dict[str, Any]:
        """As the worker reads it."""
        return {"part": self.part, "shape": self.shape, **self.keys, **more}


def plan(*, tiny: bool) -> list[Point]:
    """The points in their order; the soak's batch is left open until the sweep has been seen."""
    return _tiny() if tiny else _full()


def _full() -> list[Point]:
    # The batch that matters most is known only afterwards, so the served context is swept first.
    points = [Point("bandwidth", "bandwidth", "memory", 25, {"times": 20, "seconds": 2.0})]
    points += [_moshi(b, CONTEXT, {0: 100, 1500: 100, CONTEXT: 300}) for b in BATCHES]
    points += [
        _asr("whisper-large-v3"),
        _asr("whisper-large-v3-turbo"),
        Point(
            "llama/bf16",
            "llama",
            "llama-3.2-1b",
            12,
            {"batches": [1, 8], "prompt": 512, "tokens": 40, "dtype": "bf16", "seconds": 3.0},
        ),
        Point(
            "speecht5/float32",
            "speecht5",
            "speecht5",
            12,
            {"batches": [1, 8], "steps": 78, "seconds": 3.0},
        ),
    ]
    points.append(_soak(CONTEXT, SOAK_S, 30.0, "bf16"))
    # Every frame there is room for is read, whatever the age of a call: what history costs shows
    # only where the room itself differs.
    points += [_moshi(b, room, {room: 150}) for room in (1500, 16) for b in (1, 16, 64)]
    points += [_moshi(b, CONTEXT, {CONTEXT: 60}, graphs=False) for b in (1, 32)]
    points += [_moshi(b, CONTEXT, {CONTEXT: 200}, dtype="int8") for b in (1, 8, 32)]
    points.append(_moshi(1, CONTEXT, {CONTEXT: 60}, dtype="int8", graphs=False))
    return points


def _tiny() -> list[Point]:
    brief = {"dtype": "float32", "seconds": 0.1}
    return [
        Point("bandwidth", "bandwidth", "memory", 0.2, {"times": 3, "seconds": 0.1}),
        *(_moshi(b, 24, {0: 20, 24: 20}, "float32", seconds=0.1, shape="tiny") for b in (1, 2)),
        _moshi(1, 12, {12: 20}, "float32", seconds=0.1, shape="tiny"),
        _moshi(2, 12, {12: 20}, "float32", seconds=0.1, shape="tiny"),
        Point(
            "whisper-tiny-test/float32",
            "whisper",
            "whisper-tiny-test",
            0.5,
            {"batches": [1, 2], "tokens": 5, **brief},
        ),
        Point(
            "llama-tiny-test/float32",
            "llama",
            "llama-tiny-test",
            0.5,
            {"batches": [1, 2], "prompt": 8, "tokens": 5, **brief},
        ),
        Point(
            "speecht5/float32",
            "speecht5",
            "speecht5",
            0.5,
            {"batches": [1, 2], "steps": 5, "seconds": 0.1},
        ),
        _soak(24, 0.8, 0.4, "float32", shape="tiny"),
    ]


def _moshi(
    batch: int,
    context: int,
    histories: dict[int, int],
    dtype: str = "bf16",
    *,
    graphs: bool = True,
    seconds: float = 8.0,
    shape: str = "moshi-7b",
) -> Point:
    ticks = sum(histories.values()) + 40
    # 10 ms and 0.4 ms a call: assumed, near twice the floor of an H100; eager is three times that.
    guess = SETTLING_S + ticks * (0.010 + 0.0004 * batch) * (1 if graphs else 3)
    key = f"moshi/{dtype}/{'graphs' if graphs else 'eager'}/context {context}/batch {batch}"
    keys = {"dtype": dtype, "batch": batch, "context": context, "graphs": graphs}
    keys |= {"histories": {str(k): v for k, v in histories.items()}, "seconds": seconds}
    return Point(key, "moshi", shape, guess if shape == "moshi-7b" else 0.5, keys)


def _asr(shape: str) -> Point:
    keys = {"batches": [1, 8], "tokens": 90, "dtype": "bf16", "seconds": 3.0}
    return Point(f"{shape}/bf16", "whisper", shape, 15, keys)


def _soak(
    context: int, seconds: float, window: float, dtype: str, *, shape: str = "moshi-7b"
) -> Point:
    keys = {"dtype": dtype, "context": context, "seconds": seconds, "window": window}
    return Point(f"soak/{dtype}/context {context}", "soak", shape, seconds + SETTLING_S, keys)
