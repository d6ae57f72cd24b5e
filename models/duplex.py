"""The full-duplex engine: many calls on one Moshi and one Mimi, stepped together once a frame.

A fixed number of slots is a fixed batch size. A call joins a free slot, pushes what its caller
says at any pace, and gets back one frame of speech and one text token for every frame fed. Nothing
a call does reaches another: idle slots are masked, a slot is reset and its memory wiped when its
call ends, and output belongs to the call object, not to the slot.

The engine knows no sockets, threads, tokenizers or pacing: someone calls `tick()` every 80 ms
(`models.host_pace` says when), always from the thread that joins and leaves calls too. Streaming,
masks and per-slot resets are those of the `moshi` package (0.2.13: `LMGen`, `MimiModel`).
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMGen, LMModel
from moshi.utils.compile import no_compile

from models.duplex_call import FINISHED, LEFT, NOT_FINITE, NOT_TAKEN, OUTPUT_FRAMES, Call, Frame
from models.duplex_conditions import Choice, Conditions
from models.duplex_input import Backlog, FrameBuffer
from models.duplex_memory import set_condition, wipe


class SlotsFull(RuntimeError):
    """Every slot has a call."""


class EngineMismatch(ValueError):
    """This codec and this language model do not belong together."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the defaults are Moshi's own (`LMGen`). `greedy` ignores the rest."""

    greedy: bool = False
    temperature: float = 0.8
    temperature_text: float = 0.7
    top_k: int = 250
    top_k_text: int = 25
    seed: int | None = None  # of torch's generator, set once at the start


