"""Moshi's tick at full size from random weights: the batch that is served, timed.

What is stepped is `models.duplex_batch.DuplexBatch`, in the order in which `models.duplex` steps it
(a test holds the two to the same tokens). Knows no plan, no file and no GPU's name.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from moshi.models import loaders
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel
from moshi.modules.transformer import set_attention_context

from models.duplex_batch import Answers, DuplexBatch, Sampling
from models.fullsize_clock import Clock, Row, figures, free_bytes, used_bytes, weight_bytes
from models.fullsize_shapes import Shapes
from models.host_pace import Pace
from models.moshi_config import build

SPARE = 2 * 2**30  # bytes: CUDA graphs, attention's workspace, the codec's own states
_GATHERED = ("emb.", "text_emb.", "depformer_emb.", "depformer_text_emb.")  # a few rows a step
_TEMPORAL = ("transformer.", "text_linear.", "out_norm.")


class DoesNotFit(RuntimeError):
    """The device has no room for so many histories; the sentence has the numbers."""


class Moshi:
    """Both models with random weights on one device; `open` gives a batch of sessions on them."""

    def __init__(self, shapes: Shapes, *, device: str, dtype: str, seed: int = 0) -> None:
        """`dtype` is bf16, float32 or int8 (the `moshi` package's own, by bitsandbytes).

        The layers are made and filled on the device itself, so a 7B takes seconds and no host
        memory; only the codec, of 80 M parameters, comes by way of the CPU.
        """
        torch.manual_seed(seed)
        config = shapes.moshi | ({"quantize": True} if dtype == "int8" else {})
        kind = torch.float32 if dtype == "float32" else torch.bfloat16
        self.lm: LMModel = build(config, device=device, dtype=kind)
        self.lm.requires_grad_(False)
        self.mimi: MimiModel = random_mimi(shapes.mimi, self.lm, device)
        self.device, self.dtype, self.config = device, dtype, config

    @property
    def context(self) -> int:
        """Frames of history that are served."""
        return int(self.config["context"])

    @property
    def cached_per_frame(self) -> int:
        """Bytes of keys and values one frame of one session adds in the temporal transformer."""
        kind = {"float32": 4, "bf16": 2, "int8": 2}[self.dtype]  # int8 keeps them in float16
        return 2 * int(self.config["num_layers"]) * int(self.config["dim"]) * kind

    def read_bytes(self) -> dict[str, int]:
        """Bytes of weights a step reads: of its temporal part, its depformer, and both (`lm`)."""
        named = [(n, p) for n, p in self.lm.named_parameters() if not n.startswith(_GATHERED)]
        temporal = weight_bytes(p for n, p in named if n.startswith(_TEMPORAL))
        both = weight_bytes(p for _, p in named)
        return {"temporal": temporal, "depformer": both - temporal, "lm": both}

    @contextmanager
    def open(self, batch: int, context: int, *, seed: int = 0) -> Iterator["Sessions"]:
        """`batch` sessions with room for `context` frames of history each.

        Raises:
            DoesNotFit: the histories do not lie beside the weights.
        """
        needed = batch * context * self.cached_per_frame + SPARE
        free = free_bytes(self.device)
        if free is not None and needed > free:
            raise DoesNotFit(
                f"{batch} histories of {context} frames take {needed / 1e9:.1f} GB with what the "
                f"step itself needs, {free / 1e9:.1f} GB are free beside the weights"
            )
        set_attention_context(self.lm.transformer, context)
        batch_of_both = DuplexBatch(
            self.mimi, self.lm, slots=batch, sampling=Sampling(seed=seed), conditions=None
        )
        try:
            yield Sessions(batch_of_both, self.lm, batch)
        finally:
            batch_of_both.close()
            set_attention_context(self.lm.transformer, self.context)


class Sessions:
    """Calls that are all in progress, fed with noise."""

    def __init__(self, batch: DuplexBatch, lm: LMModel, size: int) -> None:
        self._batch, self._lm, self.size = batch, lm, size
        self._all = range(size)
        self._delay = max(lm.delays)
        frame = batch.mimi.frame_size
        noise = np.random.default_rng(0).normal(0, 0.1, (8, size, 1, frame))
        self._noise = noise.astype(np.float32)
        self._silence = np.zeros((size, 1, frame), dtype=np.float32)
        self.steps = 0
        self.bad = False

    def tick(self, pcm: np.ndarray | None = None) -> Answers:
        """One frame of every session; PCM `[B, 1, frame_size]`, float32, noise unless given.

        As `DuplexEngine.tick`: a call's first step hears nothing, and its codec speaks once the
        acoustic delay is over.
        """
        heard = self._all if self.steps else ()
        fed = self._noise[self.steps % len(self._noise)] if pcm is None else pcm
        self.steps += 1
        answers = self._batch.step(
            fed if heard else self._silence,
            advance=self._all,
            hear=heard,
            speak=heard if self.steps > self._delay else (),
        )
        self.bad = self.bad or bool(answers.bad.any())
        return answers

    def age(self, frames: int) -> None:
        """Makes every session as old as that: positions and lengths, not what was said.

        Time depends on those alone; really stepping 3,000 frames would take half a minute a point.
        """
        state = self._batch.gen._streaming_state
        assert state is not None
        with self._batch.inference():
            state.offsets.fill_(frames)
            state.offset_cpu = frames
            state.cache.clamp_(min=0)  # no token is "not generated yet" in a call of that age
            for part in self._lm.get_streaming_state().values():
                for counter in ("offset", "offsets"):
                    if isinstance(found := getattr(part, counter, None), torch.Tensor):
                        found.fill_(frames)
                if hasattr(part, "offset_cpu"):
                    part.offset_cpu = frames
                if (kv := getattr(part, "kv_cache", None)) is not None:
                    kv.end_offset.fill_(frames)
        self.steps = frames

    @contextmanager
    def stages(self, clock: Clock) -> Iterator[dict[str, list[float]]]:
        """Within the block every tick is timed part by part, in ms; the waiting makes it slower."""
        taken: dict[str, list[float]] = defaultdict(list)

        def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                clock.sync()
                started = clock.now()
                answer = call(*args, **kwargs)
                clock.sync()
                taken[name].append((clock.now() - started) * 1e3)
                return answer

            return run

        # Typed as what they are to us, callables in their places: the library types them closer.
        batch = cast(Any, self._batch)
        state = batch.gen._streaming_state
        graphs = state.graphed_main, state.graphed_depth
        batch.mimi.encode = timed("encode", batch.mimi.encode)
        batch.mimi.decode = timed("decode", batch.mimi.decode)
        batch.gen.step = timed("lm", batch.gen.step)
        state.graphed_main = timed("temporal", graphs[0])
        state.graphed_depth = timed("depformer", graphs[1])
        try:
            yield taken
        finally:
            state.graphed_main, state.graphed_depth = graphs
            del batch.mimi.encode, batch.mimi.decode, batch.gen.step


def random_mimi(config: dict[str, Any], lm: LMModel, device: str) -> MimiModel:
    """A codec of this shape with noise in its codebooks.

    The library leaves them all zero, and with them every code it gives.
    """
    codebooks = max(lm.dep_q, lm.n_q - lm.dep_q)
    mimi = loaders.get_mimi(None, config, device=device, num_codebooks=codebooks)
    for name, buffer in mimi.named_buffers():
        if name.endswith("embedding_sum"):
            buffer.normal_()
        elif name.endswith("cluster_usage"):
            buffer.fill_(1.0)
    return mimi.requires_grad_(False)


def sweep_point(
    moshi: Moshi,
    clock: Clock,
    *,
    batch: int,
    context: int,
    histories: dict[int, int],
    seconds: float,
) -> Iterator[Row]:
    """Ticks of one batch size at several ages, and at the last of them the parts of a tick.

    Args:
        moshi: the models.
        clock: of their device.
        batch: sessions.
        context: frames of history there is room for; all of it is read, whatever the age.
        histories: age in frames -> ticks to time.
        seconds: the most the ticks of one age may take.

    Raises:
        DoesNotFit: see `Moshi.open`.
    """
    shape = {"batch": batch, "context": context, "dtype": moshi.dtype}
    weights = moshi.read_bytes()
    cached = batch * context * moshi.cached_per_frame
    read = {"temporal": (weights["temporal"], cached), "depformer": (weights["depformer"], 0)}
    read |= {"lm": (weights["lm"], cached)}
    with moshi.open(batch, context) as sessions:
        for _ in range(6):  # compiles, captures the CUDA graphs, touches every cache
            sessions.tick()
        for history, ticks in histories.items():
            sessions.age(history)
            taken = clock.series(sessions.tick, ticks, seconds, least=20)
            if sessions.bad:
                raise FloatingPointError("the model's numbers are no longer finite")
            yield {
                "stage": "tick",
                **shape,
                "history": history,
                **figures(taken),
                "read_bytes": weights["lm"],
                "cached_bytes": cached,
                "memory_bytes": used_bytes(moshi.device),
            }
        last = next(reversed(histories))
        with sessions.stages(clock) as parts:
            clock.series(sessions.tick, 40, seconds / 4, least=5)
        for stage, ms in parts.items():
            weight, kept = read.get(stage, (0, 0))
            row = {"stage": stage, **shape, "history": last, **figures(ms)}
            yield row | {"read_bytes": weight, "cached_bytes": kept}


def soak(
    moshi: Moshi,
    clock: Clock,
    *,
    batch: int,
    context: int,
    seconds: float,
    window: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Row]:
    """Sessions in real time from their first frame: a row every window, and one of all at the end.

    A tick is due every 80 ms on an absolute schedule; one that ends after the next is due has
    missed its deadline, for every session at once.
    """
    period = 1.0 / moshi.mimi.frame_rate  # seconds
    total, each = round(seconds / period), max(1, round(window / period))
    with moshi.open(batch, context) as sessions:
        for _ in range(6):
            sessions.tick()
        sessions.age(0)
        shape = {"batch": batch, "context": context, "dtype": moshi.dtype}
        every: list[float] = []
        missed, late, since = 0, 0.0, 0
        pace = Pace(period, clock=clock.now)
        for number in range(total):
            sleep(pace.wait())
            deadline, skipped = pace.begin()
            missed += skipped
            every.append(clock.ms(sessions.tick))
            over = clock.now() - deadline
            missed, late = missed + (over > 0), max(late, over)
            if (number + 1) % each == 0 or number + 1 == total:
                part = every[since:]
                since = len(every)
                said = {"history": len(every), "missed": missed, "seconds": len(part) * period}
                said |= {"memory_bytes": used_bytes(moshi.device), "late_ms": round(late * 1e3, 3)}
                yield {"stage": "window", **shape, **figures(part), **said}
        if sessions.bad:
            raise FloatingPointError("the model's numbers are no longer finite")
        whole = {"history": 0, "missed": missed, "seconds": total * period}
        whole |= {"memory_bytes": used_bytes(moshi.device), "late_ms": round(late * 1e3, 3)}
        yield {"stage": "soak", **shape, **figures(every), **whole}
