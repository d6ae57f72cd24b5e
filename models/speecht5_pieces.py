"""A network of convolutions run on a sequence that is still growing, as if on the whole of it.

Each frame of the result depends on a known number of frames to either side. A piece is computed
with that many real frames around it and the rim is cut off, so that the edges' zero padding is felt
only where the sequence truly begins and ends: streaming equals offline. Knows nothing of speech.
"""

from collections.abc import Callable
from fractions import Fraction
from math import ceil

import torch
from torch import Tensor
from transformers import SpeechT5HifiGanConfig


class Pieces:
    """One sequence. `run` maps [F, C] to F * `scale` rows, and looks `reach` frames either way."""

    def __init__(self, run: Callable[[Tensor], Tensor], reach: int, scale: int = 1) -> None:
        self._run, self._reach, self._scale = run, reach, scale
        self._kept: Tensor | None = None  # frames from `_first` on
        self._first = self._done = 0  # frames

    def push(self, frames: Tensor, *, last: bool = False) -> Tensor:
        """Takes the next frames [n, C]; returns the rows that are certain now.

        After `last` everything has come, and the sequence is over.
        """
        kept = frames if self._kept is None else torch.cat([self._kept, frames])
        total = self._first + len(kept)
        ready = total if last else max(self._done, total - self._reach)
        if ready == self._done:
            self._kept = kept
            return frames.new_zeros(0, *self._shape(frames))
        begin = max(self._first, self._done - self._reach)
        rows = self._run(kept[begin - self._first :])
        skip, count = self._done - begin, ready - self._done
        self._done = ready
        self._kept = kept[max(0, ready - self._reach - self._first) :]
        self._first = total - len(self._kept)
        return rows[skip * self._scale : (skip + count) * self._scale]

    def _shape(self, frames: Tensor) -> tuple[int, ...]:
        return tuple(frames.shape[1:]) if self._scale == 1 else ()


class Stretch:
    """Frames of a sequence at another pace, by straight lines between them."""

    def __init__(self, rate: float) -> None:
        """`rate` 2 is twice as fast: half as many frames."""
        self._rate = rate
        self._kept: Tensor | None = None
        self._first = self._made = 0

    def push(self, frames: Tensor, *, last: bool = False) -> Tensor:
        """[n, C] -> the frames that lie between those that have come."""
        if self._rate == 1.0:
            return frames
        kept = frames if self._kept is None else torch.cat([self._kept, frames])
        total = self._first + len(kept)
        end = max(0, total - 1)  # a place needs the frame behind it
        count = ceil((total if last else end) / self._rate) - self._made
        if count <= 0:
            self._kept = kept
            return frames[:0]
        places = (torch.arange(self._made, self._made + count, device=frames.device)) * self._rate
        before = places.floor().long().clamp(max=end)
        share = (places - before)[:, None].clamp(0.0, 1.0)
        after = (before + 1).clamp(max=end)
        made = kept[before - self._first] * (1.0 - share) + kept[after - self._first] * share
        self._made += count
        keep_from = min(total - 1, int(self._made * self._rate))
        self._kept = kept[max(0, keep_from - self._first) :]
        self._first = total - len(self._kept)
        return made


def vocoder_reach(config: SpeechT5HifiGanConfig) -> int:
    """Mel frames to either side that a sample of a HiFi-GAN depends on, rounded up."""
    reach = Fraction(3)  # the first convolution has 7 taps
    rate = 1  # samples a frame at this depth
    for stride, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        # A transposed convolution spreads a frame over `kernel` samples, padded by half the excess.
        reach += Fraction(kernel - 1 - (kernel - stride) // 2, stride * rate)
        rate *= stride
        blocks = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
        # Of each pair of convolutions one is dilated, the other is not.
        reach += max(Fraction((k - 1) // 2 * sum(d + 1 for d in ds), rate) for k, ds in blocks)
    return ceil(reach + Fraction(3, rate))  # and so has the last
