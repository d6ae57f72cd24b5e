"""What a run of SpeechT5's recipe leaves for people to look at: figures, pictures, sounds.

Figures go to `metrics.jsonl`, the newest samples to `samples/`, and both to TensorBoard's files in
`tensorboard/` when they are wanted. Knows nothing of what the figures mean.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.audio import write_wav
from models.speecht5_mel import SAMPLE_RATE
from training.record import Record
from training.speecht5_picture import draw

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

# Names to figures of a sound, float32 [T] at 16 kHz: a predictor of listeners' ratings, say.
Rater = Callable[[np.ndarray], dict[str, float]]


class Log(Record):
    """Of one run in a directory."""

    def __init__(self, out: Path, *, tensorboard: bool = False) -> None:
        """`tensorboard`: write its files, too; raises ValueError where it is not installed."""
        super().__init__(out)
        self._samples, self._folder = out / "samples", out / "tensorboard"
        self._wanted, self._writer = tensorboard, None
        if tensorboard:
            _writer_class()

    def figures(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """A line of figures after `step` steps."""
        super().figures(step, seconds, values)
        if board := self._board(step):
            for name, value in values.items():
                board.add_scalar(name, value, step)
            board.flush()

    def sound(self, step: int, name: str, pcm: np.ndarray) -> None:
        """float32 [T] at 16 kHz; replaces the one of that name."""
        self._samples.mkdir(exist_ok=True)
        write_wav(self._samples / f"{name}.wav", pcm, SAMPLE_RATE)
        if board := self._board(step):
            board.add_audio(name, np.clip(pcm, -1.0, 1.0)[None], step, SAMPLE_RATE)

    def picture(self, step: int, name: str, matrix: np.ndarray) -> None:
        """[rows, columns] of 0..1, row 0 at the bottom; replaces the one of that name."""
        self._samples.mkdir(exist_ok=True)
        draw(matrix, self._samples / f"{name}.png")
        if board := self._board(step):
            grey = 1.0 - np.clip(matrix[::-1], 0.0, 1.0)
            board.add_image(name, grey.astype(np.float32), step, dataformats="HW")

    def _board(self, step: int) -> "SummaryWriter | None":
        if self._wanted and self._writer is None:
            # What a run wrote after its last checkpoint, before it was killed, comes again.
            self._writer = _writer_class()(str(self._folder), purge_step=step)
        return self._writer


def _writer_class() -> "type[SummaryWriter]":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "TensorBoard is not installed: install maata[train], or leave out --tensorboard"
        ) from error
    return SummaryWriter


def rated(rater: Rater | None, sounds: list[np.ndarray]) -> dict[str, float]:
    """Mean of each figure over the sounds; none without a rater."""
    found = [row for sound in sounds if (row := rater(sound))] if rater else []
    names = found[0] if found else ()
    return {name: round(sum(row[name] for row in found) / len(found), 4) for name in names}
