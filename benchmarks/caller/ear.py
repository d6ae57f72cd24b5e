"""A caller's running impression of the bot: is it speaking, and since when.

Judges whole packets as they arrive, which is enough to decide when to speak next; the published
figures are measured on the recording instead. Positions are samples on the recording's clock.
"""

import numpy as np

from models.audio import AUDIBLE_DBFS, dbfs


class Ear:
    """The running impression of the bot, packet by packet; coarser than the measurement."""

    def __init__(self) -> None:
        self._loud: list[tuple[int, int]] = []  # samples on the recording

    @property
    def until(self) -> int:
        """The sample after the last loud one; 0 if nothing was loud yet."""
        return self._loud[-1][1] if self._loud else 0

    def hear(self, at: int, pcm: np.ndarray) -> None:
        """Takes a packet that will be heard at sample `at`."""
        if dbfs(pcm) > AUDIBLE_DBFS:
            self._loud.append((at, at + len(pcm)))

    def cut(self, now: int) -> None:
        """Forgets what will not be heard because the bot was interrupted."""
        self._loud = [(start, min(end, now)) for start, end in self._loud if start < now]

    def first_after(self, sample: int) -> int | None:
        """The first loud sample at or after `sample`."""
        return next((max(start, sample) for start, end in self._loud if end > sample), None)
