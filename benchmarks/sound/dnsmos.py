"""DNSMOS: what a network trained on listeners' ratings would expect of one clip.

P.835 (signal, background, overall) and P.808, from the ONNX files of Microsoft's `speechmos` wheel
(MIT); the features are computed here, so that its librosa is not needed. A predictor trained on
English calls through noise suppressors: a signal axis to compare systems on, not an opinion of
anybody, and never printed as MOS. Knows nothing of rows or files of audio.

Sources: Reddy, Gopal, Cutler, "DNSMOS P.835", ICASSP 2022; speechmos 0.0.1.1 `dnsmos.py`.
"""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

from models.audio import to_float32
from models.mel import mel_filters

RATE = 16_000  # Hz, also of `models.mel`'s filters
MISSING = "DNSMOS not measured: install speechmos"
SEGMENT = int(9.01 * RATE)  # samples the networks hear; shorter clips are repeated
_N_FFT, _HOP, _BANDS = 321, 160, 120
_CUT = 160  # samples that P.808 leaves off a segment, for 900 frames
_TOP_DB = 80.0
# Raw outputs to the scale of the ratings, highest power first (`get_polyfit_val`).
_SIG = (-0.08397278, 1.22083953, 0.0052439)
_BAK = (-0.13166888, 1.60915514, -0.39604546)
_OVRL = (-0.06766283, 1.11546468, 0.04602535)


class DnsmosMissing(Exception):
    """The wheel with the networks is not installed."""


@dataclass(frozen=True)
class Prediction:
    """Means over the segments of one clip, each on a scale of 1 to 5."""

    sig: float
    bak: float
    ovrl: float
    p808: float


class Dnsmos:
    """Both networks, loaded. `predict` may be called from several threads at once."""

    def __init__(self, directory: Path, *, threads: int = 1) -> None:
        """Use `load`; `directory` holds `sig_bak_ovr.onnx` and `model_v8.onnx`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._p835, self._p808 = (
            onnxruntime.InferenceSession(
                str(directory / name), options, providers=["CPUExecutionProvider"]
            )
            for name in ("sig_bak_ovr.onnx", "model_v8.onnx")
        )

    @classmethod
    def load(cls, *, threads: int = 1) -> "Dnsmos":
        """The networks of the installed `speechmos`, each run on so many threads.

        Raises:
            DnsmosMissing: it is not installed, or not with these files.
        """
        spec = find_spec("speechmos")
        for place in (spec and spec.submodule_search_locations) or ():
            home = Path(place) / "dnsmos_models"
            if (home / "sig_bak_ovr.onnx").is_file() and (home / "model_v8.onnx").is_file():
                return cls(home, threads=threads)
        raise DnsmosMissing(MISSING)

    @property
    def name(self) -> str:
        """For the report: predictor and version of the networks."""
        return f"DNSMOS (speechmos {version('speechmos')})"

    def predict(self, pcm: np.ndarray) -> Prediction | None:
        """Of a clip `[T]` at 16 kHz, int16 or float in -1..1; None of an empty one."""
        pcm = np.clip(np.nan_to_num(to_float32(pcm)), -1.0, 1.0)
        if not len(pcm):
            return None
        # One segment at a time: a batch needs 300 MB a segment and gains nothing on a CPU.
        rated = np.array([self._rate(piece) for piece in segments(pcm)])  # [S, 4]
        return Prediction(*(float(value) for value in rated.mean(axis=0)))

    def _rate(self, piece: np.ndarray) -> list[float]:
        """float32 `[SEGMENT]` to SIG, BAK, OVRL, P.808."""
        raw = np.asarray(self._p835.run(None, {"input_1": piece[None]})[0])[0]  # [3]
        features = log_mel(piece[:-_CUT])[None]
        p808 = np.asarray(self._p808.run(None, {"input_1": features})[0])[0, 0]
        scales = zip((_SIG, _BAK, _OVRL), raw, strict=True)
        return [*(float(np.polyval(by, float(value))) for by, value in scales), float(p808)]


def segments(pcm: np.ndarray) -> np.ndarray:
    """`[T]` at 16 kHz to float32 `[S, SEGMENT]`, one every second.

    A clip shorter than a segment is doubled until it is long enough; what it then has over starts
    further segments, as in the original.
    """
    while len(pcm) < SEGMENT:
        pcm = np.concatenate([pcm, pcm])
    windows = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float32), SEGMENT)[::RATE]
    return np.ascontiguousarray(windows[: max(1, int(len(pcm) // RATE - 9.01) + 1)])


def log_mel(pcm: np.ndarray) -> np.ndarray:
    """`[T]` at 16 kHz to float32 `[F, 120]`: decibels under the loudest value, (x + 40) / 40.

    As librosa's `melspectrogram` and `power_to_db` with their defaults: periodic Hann, centred
    frames padded with zeros, Slaney's filters, 80 dB of range.
    """
    half = _N_FFT // 2
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(pcm, half), _N_FFT)[::_HOP]
    window = np.hanning(_N_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # [F, bins]
    decibels = 10 * np.log10(np.maximum(power @ mel_filters(_BANDS, _N_FFT).T, 1e-10))
    decibels -= decibels.max()
    return ((np.maximum(decibels, -_TOP_DB) + 40) / 40).astype(np.float32)
