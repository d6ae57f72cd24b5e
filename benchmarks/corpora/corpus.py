"""Recorded speech that users have, as conversations of one turn grouped by speaker.

Five layouts are known (`layouts.py`): a folder of sound and text, Common Voice, FLEURS,
IndicVoices and Kathbath. Every row is either a clip that can be spoken into a call or a refusal
with its reason; nothing is dropped in silence and no row stops the others. Knows nothing of
engines.
"""

import hashlib
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.caller.wire import IN_RATE
from benchmarks.corpora.layouts import LAYOUTS, suggested
from benchmarks.corpora.tables import DatasetError, Row
from benchmarks.ruler.recording import Utterance
from benchmarks.sets.turnset import CallerTurn, Conversation, TurnSet
from benchmarks.sound.stereo import shape
from models.audio import AudioError, read_wav, to_int16

__all__ = ["Address", "Clip", "DatasetError", "Recordings", "Refusal", "open_dataset"]

SHORTEST_S, LONGEST_S = 0.2, 60.0


@dataclass(frozen=True)
class Address:
    """Where a corpus lies, as a command line names it."""

    layout: str  # a name of `LAYOUTS`
    path: Path
    split: str = "test"

    @classmethod
    def of(cls, text: str, split: str) -> "Address":
        """`LAYOUT:FOLDER`. Raises DatasetError."""
        layout, colon, folder = text.partition(":")
        if not colon or not folder or layout not in LAYOUTS:
            raise DatasetError(
                f"--corpus {text}: write LAYOUT:FOLDER, for example fleurs:data/te_in; layouts are "
                f"{', '.join(LAYOUTS)}"
            )
        return cls(layout, Path(folder), split)


@dataclass(frozen=True)
class Clip:
    """One recorded sentence that can be used."""

    id: str
    text: str  # the reference, as its corpus writes it
    speaker: str
    row: Row
    sha256: str  # of the samples


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be used, and why in one sentence."""

    id: str
    reason: str


@dataclass(frozen=True)
class Recordings:
    """What was found: usable clips in the order of the corpus, and the refused rows."""

    name: str
    clips: tuple[Clip, ...]
    refused: tuple[Refusal, ...]

    def turns(self) -> TurnSet:
        """The clips as calls of one turn; `group` is the speaker, the cluster of an interval.

        The hash is of the texts and samples, so a copy elsewhere is the same set.
        """
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(f"{clip.id}\t{clip.speaker}\t{clip.text}\t{clip.sha256}\n".encode())
        conversations = tuple(
            Conversation(
                c.id, "recorded", "", (CallerTurn(c.text),), f"{self.name}/{c.id}", c.speaker
            )
            for c in self.clips
        )
        return TurnSet(self.name, digest.hexdigest(), conversations)

    def utterances(self, conversation: Conversation) -> list[Utterance]:
        """The sound of one of `turns().conversations`: int16 `[T]` at 16 kHz.

        Raises:
            DatasetError: the clip is not one of these, or its file has changed or gone since.
        """
        clip = next((c for c in self.clips if c.id == conversation.id), None)
        if clip is None:
            raise DatasetError(f"{conversation.id} is no clip of {self.name}")
        try:
            pcm = _samples(clip.row)
        except _Unusable as e:
            raise DatasetError(f"{clip.id}: {e}; it could be read before: put it back") from e
        return [Utterance(clip.id, pcm)]


def open_dataset(
    layout: str, path: Path, split: str = "test", limit: int | None = None
) -> Recordings:
    """Reads a corpus and looks at every clip, or at the first `limit` rows.

    Args:
        layout: a name of `LAYOUTS`.
        path: its folder, unpacked.
        split: of corpora that have them; a folder has none.
        limit: rows, to try things out.

    Raises:
        DatasetError: no such layout or folder, or nothing of that layout in it.
    """
    if layout not in LAYOUTS:
        raise DatasetError(f"there is no layout {layout!r}; known are {', '.join(LAYOUTS)}")
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder; unpack the corpus and name its folder")
    rows = list(islice(LAYOUTS[layout](path, split), limit))
    if not rows:
        raise DatasetError(f"{path}: no row of {layout} there{suggested(path)}")
    clips: list[Clip] = []
    refused: list[Refusal] = []
    seen: set[str] = set()
    for row in rows:
        try:
            if row.id in seen:
                raise _Unusable("its id is there twice")
            seen.add(row.id)
            if row.problem:
                raise _Unusable(row.problem)
            if not row.text.strip():
                raise _Unusable("it has no reference text")
            digest = hashlib.sha256(_samples(row).tobytes()).hexdigest()
            clips.append(Clip(row.id, row.text.strip(), row.speaker, row, digest))
        except _Unusable as e:
            refused.append(Refusal(row.id, str(e)))
    return Recordings(f"{layout}:{path.name}:{split}", tuple(clips), tuple(refused))


class _Unusable(Exception):
    """Why a clip cannot be spoken into a call."""


def _samples(row: Row) -> np.ndarray:
    """int16 `[T]` at 16 kHz, one segment of a longer recording where the row says so."""
    try:
        data = row.audio if isinstance(row.audio, bytes) else row.audio.read_bytes()
    except OSError as e:
        name = row.audio.name if isinstance(row.audio, Path) else row.id
        raise _Unusable(f"its sound {name} cannot be read ({e.strerror or e})") from e
    if not data:
        raise _Unusable("its sound is an empty file")
    channels, rate = shape(data) or (1, IN_RATE)  # what cannot be read is said below
    if channels != 1:
        raise _Unusable(f"it has {channels} channels; give one track of the caller alone")
    if rate < IN_RATE:
        raise _Unusable(
            f"it is sampled at {rate} Hz: telephone band, not what the engines are measured with; "
            f"give {IN_RATE} Hz or more"
        )
    try:
        pcm = to_int16(read_wav(io.BytesIO(data), IN_RATE))
    except AudioError as e:
        raise _Unusable(f"its sound cannot be used: {e}".replace("the audio: ", "")) from e
    if row.span is not None:
        start, end = (max(0, round(at * IN_RATE)) for at in row.span)
        pcm = pcm[start:end]
    if not SHORTEST_S <= len(pcm) / IN_RATE <= LONGEST_S:
        seconds = f"{len(pcm) / IN_RATE:.2f} s"
        raise _Unusable(f"it lasts {seconds}, not {SHORTEST_S:g} to {LONGEST_S:g} s")
    if not pcm.any():
        raise _Unusable("it is digital silence")
    return pcm
