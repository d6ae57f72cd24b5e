"""Speech from 16 to 24 kHz while it is being spoken: the caller's rate to the codec's.

A polyphase filter with a millisecond of look-ahead. (soxr's streams hold back 14 to 37 ms at these
rates, measured, which a full-duplex caller would wait in every answer.) Knows nothing of calls.
"""

from typing import Any

import numpy as np
from scipy.signal import firwin, upfirdn

IN_RATE, OUT_RATE = 16_000, 24_000  # Hz
UP, DOWN = 3, 2
_TAPS = 97  # at 48 kHz, 1 ms either side: -6 dB at 7.4 kHz, images of the band down by 50 dB
_HISTORY = 34  # input samples a filter of that length reaches back, even
_CUTOFF = 7_400.0  # Hz

_WINDOW: Any = ("kaiser", 5.0)  # typed as a name alone in scipy
_FILTER = firwin(_TAPS, _CUTOFF, fs=IN_RATE * UP, window=_WINDOW) * UP


class Upsampler:
    """One stream. Streaming equals offline: how the input is cut changes nothing."""

    delay = (_TAPS - 1) // 2 // DOWN  # output samples: 1 ms

    def __init__(self) -> None:
        self._history = np.zeros(_HISTORY, dtype=np.float32)
        self._held = np.zeros(0, dtype=np.float32)  # one sample of an odd piece

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """int16 `[n]` at 16 kHz, any n -> int16 at 24 kHz, 3 samples for every 2, rounded down."""
        piece = np.concatenate([self._held, pcm.astype(np.float32)])
        whole = len(piece) // DOWN * DOWN
        piece, self._held = piece[:whole], piece[whole:]
        if not whole:
            return np.zeros(0, dtype=np.int16)
        line = np.concatenate([self._history, piece])
        first = _HISTORY * UP // DOWN
        out = upfirdn(_FILTER, line, UP, DOWN)[first : first + whole * UP // DOWN]
        self._history = line[-_HISTORY:]
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)
