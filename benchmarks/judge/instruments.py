"""What one recording's answers are heard with: judge, signal measures, predictor, speaker encoder.

Rows and a call's file in, the same rows with `heard_text` and `quality` out. Knows nothing of runs,
threads or progress.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.judge.asking import Asking, Note
from benchmarks.judge.judge import Judge
from benchmarks.sound.dnsmos import RATE, Dnsmos
from benchmarks.sound.measures import measure
from benchmarks.sound.stereo import read_bot
from benchmarks.sound.voice import Voices, likeness
from benchmarks.suite.rows import Quality, TurnRow
from models.audio import AudioError, resample

JUDGE_MARGIN_MS = 100  # around the answer: recognisers lose words that begin with the sound

Turn = tuple[str, int, int]  # conversation, repeat, turn: the same for every engine
Placed = tuple[int, TurnRow]  # a row and its place among the run's


def turn_of(row: TurnRow) -> Turn:
    """What two engines have in common of a row."""
    return row.conversation, row.repeat, row.turn


@dataclass(frozen=True)
class Instruments:
    """One set for all recordings of a run; safe in several threads."""

    judge: Judge | None
    asking: Asking
    quality: bool
    predictor: Dnsmos | None
    predicted: frozenset[Turn]  # those the predictor is asked about
    voices: Voices | None
    notes: list[Note]  # appending is safe in several threads

    def listen(self, path: Path, rows: Sequence[Placed], first: TurnRow) -> list[Placed]:
        """One recording's answers; `first` is the one whose voice the others are held against."""
        try:
            track, rate = read_bot(path)
        except AudioError as e:
            self.notes.extend((n, f"an answer was not heard: {e}") for n, _ in rows)
            return list(rows)
        voice = None
        if self.quality and self.voices and any(row.turn != first.turn for _, row in rows):
            voice = self.voices.of(cut(track, rate, first), rate)
        found = []
        for n, row in rows:
            if len(cut(track, rate, row)):
                row = self._heard(n, row, track, rate)
                row = self._compared(row, first, voice, track, rate)
            else:
                self.notes.append((n, f"an answer was not heard: {path.name} ends before it"))
            found.append((n, row))
        return found

    def _heard(self, n: int, row: TurnRow, track: np.ndarray, rate: int) -> TurnRow:
        judge = self.judge
        if judge is not None and row.heard_text is None:
            wide = resample(cut(track, rate, row, JUDGE_MARGIN_MS), rate, RATE)
            row = replace(row, heard_text=self.asking.ask(n, lambda: judge.hear(wide)))
        if self.quality and row.quality == Quality():
            predictor = self.predictor if turn_of(row) in self.predicted else None
            row = replace(row, quality=rated(cut(track, rate, row), rate, predictor))
        return row

    def _compared(
        self, row: TurnRow, first: TurnRow, voice: np.ndarray | None, track: np.ndarray, rate: int
    ) -> TurnRow:
        known = row.turn == first.turn or row.quality.voice_likeness is not None
        if not self.voices or voice is None or known:
            return row
        alike = likeness(voice, self.voices.of(cut(track, rate, row), rate))
        alike = alike and round(alike, 4)
        return replace(row, quality=replace(row.quality, voice_likeness=alike))


def rated(pcm: np.ndarray, rate: int, predictor: Dnsmos | None) -> Quality:
    """The sound of one answer, float32 `[T]` at its recorded rate; rounded for a row."""
    sound = measure(pcm, rate)
    predicted = predictor.predict(resample(pcm, rate, RATE)) if predictor else None
    return Quality(
        dnsmos_sig=predicted and round(predicted.sig, 4),
        dnsmos_bak=predicted and round(predicted.bak, 4),
        dnsmos_ovrl=predicted and round(predicted.ovrl, 4),
        dnsmos_p808=predicted and round(predicted.p808, 4),
        clipped=None if sound.clipped is None else round(sound.clipped, 6),
        peak_dbfs=None if sound.peak_dbfs is None else round(sound.peak_dbfs, 2),
        longest_gap_ms=None if sound.longest_gap_ms is None else round(sound.longest_gap_ms, 1),
    )


def cut(track: np.ndarray, rate: int, row: TurnRow, margin_ms: float = 0) -> np.ndarray:
    """The answer's samples; an answer without an end is heard until the turn's."""
    end = row.bot_end_ms if row.bot_end_ms is not None else row.audio_to_ms
    first = round(((row.bot_start_ms or 0.0) - margin_ms) * rate / 1000)
    last = len(track) if end is None else round((end + margin_ms) * rate / 1000)
    return track[max(0, first) : max(0, last)]
