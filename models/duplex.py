"""The full-duplex engine: many calls on one Moshi and one Mimi, stepped together once a frame.

A fixed number of slots is a fixed batch size. A call joins a free slot, pushes what its caller
says at any pace, and gets back one frame of speech and one text token for every frame fed. Nothing
a call does reaches another: idle slots are masked, a slot is reset and its memory wiped when its
call ends, and output belongs to the call object, not to the slot.

The engine knows no sockets, threads, tokenizers or pacing: someone calls `tick()` every 80 ms
(`models.host_pace` says when), always from the thread that joins and leaves calls too. The
step itself is `models.duplex_batch`.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models.adapters_bank import AdapterBank, Room, UnknownAdapter
from models.duplex_batch import DuplexBatch, Sampling
from models.duplex_call import FINISHED, LEFT, NOT_FINITE, NOT_TAKEN, OUTPUT_FRAMES, Call, Frame
from models.duplex_conditions import Choice, Conditions
from models.duplex_input import Backlog, FrameBuffer
from models.duplex_memory import set_condition


class SlotsFull(RuntimeError):
    """Every slot has a call."""


class EngineMismatch(ValueError):
    """This codec and this language model do not belong together."""


class DuplexEngine:
    """A fixed batch of calls on one codec and one language model.

    Both models must be in evaluation mode, not streaming, and on the same device; they stay in
    streaming mode until `close`. With room for adapters, `adapters` loads them by name at any
    time, and every call chooses one or none.

    Raises:
        EngineMismatch: the codec's codes are not the ones the language model reads and writes.
        AdapterMismatch: the language model cannot have adapters that differ from call to call.
    """

    def __init__(
        self,
        mimi: MimiModel,
        lm: LMModel,
        *,
        slots: int,
        sampling: Sampling | None = None,
        backlog: Backlog | None = None,
        adapters: Room | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _require_match(mimi, lm)
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
        self._conditions = Conditions(lm)
        self._calls: list[Call | None] = [None] * slots
        self._generation = 0
        self.adapters = AdapterBank(lm, slots=slots, room=adapters) if adapters else None
        self._batch = DuplexBatch(
            mimi,
            lm,
            slots=slots,
            sampling=sampling or Sampling(),
            conditions=self._conditions.initial(slots),
        )

    # -- calls ------------------------------------------------------------------------------------

    def join(
        self,
        voice: str | Mapping[str, float] | None = None,
        emotion: str | None = None,
        adapter: str | None = None,
    ) -> Call:
        """A new call in a free slot.

        Args:
            voice: a name the model was trained with, or several with weights, whose embeddings
                are mixed; None for the learnt "no voice given".
            emotion: as `voice`, one name.
            adapter: a loaded adapter's name; None for the model as it is.

        Raises:
            SlotsFull: no slot is free.
            UnknownCondition: the model has no such voice or emotion.
            UnknownAdapter: no adapter of this name is loaded.
        """
        choice = Choice.of(voice, emotion)
        condition = self._conditions_with(adapter).embed(choice)  # [1, 1, dim], or None
        slot = next((i for i, call in enumerate(self._calls) if call is None), None)
        if slot is None:
            raise SlotsFull(f"all {self.slots} slots are taken")
        if condition is not None:
            set_condition(self._batch.gen, slot, condition)
        if self.adapters is not None:
            self.adapters.assign(slot, adapter)
        self._generation += 1
        call = Call(
            slot,
            self._generation,
            choice,
            adapter,
            input=FrameBuffer(self.frame_size, self._backlog),
            delay=self.delay,
            release=self.release,
        )
        self._calls[slot] = call
        return call

    def check(
        self,
        voice: str | Mapping[str, float] | None,
        emotion: str | None,
        adapter: str | None = None,
    ) -> None:
        """Raises UnknownCondition or UnknownAdapter as `join` would, with room or without."""
        self._conditions_with(adapter).embed(Choice.of(voice, emotion))

    def release(self, call: Call, reason: str) -> None:
        """Ends a call and wipes its slot; does nothing when the slot is no longer this call's."""
        call.ended = call.ended or reason
        if self._calls[call.slot] is call:
            self._calls[call.slot] = None
            self.ended += 1
            self._batch.wipe([call.slot])
            if self.adapters is not None:
                self.adapters.assign(call.slot, None)

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
            self._batch.step(silence)

    def close(self) -> None:
        """Ends all calls and gives both models back as they were."""
        for call in self.calls:
            self.release(call, LEFT)
        self._batch.close()
        if self.adapters is not None:
            self.adapters.close()

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
        answers = self._batch.step(
            pcm,
            advance=[call.slot for call in calls],
            hear=[call.slot for call in heard],
            speak=[call.slot for call in heard if call.steps > self.delay],
        )
        for call in heard:
            if answers.bad[call.slot]:
                continue
            if call.steps > self.delay:
                call.answer(Frame(answers.pcm[call.slot].copy(), int(answers.tokens[call.slot])))
            else:  # with a delay of more than a frame the model has nothing whole to give yet
                call.answer(Frame(np.zeros(self.frame_size, dtype=np.float32), self._padding))
        self.ticks += 1
        finished_at = self._clock()
        self.last_tick = finished_at - started
        if deadline is not None and finished_at > deadline:
            self.count_missed(1)
        self._end_calls(calls, answers.bad)
        return len(calls)

    def _end_calls(self, calls: list[Call], bad: np.ndarray) -> None:
        for call in calls:
            if bad[call.slot]:
                self.release(call, NOT_FINITE)
            elif call.untaken > OUTPUT_FRAMES:
                call.take()
                self.release(call, NOT_TAKEN)
            elif call.input.finished and call.input.empty and call.tail <= 0:
                self.release(call, FINISHED)

    def _conditions_with(self, adapter: str | None) -> Conditions:
        if adapter is None:
            return self._conditions
        if self.adapters is None:
            raise UnknownAdapter("this engine has one model for all calls: leave the adapter out")
        return self.adapters.conditions(adapter) or self._conditions


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
