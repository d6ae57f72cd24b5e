"""What is heard of a reading: the judge's transcript, ratings, the speaker, clipping, seams.

A reading in, its row out. Knows nothing of schedules or files of rows.
"""

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judge.judge import Judge
from benchmarks.sound.dnsmos import RATE, Dnsmos
from benchmarks.sound.measures import measure
from benchmarks.sound.voice import Voices
from benchmarks.voice.readers import Reading, Task
from benchmarks.voice.rows import ReadRow
from benchmarks.voice.seams import ranks
from models.audio import AudioError, read_wav, resample
from models.telugu.spoken import speakable
from models.telugu.standard import te_std
from models.telugu.wer import char_errors

MARGIN = RATE // 10  # samples of silence: recognisers lose words that begin with the sound


@dataclass(frozen=True)
class Ears:
    """Instruments; those that are None measure nothing."""

    judge: Judge | None = None
    predictor: Dnsmos | None = None
    voices: Voices | None = None

    def hear(
        self, system: str, task: Task, reading: Reading, at_once: int, directory: Path
    ) -> ReadRow:
        """The whole row. Raises JudgeError when the judge gives no answer."""
        try:
            pcm = read_wav(reading.wav, reading.rate)
        except AudioError:  # nothing was said
            pcm = np.zeros(0, np.float32)
        sound = measure(pcm, reading.rate)
        return ReadRow(
            system=system,
            voice=task.voice,
            emotion=task.emotion,
            text_id=task.id.partition(".")[0],
            text=task.text,
            at_once=at_once,
            wav=reading.wav.relative_to(directory).as_posix(),
            rate=reading.rate,
            samples=len(pcm),
            pieces=reading.pieces,
            first_ms=reading.came_ms[0] if reading.came_ms else None,
            whole_ms=reading.came_ms[-1] if reading.came_ms else None,
            starved_ms=reading.starved_ms,
            retries=reading.retries,
            fault=reading.fault,
            clipped=sound.clipped,
            peak_dbfs=sound.peak_dbfs,
            gap_ms=sound.longest_gap_ms,
            **(self._listened(task, reading, pcm) if at_once == 1 else {}),
        )

    def _listened(self, task: Task, reading: Reading, pcm: np.ndarray) -> dict[str, Any]:
        """What is asked of readings that were made alone: of others only the time differs."""
        found: dict[str, Any] = {}
        wide = resample(pcm, reading.rate, RATE)
        if self.judge is not None:
            heard = self.judge.hear(np.pad(wide, MARGIN)) if len(wide) else ""
            errors = char_errors(te_std(speakable(task.text)), te_std(heard))
            found |= {"heard": heard, "edits": errors.edits, "length": errors.length}
        if self.predictor is not None and (rated := self.predictor.predict(wide)):
            found |= {"dnsmos_ovrl": round(rated.ovrl, 3), "dnsmos_sig": round(rated.sig, 3)}
            found["dnsmos_p808"] = round(rated.p808, 3)
        if self.voices is not None and (point := self.voices.of(pcm, reading.rate)) is not None:
            found["embedding"] = tuple(round(float(x), 4) for x in point)
        joins = list(accumulate(reading.pieces))[:-1]
        found["seams"] = tuple(ranks(wide, [round(j * RATE / reading.rate) for j in joins]))
        return found
