"""Who reads aloud: SpeechT5 in processes of its own, as it is served, and espeak-ng in this one.

Both take some texts at once and say of each when every piece of sound was there. Knows nothing of
what is made of the sound.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.server.talker import Ended, Silent, Talker
from models.audio import write_wav
from models.espeak import Espeak
from models.telugu.spoken import speakable

LOADING_S, TASK_S, ENDING_S = 300.0, 600.0, 20.0  # at most


class ReaderError(Exception):
    """Somebody who cannot read aloud; the sentence says why."""


@dataclass(frozen=True)
class Task:
    """A text for one voice."""

    id: str
    text: str
    voice: str
    emotion: str
    seed: int


@dataclass(frozen=True)
class Reading:
    """How it went."""

    wav: Path
    rate: int  # Hz
    pieces: tuple[int, ...]  # samples
    came_ms: tuple[float, ...]  # of each piece, from the asking
    retries: int = 0
    fault: str = ""

    @property
    def starved_ms(self) -> float:
        """The longest wait of a listener who plays each piece as soon as the one before is over."""
        longest, until = 0.0, self.came_ms[0] if self.came_ms else 0.0
        for samples, came in zip(self.pieces, self.came_ms, strict=True):
            longest, until = max(longest, came - until), max(until, came)
            until += 1000.0 * samples / self.rate
        return round(longest, 2)


class Reader(Protocol):
    """A system under test."""

    name: str

    def read(self, tasks: Sequence[Task], folder: Path) -> list[Reading]:
        """All tasks at once, in their order. Raises ReaderError."""
        ...

    def close(self) -> None:
        """Ends what it started."""
        ...


class EspeakReader:
    """The synthesizer that stands in."""

    name = "espeak"

    def __init__(self) -> None:
        """Raises EspeakMissing."""
        self._espeak = Espeak()

    def read(self, tasks: Sequence[Task], folder: Path) -> list[Reading]:
        """See Reader; a thread a task, as the server has one a call."""
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(tasks)) as pool:
            return list(pool.map(lambda task: self._read(task, folder), tasks))

    def close(self) -> None:
        """Nothing was started."""

    def _read(self, task: Task, folder: Path) -> Reading:
        asked = time.perf_counter()
        pieces: list[np.ndarray] = []
        came: list[float] = []
        for piece in self._espeak.stream(speakable(task.text), task.voice, task.emotion):
            came.append(round((time.perf_counter() - asked) * 1000.0, 2))
            pieces.append(piece)
        pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        wav, rate = folder / f"{task.id}.wav", self._espeak.sample_rate
        write_wav(wav, pcm, rate)
        return Reading(wav, rate, tuple(map(len, pieces)), tuple(came))


class HostedReader:
    """SpeechT5 behind `python -m models.speecht5_reading`."""

    name = "speecht5"

    def __init__(self, options: dict[str, Any], log: Path) -> None:
        """Starts it, waits until it is loaded; `log` takes what it prints. Raises ReaderError."""
        self._talker = Talker("models.speecht5_reading", [json.dumps(options)], log)
        try:
            self._rows(LOADING_S)
        except ReaderError:
            self.close()
            raise

    def read(self, tasks: Sequence[Task], folder: Path) -> list[Reading]:
        """See Reader."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = self._asked({"read": [vars(task) for task in tasks], "folder": str(folder)})
        return [
            Reading(
                Path(row["wav"]),
                int(row["rate"]),
                tuple(row["pieces"]),
                tuple(row["came_ms"]),
                int(row["retries"]),
                str(row["fault"]),
            )
            for row in rows
        ]

    def watch(self, clauses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Margins of clauses to the guards, see `models.speecht5_margins`. Raises ReaderError."""
        return self._asked({"watch": list(clauses)})

    def close(self) -> None:
        """Its host ends with it."""
        self._talker.stop(ENDING_S)

    def _asked(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            self._talker.tell(task)
        except Ended as e:
            raise ReaderError(f"SpeechT5's process ended: {e}") from e
        return self._rows(TASK_S)

    def _rows(self, patience: float) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        until = time.monotonic() + patience
        while True:
            try:
                told = self._talker.hear(until)
            except Silent:
                raise ReaderError(f"SpeechT5 said nothing for {patience:.0f} s") from None
            except Ended as e:
                raise ReaderError(f"SpeechT5's process ended: {e}") from e
            if "row" in told:
                rows.append(told["row"])
            elif "failed" in told:
                raise ReaderError(told["failed"])
            else:
                return rows
