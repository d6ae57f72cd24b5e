"""What a listening test holds besides the engines: anchors, and checks that somebody listens.

A low anchor is an answer spoilt beyond doubt; a high anchor is natural speech the user gives, or
the same words from the synthesizer, straight and unstreamed; a spoken check asks for one score.
Knows the synthesizer as an instrument; nothing of engines' names or pages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.listening.clips import Clip
from benchmarks.listening.sound import RATE, levelled, spoilt
from models.audio import AudioError, read_wav, resample, to_float32
from models.espeak import Espeak, EspeakFailed, EspeakMissing
from models.telugu.spoken import speakable

LOW, HIGH, CHECKS = 3, 3, 2
VOICE = "priya"
CHECK_VOICE = "ravi"
_NUMBERS = {1: "ఒకటి", 2: "రెండు", 3: "మూడు", 4: "నాలుగు", 5: "ఐదు"}
_REQUEST = "ఇది శ్రద్ధ పరీక్ష. దయచేసి ఈ క్లిప్‌కు {0} ఎంచుకోండి. మళ్ళీ చెబుతున్నాను, {0} ఎంచుకోండి."


@dataclass(frozen=True)
class Anchor:
    """A clip that is no engine's; `source` is the clip a low anchor was made of."""

    pcm: np.ndarray
    what: str  # for the key: how it was made
    source: Clip | None = None
    expected: int | None = None  # the score a spoken check asks for


def low_anchors(clips: Sequence[Clip], rng: np.random.Generator) -> list[Anchor]:
    """Spoilt versions of the first of `clips`, as loud as these."""
    return [
        Anchor(levelled(spoilt(clip.pcm, rng))[0], "telephone band, MNRU Q = 5 dB", clip)
        for clip in clips[:LOW]
    ]


def high_anchors(clips: Sequence[Clip], natural: Sequence[Path], notes: list[str]) -> list[Anchor]:
    """The user's recordings, or the words of `clips` from the synthesizer.

    Without both there is none, and `notes` says so; an unusable recording is named there too.
    """
    if natural:
        return list(_natural(natural, notes))
    made: list[Anchor] = []
    for clip in clips:
        if len(made) < HIGH and clip.row.bot_text.strip():
            pcm = _speak(speakable(clip.row.bot_text), VOICE, notes)
            if pcm is None:
                return []
            made.append(Anchor(pcm, f"synthesizer: {clip.row.bot_text}"))
    if made:
        notes.append(
            "high anchors are a formant synthesizer's: they check raters and are no upper bound; "
            "give natural recordings for one"
        )
    return made


def spoken_checks(rng: np.random.Generator, notes: list[str]) -> list[Anchor]:
    """Clips that ask, in Telugu, for a certain score; none, and a note, without the synthesizer."""
    made: list[Anchor] = []
    for wanted in rng.permutation(5)[:CHECKS] + 1:
        pcm = _speak(_REQUEST.format(_NUMBERS[int(wanted)]), CHECK_VOICE, notes)
        if pcm is None:
            return []
        made.append(Anchor(pcm, f"asks for {wanted}", expected=int(wanted)))
    return made


def _natural(paths: Sequence[Path], notes: list[str]) -> Iterator[Anchor]:
    for path in paths:
        try:
            yield Anchor(levelled(read_wav(path, RATE))[0], f"natural: {path.name}")
        except AudioError as e:
            notes.append(f"natural recording left out: {e}")


def _speak(text: str, voice: str, notes: list[str]) -> np.ndarray | None:
    try:
        espeak = Espeak()
        chunks = list(espeak.stream(text, voice))
        if not chunks:
            return None
        pcm = to_float32(np.concatenate(chunks))
        return levelled(resample(pcm, espeak.sample_rate, RATE))[0]
    except (EspeakMissing, EspeakFailed, AudioError) as e:
        notes.append(f"no anchors or checks from the synthesizer: {e}")
        return None
