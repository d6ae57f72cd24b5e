"""One stereo recording and its transcript, as moshi-finetune keeps them.

A WAV with the agent on the left and the user on the right, and beside it a JSON of
`{"alignments": [[word, [start, end], "SPEAKER_MAIN"], ...]}` in seconds
(github.com/kyutai-labs/moshi-finetune, README.md and annotate.py). Those are the agent's words;
what else this project knows of a dialogue stands under "maata", which other readers pass over.
Knows nothing of manifests (`duplex_dataset.py`).
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from scipy.io import wavfile

from models.audio import resample, to_int16, write_stereo
from training.duplex_timeline import FRAME, RATE, Event, Exchange, SpokenDialogue, Word

MAIN = "SPEAKER_MAIN"
_SLACK = 1.0  # seconds that an aligner may place a word behind the end

_Seconds = Annotated[float, msgspec.Meta(ge=0.0)]
_Alignment = tuple[str, tuple[_Seconds, _Seconds], str]


class DatasetError(ValueError):
    """A dataset that cannot be read or continued; the sentence names the file and the remedy."""


class _Ours(msgspec.Struct):
    voice: str = ""
    emotion: str = ""
    caller: str = ""
    user: list[_Alignment] = []
    exchanges: tuple[Exchange, ...] = ()  # times in samples at 24 kHz
    events: tuple[Event, ...] = ()


class _Transcript(msgspec.Struct):
    alignments: list[_Alignment]
    maata: _Ours = msgspec.field(default_factory=_Ours)


def write_recording(wav: Path, dialogue: SpokenDialogue) -> None:
    """The WAV and the JSON beside it; the JSON comes last and stands for both being whole."""
    ours = _Ours(
        voice=dialogue.voice,
        emotion=dialogue.emotion,
        caller=dialogue.caller,
        user=_alignments(dialogue.user_words, "SPEAKER_USER"),
        exchanges=dialogue.exchanges,
        events=dialogue.events,
    )
    transcript = msgspec.json.encode(_Transcript(_alignments(dialogue.agent_words, MAIN), ours))
    write_whole(wav, lambda part: write_stereo(part, dialogue.agent, dialogue.user, RATE))
    write_whole(wav.with_suffix(".json"), lambda part: part.write_bytes(transcript))


def read_recording(wav: Path, start: int, end: int) -> SpokenDialogue:
    """What lies in samples `[start, end)` at 24 kHz, filled up to whole frames with silence.

    Any sample rate and sample format of a WAV; "" for a voice that nobody named; words of other
    speakers than the main one are the user's. Raises DatasetError.
    """
    agent, user, samples = _channels(wav, start, end)
    transcript = _transcript(wav.with_suffix(".json"))
    ours, said = transcript.maata, transcript.alignments
    nothing = np.zeros(0, np.int16)
    whole = SpokenDialogue(
        agent=nothing,
        user=nothing,
        agent_words=_words([one for one in said if one[2] == MAIN], samples, wav),
        user_words=_words(ours.user or [one for one in said if one[2] != MAIN], samples, wav),
        voice=ours.voice,
        emotion=ours.emotion,
        exchanges=ours.exchanges,
        events=ours.events,
        caller=ours.caller,
    )
    return replace(whole.piece(start, start + len(agent)), agent=agent, user=user)


def length(wav: Path) -> int:
    """Samples of a recording, at its own rate. Raises DatasetError."""
    return len(_read(wav)[1])


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """A file appears under its name only when all of it is written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    write(part)
    part.replace(path)


def _alignments(words: tuple[Word, ...], speaker: str) -> list[_Alignment]:
    return [(word.text, (word.start / RATE, word.end / RATE), speaker) for word in words]


def _words(alignments: list[_Alignment], samples: int, wav: Path) -> tuple[Word, ...]:
    """From seconds to samples at 24 kHz, by time; cut where the recording ends."""
    words: list[Word] = []
    for text, (start, end), _ in alignments:
        if end < start or start > samples / RATE + _SLACK:
            raise DatasetError(
                f"{wav.with_suffix('.json')}: {text!r} is said from {start} to {end} in a "
                f"recording of {samples / RATE:.1f} s; times must be seconds from its start"
            )
        if (first := round(start * RATE)) < samples:
            words.append(Word(text, first, min(round(end * RATE), samples)))
    return tuple(sorted(words, key=lambda word: word.start))


def _transcript(path: Path) -> _Transcript:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Transcript)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path}: the recording has no transcript; moshi-finetune's annotate.py makes one"
        ) from error
    except msgspec.MsgspecError as error:
        raise DatasetError(f"{path}: {error}; it needs a list 'alignments' of words") from error


def _channels(wav: Path, start: int, end: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Agent and user in `[start, end)`, int16 `[T]`, whole frames; samples of the recording."""
    rate, frames = _read(wav)
    samples = round(len(frames) * RATE / rate)
    if start >= samples:
        raise DatasetError(
            f"{wav}: {samples / RATE:.1f} s long, shorter than its manifest says; "
            "write the manifest anew"
        )
    stored = _scaled(frames[start * rate // RATE : -(-end * rate // RATE)])
    heard = min(end, samples) - start
    both = np.zeros((2, -(-heard // FRAME) * FRAME), np.int16)
    for channel, samples_of_it in zip(both, stored.T, strict=True):
        pcm = to_int16(resample(np.ascontiguousarray(samples_of_it), rate, RATE))[:heard]
        channel[: len(pcm)] = pcm
    return both[0], both[1], samples


def _read(wav: Path) -> tuple[int, np.ndarray]:
    """Sample rate and samples `[T, 2]` as stored."""
    try:
        return _loaded(wav, wav.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise DatasetError(f"{wav}: the manifest lists it, but there is no such file") from error


@lru_cache(maxsize=1)  # the pieces of a long recording come one after the other
def _loaded(wav: Path, _modified: int) -> tuple[int, np.ndarray]:
    # Read, not mapped into memory: a mapped file that is cut short kills the process.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are no samples
            rate, frames = wavfile.read(wav)
    except ValueError as error:
        raise DatasetError(f"{wav}: not a readable WAV ({error})") from error
    if frames.shape[1:] != (2,):
        raise DatasetError(f"{wav}: must be stereo, agent on the left and user on the right")
    return rate, frames


def _scaled(frames: np.ndarray) -> np.ndarray:
    """int16 and floats as they are, other integers as float32 in -1..1."""
    if frames.dtype == np.int16 or np.issubdtype(frames.dtype, np.floating):
        return frames
    if frames.dtype == np.uint8:
        return (frames.astype(np.float32) - 128.0) / 128.0
    return (frames / -float(np.iinfo(frames.dtype).min)).astype(np.float32)