class DuplexEngine:
    """A fixed batch of calls on one codec and one language model.

    Both models must be in evaluation mode, not streaming, and on the same device; they stay in
    streaming mode until `close`.

    Raises:
        EngineMismatch: the codec's codes are not the ones the language model reads and writes.
    """

    def __init__(
        self,
        mimi: MimiModel,
        lm: LMModel,
        *,
        slots: int,
        sampling: Sampling | None = None,
        backlog: Backlog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _require_match(mimi, lm)
        sampling = sampling or Sampling()
        self.slots = slots
        self._backlog = backlog or Backlog()
        self.frame_size: int = mimi.frame_size  # samples
        self.sample_rate: int = mimi.sample_rate  # Hz
        self.frame_rate: float = mimi.frame_rate  # Hz
        self.delay: int = max(lm.delays)  # frames
        self.last_tick = 0.0  # seconds the latest step took
        self.ticks = 0
        self.ended = 0  # calls
        self.missed = 0  # deadlines, of all calls there ever were
        self._padding: int = lm.text_padding_token_id
        self._clock = clock
        self._mimi = mimi
        self._device = lm.device
        self._conditions = Conditions(lm)
        self._calls: list[Call | None] = [None] * slots
        self._generation = 0
        self._bad_logits = torch.zeros(slots, dtype=torch.bool, device=self._device)
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        self._lm = LMGen(
            lm,
            use_sampling=not sampling.greedy,
            temp=sampling.temperature,
            temp_text=sampling.temperature_text,
            top_k=sampling.top_k,
            top_k_text=sampling.top_k_text,
            condition_tensors=self._conditions.initial(slots),
            on_text_logits_hook=self._watch_logits,
            # Without it a reset of one slot makes the library withhold a frame from all of them.
            support_out_of_sync=True,
        )
        self._streams = mimi.streaming(slots), self._lm.streaming(slots)
        self._masks: dict[str, list[bool]] = {}

    # -- calls ------------------------------------------------------------------------------------

    def join(
        self, voice: str | Mapping[str, float] | None = None, emotion: str | None = None
    ) -> Call:
        """A new call in a free slot.

        Args:
            voice: a name the model was trained with, or several with weights, whose embeddings
                are mixed; None for the learnt "no voice given".
            emotion: as `voice`, one name.

        Raises:
            SlotsFull: no slot is free.
            UnknownCondition: the model has no such voice or emotion.
        """
        choice = Choice.of(voice, emotion)
        condition = self._conditions.embed(choice)  # [1, 1, dim], or None
        slot = next((i for i, call in enumerate(self._calls) if call is None), None)
        if slot is None:
            raise SlotsFull(f"all {self.slots} slots are taken")
        if condition is not None:
            set_condition(self._lm, slot, condition)
        self._generation += 1
        call = Call(
            slot,
            self._generation,
            choice,
            input=FrameBuffer(self.frame_size, self._backlog),
            delay=self.delay,
            release=self.release,
        )
        self._calls[slot] = call
        return call

    def check(self, voice: str | Mapping[str, float] | None, emotion: str | None) -> None:
        """Raises UnknownCondition as `join` would, whether there is room or not."""
        self._conditions.embed(Choice.of(voice, emotion))

    def release(self, call: Call, reason: str) -> None:
        """Ends a call and wipes its slot; does nothing when the slot is no longer this call's."""
        call.ended = call.ended or reason
        if self._calls[call.slot] is call:
            self._calls[call.slot] = None
            self.ended += 1
            self._wipe([call.slot])

    @property
    def calls(self) -> list[Call]:
        """The calls in progress, by slot."""
        return [call for call in self._calls if call is not None]

    def count_missed(self, frames: int) -> None:
        """Records that every call in progress missed this many deadlines."""
        self.missed += frames * len(self.calls)
        for call in self.calls:
            call.counters.missed += frames

    def warm_up(self, steps: int = 3) -> None:
        """Steps the whole batch with every slot idle: compiles, captures CUDA graphs, fills caches.

        Leaves no trace in any call, and may be called at any time; also what one tick costs.
        """
        silence = np.zeros((self.slots, 1, self.frame_size), dtype=np.float32)
        for _ in range(steps):
            with torch.no_grad(), self._eager():
                self._step(silence, [], [], [])

    def close(self) -> None:
        """Ends all calls and takes both models out of streaming mode."""
        for call in self.calls:
            self.release(call, LEFT)
        for stream in self._streams:
            stream.close()

    # -- the step ---------------------------------------------------------------------------------

    def tick(self, deadline: float | None = None) -> int:
        """Steps every call by one frame and returns how many there were.

        A call's first step has no input of its own: to the model the first input frame lies in
        the past and is not read, so the codec starts with the second step and the caller loses
        nothing. From then on a frame is fed and a frame given at every tick. `deadline` is on the
        engine's clock; a tick that ends after it counts as missed in each of its calls.
        """
        calls = self.calls
        if not calls:
            return 0
        started = self._clock()
        heard = [call for call in calls if call.steps > 0]
        pcm = np.zeros((self.slots, 1, self.frame_size), dtype=np.float32)
        for call in heard:
            if call.input.finished and call.input.empty:
                call.tail -= 1
            pcm[call.slot, 0] = call.input.pop()
            call.counters.fed += 1
        for call in calls:
            call.steps += 1
        self._bad_logits.zero_()
        speaking = [call for call in heard if call.steps > self.delay]
        with torch.no_grad(), self._eager():
            answers, tokens, bad = self._step(pcm, calls, heard, speaking)
        for call in heard:
            if bad[call.slot]:
                continue
            if call.steps > self.delay:
                call.answer(Frame(answers[call.slot].copy(), int(tokens[call.slot])))
            else:  # with a delay of more than a frame the model has nothing whole to give yet
                call.answer(Frame(np.zeros(self.frame_size, dtype=np.float32), self._padding))
        self.ticks += 1
        finished_at = self._clock()
        self.last_tick = finished_at - started
        if deadline is not None and finished_at > deadline:
            self.count_missed(1)
        self._end_calls(calls, bad)
        return len(calls)

    def _step(
        self, pcm: np.ndarray, calls: list[Call], heard: list[Call], speaking: list[Call]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """PCM [B, 1, F] -> answers [B, F], text tokens [B], and which rows are not finite [B]."""
        self._set_mask("codec", heard)
        codes = self._mimi.encode(torch.from_numpy(pcm).to(self._device))  # [B, K, 1]
        self._set_mask("lm", calls)
        tokens = self._lm.step(codes)  # [B, 1 + dep_q, 1]; -2 in rows that are warming up or idle
        assert tokens is not None
        self._set_mask("codec", speaking)
        audio = self._mimi.decode(tokens[:, 1:].clamp(min=0))[:, 0]  # [B, F]
        bad = self._bad_logits | ~torch.isfinite(audio).all(dim=-1)
        return (
            audio.float().cpu().numpy(),
            tokens[:, 0, 0].clamp(min=0).cpu().numpy(),
            bad.cpu().numpy(),
        )

    def _end_calls(self, calls: list[Call], bad: np.ndarray) -> None:
        for call in calls:
            if bad[call.slot]:
                self.release(call, NOT_FINITE)
            elif call.untaken > OUTPUT_FRAMES:
                call.take()
                self.release(call, NOT_TAKEN)
            elif call.input.finished and call.input.empty and call.tail <= 0:
                self.release(call, FINISHED)

    def _watch_logits(self, logits: torch.Tensor) -> None:
        self._bad_logits |= ~torch.isfinite(logits).flatten(1).all(dim=1)  # [B, 1, 1, card] -> [B]

    def _eager(self) -> AbstractContextManager[None]:
        """On a CPU the library's torch.compile costs 11 s at first use and gains nothing."""
        return no_compile() if self._device.type == "cpu" else nullcontext()

    # -- masks and memory -------------------------------------------------------------------------

    def _set_mask(self, which: str, calls: list[Call]) -> None:
        """Lets only these calls' rows of the codec or the LM advance; cheap when unchanged."""
        mask = [False] * self.slots
        for call in calls:
            mask[call.slot] = True
        if self._masks.get(which) != mask:
            model = self._mimi if which == "codec" else self._lm
            model.set_exec_mask(torch.tensor(mask, device=self._device))
            self._masks[which] = mask

    def _wipe(self, slots: list[int]) -> None:
        wipe(self._mimi, self._lm, slots)
        # The library's reset switches the execution mask of the reset rows back on.
        self._masks.clear()


def _require_match(mimi: MimiModel, lm: LMModel) -> None:
    needed = max(lm.dep_q, lm.n_q - lm.dep_q)
    if mimi.num_codebooks != needed:
        raise EngineMismatch(
            f"the codec gives {mimi.num_codebooks} codebooks, the language model needs {needed}: "
            "use the codec it was trained with"
        )
    if mimi.cardinality != lm.card:
        raise EngineMismatch(
            f"the codec has {mimi.cardinality} entries a codebook, the language model {lm.card}: "
            "use the codec it was trained with"
        )
