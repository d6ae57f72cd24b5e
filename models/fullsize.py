"""A process that times what it is told, one point after the other: the worker of a plan.

    python -m models.fullsize [--tiny]

A point is a line of JSON on stdin: `{"part": …, …}`. For each the worker writes lines of JSON to
stdout: any number of `{"row": {…}}`, then `{"done": true, "over": …}` or `{"failed": "why",
"over": …}`; if it is over, the worker ends: an error of the device stays in the process. Between
points it keeps the Moshi it has as long as the next point wants the same. Knows no plan, no file
and nothing of the machine but its device.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from models.fullsize_moshi import Moshi

Row = dict[str, Any]
Point = dict[str, Any]
GIB = 2**30


class Worker:
    """Runs points on the one device there is."""

    def __init__(self, *, tiny: bool) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.compiled = compiles(self.device)
        if not self.compiled:
            os.environ["NO_TORCH_COMPILE"] = "1"  # read when moshi is imported, below
        from models import fullsize_clock, fullsize_shapes

        self.tiny = tiny
        self.clock = fullsize_clock.Clock(self.device)
        self.shapes = fullsize_shapes.tiny() if tiny else fullsize_shapes.full()
        self._moshi: Moshi | None = None

    def run(self, point: Point) -> Iterator[Row]:
        """The rows of one point.

        Raises:
            ValueError: no such part.
        """
        part = point["part"]
        if part in ("moshi", "soak"):
            yield from self._duplex(point)
            return
        self.forget()
        if part == "bandwidth":
            from models.fullsize_clock import bandwidth

            size = 4 * GIB if self.clock.cuda else 2**20 if self.tiny else GIB // 4
            yield from bandwidth(self.clock, size, point["times"], point["seconds"])
        elif part == "whisper":
            from models.fullsize_cascade import whisper

            config = self.shapes.whisper[point["shape"]]
            yield from whisper(config, self.clock, **_only(point, "tokens"))
        elif part == "llama":
            from models.fullsize_cascade import llama

            config = self.shapes.llama[point["shape"]]
            yield from llama(config, self.clock, **_only(point, "tokens", "prompt"))
        elif part == "speecht5":
            from models.fullsize_speecht5 import speecht5

            keys = {k: point[k] for k in ("batches", "steps", "seconds")}
            yield from speecht5(self.shapes.speecht5, self.shapes.vocoder, self.clock, **keys)
        else:
            raise ValueError(f"no part {part!r}: bandwidth, moshi, soak, whisper, llama, speecht5")

    def forget(self) -> None:
        """Gives the models' memory back."""
        self._moshi = None
        gc.collect()
        if self.clock.cuda:
            torch.cuda.empty_cache()

    def _duplex(self, point: Point) -> Iterator[Row]:
        from moshi.utils.compile import no_cuda_graph

        from models.fullsize_moshi import Moshi, soak, sweep_point

        if self._moshi is None or self._moshi.dtype != point["dtype"]:
            self.forget()
            started = time.monotonic()
            self._moshi = Moshi(self.shapes, device=self.device, dtype=point["dtype"])
            self.clock.sync()
            yield {"stage": "build", "dtype": point["dtype"], "seconds": time.monotonic() - started}
        keys = {k: point[k] for k in ("batch", "context", "seconds")}
        graphs = self.clock.cuda and point.get("graphs", True)
        how = ("CUDA graphs" if graphs else "eager") + (", compiled" if self.compiled else "")
        with nullcontext() if graphs else no_cuda_graph():
            if point["part"] == "soak":
                rows = soak(self._moshi, self.clock, **keys, window=point["window"])
            else:
                histories = {int(k): int(v) for k, v in point["histories"].items()}
                rows = sweep_point(self._moshi, self.clock, **keys, histories=histories)
            yield from (row | {"how": how} for row in rows)


def compiles(device: str) -> bool:
    """Whether torch.compile works here: it needs a C compiler. On a CPU it is not wanted at all."""
    if device == "cpu":
        return False
    # One process compiles for every batch size of the sweep; a server's does for one.
    torch._dynamo.config.cache_size_limit = 256
    try:
        torch.compile(lambda x: x * x + 1)(torch.ones(8, device=device))
    except Exception as e:
        # Whatever a compiler raises: without it the library runs as it is, and the rows say so.
        print(f"torch.compile does not work here: {e}", file=sys.stderr)
        return False
    return True


def _only(point: Point, *more: str) -> dict[str, Any]:
    return {k: point[k] for k in ("batches", "dtype", "seconds", *more)}


def main() -> int:
    """Serves points until stdin closes. Any error but want of memory ends it."""
    options = argparse.ArgumentParser()
    options.add_argument("--tiny", action="store_true", help="small shapes, for a test")
    tiny = options.parse_args().tiny
    # Libraries print; the protocol keeps the real stdout for itself.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    if tiny or not torch.cuda.is_available():
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    worker = Worker(tiny=tiny)
    for line in sys.stdin:
        point = json.loads(line)
        try:
            for row in worker.run(point):
                answers.write(json.dumps({"row": row}) + "\n")
        except Exception as e:
            first = (str(e).splitlines() or [""])[0]
            room = isinstance(e, torch.OutOfMemoryError | MemoryError)
            over = not room and type(e).__name__ != "DoesNotFit"
            failed = {"failed": f"{type(e).__name__}: {first}"[:500], "over": over}
            answers.write(json.dumps(failed) + "\n")
            if over:
                raise
            worker.forget()
        else:
            answers.write(json.dumps({"done": True, "over": worker.clock.spoilt}) + "\n")
            if worker.clock.spoilt:
                break
    return 0


if __name__ == "__main__":
    sys.exit(main())
