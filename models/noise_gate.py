"""Silence where a codec hums: what a model's idle noise must pass before it counts as speech.

A neural codec never falls silent by itself; its idle noise lies around -60 dBFS. Pipecat takes
anything above -64 dBFS for the bot speaking, and a page's meters would dance. The gate works on
whole frames, adds no delay, and fades so that opening and closing make no click. Knows nothing of
models or calls.
"""

import numpy as np

from models.audio import dbfs

OPEN_DBFS, CLOSE_DBFS = -48.0, -54.0  # frame RMS; the audible rule of models.audio begins at -45
HOLD_FRAMES = 3  # quiet frames that still pass: the tail of a word, the closure of a consonant
FADE = 240  # samples: 10 ms at 24 kHz


class NoiseGate:
    """One stream of int16 frames `[n]`, all of one length."""

    def __init__(self) -> None:
        self._open = False
        self._quiet = 0

    def frame(self, pcm: np.ndarray) -> np.ndarray:
        """The frame itself, faded at the borders of speech, or zeros."""
        level = dbfs(pcm)
        was_open = self._open
        if level > OPEN_DBFS:
            self._open, self._quiet = True, 0
        elif self._open:
            self._quiet = self._quiet + 1 if level < CLOSE_DBFS else 0
            self._open = self._quiet <= HOLD_FRAMES
        if self._open and was_open:
            return pcm
        if not self._open and not was_open:
            return np.zeros_like(pcm)
        fade = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
        shaped = pcm.astype(np.float32)
        if self._open:
            shaped[:FADE] *= fade
        else:  # the frame that closes it is quiet: it fades out and is gone
            shaped[:FADE] *= fade[::-1]
            shaped[FADE:] = 0.0
        return np.rint(shaped).astype(np.int16)
