"""Whose voice it is: speech in, a point on a sphere out; the nearer two are, the more alike.

The GE2E encoder of Resemblyzer (Apache-2.0), its published weights in the same three LSTM layers;
the features are computed here, so that its librosa and webrtcvad are not needed. Trained on English
readers: it tells voices apart and shows a voice drifting, it identifies nobody. Knows nothing of
calls or files of audio.

Sources: Wan et al., "Generalized End-to-End Loss for Speaker Verification", ICASSP 2018;
Resemblyzer 0.1.4 `voice_encoder.py`, `audio.py`, `hparams.py`.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.audio import audible, to_float32
from models.mel import HOP, N_FFT, SAMPLE_RATE, mel_filters

MISSING = "speakers not compared: install resemblyzer without its dependencies"
BANDS = 40
WIDTH = 256  # of the layers and of the embedding
LAYERS = 3
PARTIAL = 160  # mel frames the network hears at a time: 1.6 s
STEP = round(SAMPLE_RATE / 1.3 / HOP)  # frames between two of them: 1.3 a second
COVERAGE = 0.75  # the share of sound that the last one needs
LEVEL_DBFS = -30.0  # quieter speech is raised to this
_GAP_MS = 210  # of a pause are kept: seven of the original's VAD windows


class EncoderMissing(Exception):
    """The weights are not installed."""


class SpeakerEncoder(nn.Module):
    """The network; parameters are named as in the published checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    @classmethod
    def load(cls, path: Path | None = None) -> "SpeakerEncoder":
        """From a checkpoint, by default the one in the installed `resemblyzer`.

        Raises:
            EncoderMissing: it is not there.
        """
        path = path or _installed()
        if path is None or not path.is_file():
            raise EncoderMissing(MISSING)
        encoder = cls()
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
        return encoder.eval()

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Mel power `[N, PARTIAL, BANDS]` to unit vectors `[N, WIDTH]`, none negative."""
        _, (hidden, _) = self.lstm(mels)
        raw = torch.relu(self.linear(hidden[-1]))
        return raw / raw.norm(dim=1, keepdim=True)

    @torch.inference_mode()
    def partials(self, pcm: np.ndarray) -> np.ndarray:
        """One unit vector for every 1.6 s of speech `[T]` at 16 kHz: float32 `[N, WIDTH]`.

        The sound is heard as it is; see `prepared`.
        """
        starts = partial_starts(len(pcm))
        missing = (starts[-1] + PARTIAL) * HOP - len(pcm)
        mel = mel_power(np.pad(to_float32(pcm), (0, max(0, missing))))
        mels = np.stack([mel[start : start + PARTIAL] for start in starts])
        return self(torch.from_numpy(mels)).numpy()

    def embed(self, pcm: np.ndarray) -> np.ndarray | None:
        """The voice of `[T]` at 16 kHz, int16 or float: unit float32 `[WIDTH]`; None of silence."""
        speech = prepared(pcm)
        if not len(speech):
            return None
        mean = self.partials(speech).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def drift(self, pcm: np.ndarray) -> float | None:
        """How far a voice strays within `[T]`: 1 - likeness of its first and last third.

        Under 4.8 s of speech there are no three parts: None.
        """
        speech = prepared(pcm)
        if len(speech) < 3 * PARTIAL * HOP:
            return None
        third = len(speech) // 3
        ends = [self.partials(part).mean(axis=0) for part in (speech[:third], speech[-third:])]
        return 1.0 - likeness(*ends)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two embeddings, 0..1.

    No threshold holds everywhere: the shipped synthesizer's four voices are 0.88 to 0.92 like
    themselves and 0.58 to 0.83 like one another, sentence by sentence.
    """
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def prepared(pcm: np.ndarray) -> np.ndarray:
    """Speech as the encoder wants it: quiet sound raised, long pauses and silent ends left out.

    Where the original asks webrtcvad, this asks the audible rule. float32 `[T']`, empty of silence.
    """
    pcm = np.nan_to_num(to_float32(pcm))
    power = float(np.mean(np.square(pcm, dtype=np.float64))) if len(pcm) else 0.0
    if power == 0:
        return pcm[:0]
    pcm = pcm * max(1.0, 10 ** ((LEVEL_DBFS - 10 * math.log10(power)) / 20))
    margin = SAMPLE_RATE * _GAP_MS // 2000
    heard = audible(pcm, SAMPLE_RATE, merge_ms=_GAP_MS)
    pieces = [pcm[max(0, s.start - margin) : s.end + margin] for s in heard]
    return np.concatenate(pieces).astype(np.float32) if pieces else pcm[:0]


def partial_starts(samples: int) -> list[int]:
    """Mel frames at which partials of so many samples begin; the last may reach past the end."""
    frames = math.ceil((samples + 1) / HOP)
    starts = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / (PARTIAL * HOP)
    return starts[:-1] if covered < COVERAGE and len(starts) > 1 else starts


def mel_power(pcm: np.ndarray) -> np.ndarray:
    """float32 `[T]` at 16 kHz to float32 `[T // HOP + 1, BANDS]`; power, no logarithm.

    As librosa's `melspectrogram`: periodic Hann, centred frames padded with zeros.
    """
    padded = np.pad(pcm, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return (power @ mel_filters(BANDS).T).astype(np.float32)


def _installed() -> Path | None:
    """Found without importing the package, which would want what it depends on."""
    spec = find_spec("resemblyzer")
    places = (spec and spec.submodule_search_locations) or ()
    return next((path for at in places if (path := Path(at) / "pretrained.pt").is_file()), None)
