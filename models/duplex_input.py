"""What one caller says, cut into codec frames: never blocks, never grows, accounts for every frame.

Packets arrive in any size and at any time; the engine takes exactly one frame a tick. Knows
nothing of models, slots or clocks.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from models.audio import dbfs, to_float32

QUIET_DBFS = -50.0  # 5 dB below the audible rule of models.audio: nothing a listener would miss


@dataclass(frozen=True)
class Backlog:
    """How much of a caller's audio may wait, in frames.

    After a stall the late packets arrive in a burst, and every waiting frame is 80 ms of delay in
    each answer from then on. So above `quiet_above` waiting frames a quiet one is dropped (the
    delay is given back in the caller's next pause), and above `limit` the oldest is, quiet or not.
    """

    quiet_above: int = 2
    limit: int = 12  # about a second: what a listener would have asked to repeat


class FrameBuffer:
    """Samples in, frames out: `received == (popped - silence + dropped) * frame_size + waiting`."""

    def __init__(self, frame_size: int, backlog: Backlog) -> None:
        self._frame_size = frame_size
        self._backlog = backlog
        self._pieces: deque[np.ndarray] = deque()
        self.waiting = 0  # samples
        self.received = 0  # samples
        self.silence = 0  # frames fed because nothing whole had come
        self.dropped = 0  # frames that came too late to be of use
        self.finished = False

    def push(self, pcm: np.ndarray) -> None:
        """Takes mono PCM `[n]`, int16 or float32 in -1..1, any n.

        Raises:
            ValueError: another shape, samples that are not finite, or audio after `finish`.
        """
        if self.finished:
            raise ValueError("audio after the end of the caller's audio")
        if pcm.ndim != 1:
            raise ValueError(f"PCM must be mono [n], not {list(pcm.shape)}")
        samples = to_float32(pcm)
        # A NaN would live on in the codec's convolutions until the call ends.
        if not np.isfinite(samples).all():
            raise ValueError("PCM holds samples that are not numbers (NaN or infinite)")
        if len(samples) == 0:
            return
        # A copy: int16 made a new array, float32 is the caller's own and may be reused by it.
        self._pieces.append(samples.copy() if samples is pcm else samples)
        self.waiting += len(samples)
        self.received += len(samples)
        while self.waiting // self._frame_size > self._backlog.limit:
            self._cut()
            self.dropped += 1

    def finish(self) -> None:
        """No more audio follows; a last piece of a frame is completed with silence."""
        self.finished = True
        missing = -self.waiting % self._frame_size
        if missing:
            self._pieces.append(np.zeros(missing, dtype=np.float32))
            self.waiting += missing
            self.received += missing

    @property
    def empty(self) -> bool:
        """True when not even one whole frame waits."""
        return self.waiting < self._frame_size

    def pop(self) -> np.ndarray:
        """The next frame, float32 `[frame_size]`; silence when none is whole."""
        if self.empty:
            self.silence += 1
            return np.zeros(self._frame_size, dtype=np.float32)
        frame = self._cut()
        while self.waiting // self._frame_size >= self._backlog.quiet_above and _quiet(frame):
            self.dropped += 1
            frame = self._cut()
        return frame

    def _cut(self) -> np.ndarray:
        frame = np.empty(self._frame_size, dtype=np.float32)
        filled = 0
        while filled < self._frame_size:
            piece = self._pieces.popleft()
            taken = min(len(piece), self._frame_size - filled)
            frame[filled : filled + taken] = piece[:taken]
            filled += taken
            if taken < len(piece):
                self._pieces.appendleft(piece[taken:])
        self.waiting -= self._frame_size
        return frame


def _quiet(frame: np.ndarray) -> bool:
    return dbfs(frame) < QUIET_DBFS
