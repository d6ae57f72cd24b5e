"""SpeechT5's decoder step in a few fixed shapes, each recorded as a CUDA graph and played back.

A step is a hundred small kernels, and starting them one by one from Python takes a GPU longer than
running them. A recording has fixed shapes, so rows and steps are rounded up to powers of two and
every row looks at all its characters. On a CPU the same shapes are computed without a recording,
which gains nothing and proves them. Knows nothing of clauses.
"""

import logging
from collections.abc import Iterator

import torch

from models.speecht5_step import Step, Stepped

log = logging.getLogger(__name__)

FEWEST_KEYS = 64  # steps, 2 s: fewer save nothing
TOLERANCE = 1e-3  # of frames: kernels chosen for other shapes round otherwise


class GraphsWrong(RuntimeError):
    """A recording does not compute what the step does."""


class Graphs:
    """Steps of fixed shapes. `record` before the first call on a GPU; without it nothing is."""

    def __init__(self, step: Step) -> None:
        self._step = step
        state = step.state
        self._rows, self._keys = len(state.places), state.past.shape[4]
        self._letters = state.text.shape[4]
        self._recorded: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Stepped]] = {}

    @property
    def recorded(self) -> bool:
        """Whether there are recordings."""
        return bool(self._recorded)

    def shape(self, count: int, keys: int) -> tuple[int, int]:
        """Rows and keys as they are computed."""
        rows = min(1 << max(0, count - 1).bit_length(), self._rows)
        return rows, min(max(FEWEST_KEYS, 1 << max(0, keys - 1).bit_length()), self._keys)

    def shapes(self) -> Iterator[tuple[int, int]]:
        """All there are, largest first: they share the largest's memory."""
        rows = sorted({self.shape(n + 1, 1)[0] for n in range(self._rows)}, reverse=True)
        keys = sorted({self.shape(1, n + 1)[1] for n in range(self._keys)}, reverse=True)
        yield from ((r, k) for r in rows for k in keys)

    def __call__(self, count: int, keys: int) -> Stepped:
        """As the step does, of `count` rows; results are the caller's to keep."""
        rows, keys = self.shape(count, keys)
        recorded = self._recorded.get((rows, keys))
        if recorded is None:
            made = self._step(rows, keys, self._letters)
        else:
            graph, made = recorded
            graph.replay()
        cut = (made.frames, made.told, made.attention)
        # A recording writes its results to the same place every time.
        return Stepped(*(t[:count].clone() if recorded else t[:count] for t in cut))

    @torch.inference_mode()
    def record(self) -> None:
        """Records all shapes, and compares each with the step it was recorded from.

        Nobody may be speaking: rows are left at their beginning.

        Raises:
            GraphsWrong: one of them computes something else.
            RuntimeError: CUDA cannot record it.
        """
        pool = torch.cuda.graph_pool_handle()
        for rows, keys in self.shapes():
            self._begin()
            aside = torch.cuda.Stream()  # first calls allocate, which no recording may
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._step(rows, keys, self._letters)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                made = self._step(rows, keys, self._letters)
            self._begin()
            wanted = self._step(rows, keys, self._letters)
            self._begin()
            graph.replay()
            apart = float((made.frames - wanted.frames).abs().max())
            if not apart < TOLERANCE:
                raise GraphsWrong(f"{rows} rows and {keys} steps: frames are {apart:g} apart")
            self._recorded[rows, keys] = graph, made
        self._begin()

    def _begin(self) -> None:
        """Every row silent, at its first step and its only character."""
        state = self._step.state
        for tensor in (state.frames, state.at, state.places):
            tensor.zero_()
        state.letters.fill_(1)
        state.kept.fill_(1.0)


def graphs(step: Step) -> Graphs | None:
    """Recordings of a step on a GPU; None, and a line in the log, where there can be none."""
    if step.device.type != "cuda" or not torch.cuda.is_available():
        return None
    made = Graphs(step)
    try:
        made.record()
    except RuntimeError as error:
        log.warning("SpeechT5 runs without CUDA graphs: %s", str(error).splitlines()[0])
        return None
    return made
