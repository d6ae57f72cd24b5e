"""What one step of the vocoder sees, and the weights it begins with.

Batch number n is a function of the seed and n alone. Knows nothing of losses.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import SpeechT5HifiGan
from transformers.models.speecht5.modeling_speecht5 import HifiGanResidualBlock

from models.speecht5_mel import HOP
from training.speecht5_batches import QUIET
from training.speecht5_preset import Preset
from training.speecht5_speech import Recordings


class Crops(Dataset):
    """Crops `first`..`first + count - 1` of a run: spectrogram [B, C, BANDS], sound [B, C * HOP].

    Batch number n is a function of the seed and n alone.
    """

    def __init__(self, recordings: Recordings, preset: Preset, first: int, count: int) -> None:
        self._recordings, self._preset = recordings, preset
        self._first, self._count = first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= self._count:
            raise IndexError(index)
        rng = np.random.default_rng((self._preset.seed, 1, self._first + index))
        rows = [self._row(rng) for _ in range(self._preset.vocoder.rows)]
        mels, sounds = zip(*rows, strict=True)
        return torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(sounds))

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop of whole frames; frame n stands for the samples from n * HOP on."""
        number = int(rng.integers(len(self._recordings)))
        mel, pcm = self._recordings.mel(number), self._recordings.pcm(number)
        crop = self._preset.vocoder.crop
        start = int(rng.integers(max(1, len(mel) - crop + 1)))
        mel, pcm = mel[start : start + crop], pcm[start * HOP : (start + crop) * HOP]
        missing = crop - len(mel)
        mel = np.pad(mel, ((0, missing), (0, 0)), constant_values=QUIET)
        return mel, np.pad(pcm, (0, crop * HOP - len(pcm)))


@torch.no_grad()
def balance(network: SpeechT5HifiGan) -> None:
    """Start values that keep the signal's size through the layers.

    Transformers' own, a spread of 0.01, are those of a checkpoint about to be loaded: from them
    the sound is silence, and silence has no gradient worth following.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d):
            fan_in = module.weight[0].numel()
        elif isinstance(module, torch.nn.ConvTranspose1d):
            fan_in = 2 * module.weight.shape[0]  # kernels are two strides long
        else:
            continue
        module.weight.normal_(0.0, (1.6 / fan_in) ** 0.5)
        if module.bias is not None:
            module.bias.zero_()
    for block in network.resblocks:
        for conv in cast(HifiGanResidualBlock, block).convs2:
            cast(torch.nn.Conv1d, conv).weight.mul_(0.3)  # each adds to what it was given
    network.conv_post.weight.mul_(0.1)  # speech has an RMS of 0.1
