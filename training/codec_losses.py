"""How far a codec's speech is from the original, and its first codes from the words.

Distances between spectra at several resolutions (as in EnCodec, arXiv 2210.13438, section 3.4, and
DAC, arXiv 2306.06546), the teacher's states by cosine, and the words' letters by CTC. Knows nothing
of networks.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.codec import SAMPLE_RATE

# Window lengths in samples (10, 21, 43, 85 ms) and the mel bands each can resolve; the hop is a
# quarter of the window.
SCALES = ((256, 32), (512, 64), (1_024, 80), (2_048, 128))
# Magnitude, of a spectrum whose window sums to one: -90 dBFS. What is softer need not be matched.
FLOOR = 3e-5
LINEAR = 0.5  # weight of the distance between magnitudes, beside that between their logarithms


def mel_filters(n_fft: int, bands: int) -> Tensor:
    """Triangles of equal height on the mel scale of O'Shaughnessy, float32 [bands, n_fft // 2 + 1].

    The lowest are at least as wide as the distance of two bins, so that none of them is empty.
    """
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, top, bands + 2) / 2595.0) - 1.0)  # Hz
    bin_width = SAMPLE_RATE / n_fft
    for place, (low, high) in enumerate(pairwise(edges.tolist())):
        edges[place + 1] = max(high, low + bin_width)
    hertz = torch.arange(n_fft // 2 + 1) * bin_width
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return triangles / triangles.sum(1, keepdim=True).clamp(min=1e-3)


class SpectralDistance(nn.Module):
    """Means over SCALES of the distance of log mel spectra and of mel magnitudes."""

    def __init__(self, scales: tuple[tuple[int, int], ...] = SCALES) -> None:
        super().__init__()
        self.scales = scales
        for n_fft, bands in scales:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)
            filters = mel_filters(n_fft, bands)
            self.register_buffer(f"filters_{n_fft}", filters, persistent=False)

    def mel(self, sound: Tensor, n_fft: int) -> Tensor:
        """float32 [B, T] -> magnitudes [B, bands, frames], floored."""
        window = self.get_buffer(f"window_{n_fft}")
        spectrum = torch.stft(
            sound, n_fft, n_fft // 4, window=window, center=True, return_complex=True
        )
        # |z| has no gradient at 0, which silence is full of.
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = (power + 1e-12).sqrt() * (2.0 / n_fft)
        return (self.get_buffer(f"filters_{n_fft}") @ magnitude).clamp(min=FLOOR)

    def forward(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] each -> the loss, and the log-mel part of it in nats."""
        logs, linear = [], []
        for n_fft, _ in self.scales:
            a, b = self.mel(made, n_fft), self.mel(wanted, n_fft)
            logs.append((a.log() - b.log()).abs().mean())
            linear.append((a - b).abs().sum() / b.sum())
        log_part = torch.stack(logs).mean()
        return log_part + LINEAR * torch.stack(linear).mean(), log_part


def direction_loss(pointed: Tensor, states: Tensor, known: Tensor) -> Tensor:
    """1 - cosine of [B, S, width] to the teacher's states, mean over the known frames."""
    cosine = F.cosine_similarity(pointed.float(), states, dim=-1)
    return ((1.0 - cosine) * known).sum() / known.sum().clamp(min=1)


def word_loss(log_probs: Tensor, letters: Tensor, spans: Tensor) -> Tensor:
    """CTC of every word in its own stretch of sound; nats a letter.

    Word by word, because its time is known: within half a second there is little left to align.

    Args:
        log_probs: [B, steps, V], blank first.
        letters: of each word, int64 [N, L], 0 after its end.
        spans: row, first step, one past the last one, letters; int64 [N, 4].
    """
    if len(spans) == 0:
        return log_probs.sum() * 0.0
    rows, first, end, counts = spans.unbind(1)
    steps = torch.arange(int((end - first).max()), device=spans.device)
    places = (first[:, None] + steps).clamp(max=log_probs.shape[1] - 1)  # [N, longest]
    stretches = log_probs[rows[:, None], places]  # [N, longest, V]
    losses = F.ctc_loss(
        stretches.transpose(0, 1),
        letters,
        end - first,
        counts,
        reduction="sum",
        zero_infinity=True,
    )
    return losses / counts.sum()
