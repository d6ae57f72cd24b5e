"""The batch of the duplex engine: one Mimi and one Moshi in streaming mode, stepped a frame a time.

Samples in, samples and text tokens out, for those rows (slots) that are told to advance. Knows
nothing of calls or names. Streaming, masks and resets are those of the `moshi` package (0.2.13).
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from moshi.conditioners.base import ConditionTensors
from moshi.models.compression import MimiModel
from moshi.models.lm import LMGen, LMModel
from moshi.utils.compile import no_compile

from models.duplex_memory import wipe
from models.padding import reweigh_padding


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the defaults are Moshi's own (`LMGen`). `greedy` ignores the rest."""

    greedy: bool = False
    temperature: float = 0.8
    temperature_text: float = 0.7
    temperature_padding: float | None = None  # of whether there is text; None: as the text
    top_k: int = 250
    top_k_text: int = 25
    seed: int | None = None  # of torch's generator, set once at the start


@dataclass(frozen=True)
class Answers:
    """What one step gave; rows that were not speaking hold nothing of use."""

    pcm: np.ndarray  # float32 [B, frame_size]
    tokens: np.ndarray  # int64 [B], of the text stream
    bad: np.ndarray  # bool [B]: this row's numbers are not finite


class DuplexBatch:
    """Both models with `slots` rows, from now until `close`."""

    def __init__(
        self,
        mimi: MimiModel,
        lm: LMModel,
        *,
        slots: int,
        sampling: Sampling,
        conditions: ConditionTensors | None,
    ) -> None:
        self.mimi = mimi
        self._slots, self._sampling = slots, sampling
        self._device = lm.device
        self._bad_logits = torch.zeros(slots, dtype=torch.bool, device=self._device)
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        self.gen = LMGen(
            lm,
            use_sampling=not sampling.greedy,
            temp=sampling.temperature,
            temp_text=sampling.temperature_text,
            top_k=sampling.top_k,
            top_k_text=sampling.top_k_text,
            condition_tensors=conditions,
            on_text_logits_hook=self._before_text,
            # Without it a reset of one slot makes the library withhold a frame from all of them.
            support_out_of_sync=True,
        )
        self._streams = mimi.streaming(slots), self.gen.streaming(slots)
        self._masks: dict[str, list[bool]] = {}

    def step(
        self,
        pcm: np.ndarray,
        *,
        advance: Collection[int] = (),
        hear: Collection[int] = (),
        speak: Collection[int] = (),
    ) -> Answers:
        """One frame of all rows, PCM `[B, 1, frame_size]`, float32.

        The language model advances in the rows of `advance`, the codec's encoder in those of
        `hear`, its decoder in those of `speak`; the others keep their state.
        """
        self._bad_logits.zero_()
        with self.inference():
            self._set_mask("codec", hear)
            codes = self.mimi.encode(torch.from_numpy(pcm).to(self._device))  # [B, K, 1]
            self._set_mask("lm", advance)
            tokens = self.gen.step(codes)  # [B, 1 + dep_q, 1]; -2 in rows warming up or idle
            assert tokens is not None
            self._set_mask("codec", speak)
            audio = self.mimi.decode(tokens[:, 1:].clamp(min=0))[:, 0]  # [B, F]
            bad = self._bad_logits | ~torch.isfinite(audio).all(dim=-1)
        return Answers(
            audio.float().cpu().numpy(),
            tokens[:, 0, 0].clamp(min=0).cpu().numpy(),
            bad.cpu().numpy(),
        )

    def wipe(self, slots: list[int]) -> None:
        """Resets these rows and erases what they held."""
        with self.inference():
            wipe(self.mimi, self.gen, slots)
        # The library's reset switches the execution mask of the reset rows back on.
        self._masks.clear()

    @contextmanager
    def inference(self) -> Iterator[None]:
        """What touches the models' state runs in here.

        Half of a small step on a CPU is what torch does around its kernels: without views and
        versions to keep count of, 8 starter calls take 58 ms instead of 63. The library's
        torch.compile costs 11 s there at first use and gains nothing.
        """
        if self._device.type == "cpu":
            with torch.inference_mode(), no_compile():
                yield
        else:  # captured CUDA graphs were only tried so
            with torch.no_grad():
                yield

    def close(self) -> None:
        """Takes both models out of streaming mode."""
        for stream in self._streams:
            stream.close()

    def _before_text(self, logits: torch.Tensor) -> None:
        """Looks at the text's logits [B, 1, 1, card] before a token is drawn from them."""
        self._bad_logits |= ~torch.isfinite(logits).flatten(1).all(dim=1)
        temperature, padding = self._sampling.temperature_text, self._sampling.temperature_padding
        if padding is not None and temperature > 0 and not self._sampling.greedy:
            reweigh_padding(logits, temperature=temperature, padding=padding)

    def _set_mask(self, which: str, slots: Collection[int]) -> None:
        """Lets only these rows of the codec or the LM advance; cheap when unchanged."""
        mask = [slot in slots for slot in range(self._slots)]
        if self._masks.get(which) != mask:
            model = self.mimi if which == "codec" else self.gen
            model.set_exec_mask(torch.tensor(mask, device=self._device))
            self._masks[which] = mask
