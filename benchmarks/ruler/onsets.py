"""Where speech begins and ends on a recorded track: the one rule, the same for every engine.

Two instruments, each for what it can do. The energy rule of `models.audio` knows *when* to the
sample, and not what it hears; Silero VAD knows *what* it hears, and when only to its 32 ms window.
So energy places and the VAD confirms:

1. Sound: the audible stretches of the track (-45 dBFS, 1 ms hop, joined over 50 ms).
2. Voice: runs of at least 64 ms of windows whose speech probability is 0.5 or more; runs less than
   300 ms apart are one (a stop's closure, a soft syllable).
3. Speech begins where its sound begins, if the voice follows within 250 ms (a hissed consonant
   before its vowel); otherwise the sound before it is something else, and speech begins with the
   first window of the voice. It ends in the same way. Sound that no voice overlaps is **not
   speech** and never an answer: a click, a breath, a tone, noise, however loud or long.
4. Sound without voice may trail speech (the release of a last stop, less than 200 ms after it), and
   then belongs to it; before speech it never does: a click ahead of an answer is not its onset.

Where the two disagree, the VAD decides whether and energy decides when. The VAD starts afresh for
every group of sounds, aligned to its first sample, so a verdict depends on the sound alone, not on
where in the call it lies, what came before it, or how it was cut into packets.

The VAD is one file, pinned by its hash: with another one the figures would not be comparable, so
another one is refused. Knows nothing of calls, turns or engines.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import onnxruntime

from models.audio import Stretch, audible, resample, to_float32

VAD_FILE = "pipecat/audio/vad/data/silero_vad.onnx"  # of the installed pipecat-ai wheel; MIT
VAD_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
VAD_RATE = 16_000  # Hz
WINDOW = 512  # samples: 32 ms, with the 64 before them as context
CONTEXT = 64
VOICE = 0.5  # speech probability, the value Silero's authors give
VOICE_WINDOWS = 2  # 64 ms: shorter is no syllable
VOICE_GAP_MS = 300
CONFIRM_MS = 250  # longest unvoiced beginning or end of speech
TRAIL_MS = 200
GROUP_MS = 500  # sounds closer than this are heard in one go
LEAD_MS = 320  # of the track before a group: the VAD hears how it begins
RULE = (
    f"silero {VAD_SHA256[:12]} >= {VOICE}, {VOICE_WINDOWS} windows of {WINDOW} at {VAD_RATE} Hz; "
    f"audible -45 dBFS, 1 ms hop; confirm {CONFIRM_MS} ms, trail {TRAIL_MS} ms"
)


class VadError(RuntimeError):
    """The pinned VAD is not here; the message says how to get it."""


@dataclass(frozen=True)
class Heard:
    """A track taken apart, in its samples: speech, and sound that is not speech."""

    speech: list[Stretch]
    other: list[Stretch]


def hear(pcm: np.ndarray, rate: int, *, merge_ms: int = 50) -> Heard:
    """Speech and other sound on a track, both in order; speech joined over `merge_ms`.

    Args:
        pcm: int16 or float32 `[T]` mono.
        rate: its sample rate, Hz.

    Raises:
        VadError: the pinned VAD is not installed.
    """
    sounds = audible(pcm, rate)
    speech: list[Stretch] = []
    other: list[Stretch] = []
    for group in _joined(sounds, rate * GROUP_MS // 1000):
        voices = _voices(pcm, rate, group)
        for sound in (s for s in sounds if group.start <= s.start < group.end):
            spoken = _confirmed(sound, voices, rate)
            after = speech and sound.start - speech[-1].end < rate * TRAIL_MS // 1000
            if not spoken and after and sound.end - sound.start < rate * CONFIRM_MS // 1000:
                spoken = [sound]
            speech += spoken
            other += [] if spoken else [sound]
    return Heard(_joined(speech, rate * merge_ms // 1000), other)


def speech(pcm: np.ndarray, rate: int, *, merge_ms: int = 50) -> list[Stretch]:
    """The speech of `hear`."""
    return hear(pcm, rate, merge_ms=merge_ms).speech


def _confirmed(sound: Stretch, voices: list[Stretch], rate: int) -> list[Stretch]:
    """The parts of an audible stretch that are speech, by rule 3; none if no voice overlaps it."""
    reach = rate * CONFIRM_MS // 1000
    parts: list[Stretch] = []
    for voice in voices:
        if voice.start >= sound.end or voice.end <= sound.start:
            continue
        start = sound.start if voice.start - sound.start <= reach else voice.start
        end = sound.end if sound.end - voice.end <= reach else voice.end
        parts.append(Stretch(start, end))
    return _joined(parts, 1)


def _voices(pcm: np.ndarray, rate: int, group: Stretch) -> list[Stretch]:
    """Runs of voiced windows in and around `group`, in samples of the track."""
    begin = group.start - rate * LEAD_MS // 1000
    piece = to_float32(pcm[max(0, begin) : group.end + rate * 64 // 1000])
    piece = np.pad(piece, (max(0, -begin), 0))  # before the call nothing was heard
    voiced = probabilities(resample(piece, rate, VAD_RATE)) >= VOICE  # [W]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], voiced.view(np.int8), [0]))))
    runs = [
        Stretch(begin + _at(first, rate), begin + _at(last, rate))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= VOICE_WINDOWS
    ]
    return _joined(runs, rate * VOICE_GAP_MS // 1000)


def _at(window: int, rate: int) -> int:
    return round(int(window) * WINDOW * rate / VAD_RATE)


def probabilities(pcm: np.ndarray) -> np.ndarray:
    """Speech probability of each window, float32 `[ceil(T / 512)]`; `pcm` float32 `[T]` at 16 kHz.

    The window's last samples are padded with silence; the recurrent state starts at zero.
    """
    session = _session()
    windows = -(-len(pcm) // WINDOW)
    x = np.pad(pcm, (CONTEXT, windows * WINDOW - len(pcm)))[None]  # [1, C + T']
    state, rate = np.zeros((2, 1, 128), np.float32), np.array(VAD_RATE, np.int64)
    found = np.zeros(windows, np.float32)
    for n in range(windows):
        heard = x[:, n * WINDOW : (n + 1) * WINDOW + CONTEXT]
        probability, state = session.run(None, {"input": heard, "state": state, "sr": rate})
        found[n] = np.asarray(probability)[0, 0]
    return found


def vad_path() -> Path:
    """The VAD's file in the installed wheel, found without importing anything of it.

    Raises:
        VadError: no such wheel, no such file, or another one than the pinned.
    """
    try:
        path = Path(str(distribution("pipecat-ai").locate_file(VAD_FILE)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (PackageNotFoundError, OSError) as e:
        raise VadError(f"no {VAD_FILE} is installed ({e}); run `make setup`") from e
    if digest != VAD_SHA256:
        raise VadError(
            f"{path} is another VAD (sha256 {digest[:12]}, wanted {VAD_SHA256[:12]}): figures "
            "measured with it could not be compared; install the pipecat-ai of requirements.lock"
        )
    return path


@cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()  # type: ignore[attr-defined]
    options.inter_op_num_threads = options.intra_op_num_threads = 1  # beside a server that works
    return onnxruntime.InferenceSession(
        vad_path().read_bytes(), sess_options=options, providers=["CPUExecutionProvider"]
    )


def _joined(stretches: list[Stretch], gap: int) -> list[Stretch]:
    """Stretches less than `gap` samples apart as one."""
    return list(_join(stretches, gap))


def _join(stretches: list[Stretch], gap: int) -> Iterator[Stretch]:
    current: Stretch | None = None
    for stretch in stretches:
        if current is not None and stretch.start - current.end < gap:
            current = Stretch(current.start, max(current.end, stretch.end))
            continue
        if current is not None:
            yield current
        current = stretch
    if current is not None:
        yield current
