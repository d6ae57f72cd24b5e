"""A judge of sound for the codec: discriminators on complex spectra of several resolutions.

The multi-scale STFT discriminator of EnCodec (arXiv 2210.13438, section 3.4), trained with the
hinge loss, and the matching of its features, which Mimi keeps with the adversary alone (Moshi,
arXiv 2410.00037, section 3.3). Costs several times the codec's own step, so it is for GPUs. Knows
nothing of the codec.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.codec_preset import Preset

WINDOWS = (256, 512, 1_024, 2_048)
CHANNELS = 32


class SpectrumJudge(nn.Module):
    """[B, 1, T] -> a score for every patch of the spectrum, and the features on the way there."""

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        c = CHANNELS
        layers = [nn.Conv2d(2, c, (3, 9), padding=(1, 4))]
        layers += [
            nn.Conv2d(c, c, (3, 9), stride=(1, 2), dilation=(d, 1), padding=(d, 4))
            for d in (1, 2, 4)
        ]
        layers += [nn.Conv2d(c, c, (3, 3), padding=(1, 1)), nn.Conv2d(c, 1, (3, 3), padding=(1, 1))]
        self.layers = nn.ModuleList(nn.utils.parametrizations.weight_norm(x) for x in layers)

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        spectrum = torch.stft(
            sound[:, 0],
            self.n_fft,
            self.n_fft // 4,
            window=self.window,  # pyright: ignore[reportArgumentType]
            normalized=True,
            return_complex=True,
        )
        x = torch.stack([spectrum.real, spectrum.imag], 1).transpose(2, 3)  # [B, 2, frames, bins]
        features = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.layers[-1](x), features


class Adversary:
    """The judges and their optimizer."""

    def __init__(self, preset: Preset, device: str) -> None:
        self._weights = preset.weights
        self._judges = nn.ModuleList(SpectrumJudge(n) for n in WINDOWS).to(device)
        self._optimizer = torch.optim.AdamW(
            self._judges.parameters(), lr=preset.learning_rate, betas=(0.5, 0.9)
        )
        self.figures: dict[str, float] = {}  # of the last step

    def judge(self, made: Tensor, wanted: Tensor, rate: float) -> Tensor:
        """Trains the judges on a batch [B, 1, T], and returns what the codec is to lower."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        told_apart = self._train(made.detach(), wanted)
        self._judges.requires_grad_(False)
        fooled, apart = [], []
        for judge in self._judges:
            score, features = judge(made)
            with torch.no_grad():
                _, targets = judge(wanted)
            fooled.append(-score.mean())
            pairs = zip(features, targets, strict=True)
            apart += [(a - b).abs().mean() / b.abs().mean().clamp(min=1e-4) for a, b in pairs]
        self._judges.requires_grad_(True)
        fooling, matching = torch.stack(fooled).mean(), torch.stack(apart).mean()
        self.figures = {
            "judge": round(told_apart, 4),
            "fooling": round(float(fooling.detach()), 4),
            "features": round(float(matching.detach()), 4),
        }
        return self._weights.adversary * (fooling + self._weights.features * matching)

    def _train(self, made: Tensor, wanted: Tensor) -> float:
        """One step of the hinge loss; 2 where nothing can be told apart, 0 where everything."""
        hinges = []
        for judge in self._judges:
            hinges.append(
                F.relu(1.0 - judge(wanted)[0]).mean() + F.relu(1.0 + judge(made)[0]).mean()
            )
        loss = torch.stack(hinges).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"judges": self._judges.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self._judges.load_state_dict(state["judges"])
        self._optimizer.load_state_dict(state["optimizer"])
