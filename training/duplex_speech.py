"""What one speaker says in one breath, with the time of every word as it is written.

The agent is one of the project's four voices in one of nine emotions, the caller any other espeak
variant. The agent's text is spoken as `speakable` says it, and the times that espeak reports are
carried over to the words as written. Knows nothing of turns (`duplex_script.py`) or of rooms,
levels and noise (`duplex_sound.py`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from models.audio import resample
from models.espeak import Settings, synthesize_with_words, variants, voice_settings
from models.espeak_library import open_library
from models.telugu.spoken import speakable
from models.voices import VOICES
from training.dialogues import Split
from training.duplex_timeline import RATE, Word
from training.utterances import ESPEAK_RATE, HELD_OUT_VARIANTS, draw_voice, training_variants

_RING = 120  # samples kept behind the last word: 5 ms, in which the resampler rings out
# Samples of a word, a frame, with which it has begun: its text is written as it begins, whether it
# will be said to its end or not.
BEGUN = 1_920
_FADE = 360  # samples: 15 ms, the fastest a voice falls silent without a click


@dataclass(frozen=True, eq=False)
class Utterance:
    """Speech without silence around it; the words' times count from its first sample."""

    pcm: np.ndarray  # float32 [T] at 24 kHz, espeak's own level
    words: tuple[Word, ...]
    end: int  # one past the last sample of speech; 0 when nothing is said

    def until(self, stop: int) -> "Utterance":
        """The same voice falling silent at sample `stop`; a word that has begun is written."""
        pcm = self.pcm[:stop].copy()
        fade = min(_FADE, stop)
        pcm[stop - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        said = [word for word in self.words if word.start + BEGUN <= stop]
        return Utterance(pcm, tuple(Word(w.text, w.start, min(w.end, stop)) for w in said), stop)


@dataclass(frozen=True)
class Speakers:
    """The two voices of a dialogue."""

    voice: str  # an id of `models.voices`
    emotion: str
    caller: Settings

    def agent(self, text: str) -> Utterance:
        """The agent says the written `text`. Raises EspeakMissing, EspeakFailed."""
        pcm, spoken = synthesize_with_words(speakable(text), self._agent()[0])
        return _utterance(pcm, written_times(text.split(), spoken))

    def user(self, text: str) -> Utterance:
        """The caller says `text`, which has no figures to be read out."""
        return _utterance(*synthesize_with_words(text, self.caller))

    @property
    def emphasis_db(self) -> float:
        """How much louder than its neutral self the agent speaks."""
        return self._agent()[1]

    def _agent(self) -> tuple[Settings, float]:
        return voice_settings(self.voice, self.emotion)


@lru_cache(maxsize=2)
def callers(split: Split) -> tuple[str, ...]:
    """The espeak variants that call: none is a voice of the agent, none is in both splits."""
    if split == "held_out":
        return HELD_OUT_VARIANTS
    agents = {voice_settings(voice.id)[0].variant for voice in VOICES}
    return tuple(name for name in training_variants(variants()) if name not in agents)


def draw_speakers(
    rng: random.Random, split: Split, voices: Sequence[str], emotions: Sequence[str]
) -> Speakers:
    """The agent's voice and emotion, and a caller of `split` at a natural speed."""
    caller = draw_voice(rng, callers(split))
    return Speakers(rng.choice(voices), rng.choice(emotions), caller)


def start_afresh() -> None:
    """Makes what is said next a function of the texts alone; espeak keeps phases otherwise."""
    open_library().renew()


def written_times(
    written: Sequence[str], spoken: Sequence[tuple[str, int, int]]
) -> list[tuple[str, int, int]]:
    """The times of spoken words, for the words they were written as.

    Where a figure is written (`1930`) several words are said; the written words of such a stretch
    share its time by the length of what each is read as. A sign that is not pronounced joins the
    word before it.
    """
    matcher = SequenceMatcher(
        a=[_letters(word) for word in written],
        b=[_letters(word) for word, _, _ in spoken],
        autojunk=False,
    )
    timed: list[tuple[str, int, int]] = []
    unsaid: list[str] = []  # written before anything was said
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            for word, (_, start, end) in zip(written[i:i_end], spoken[j:j_end], strict=True):
                timed.append((word, start, end))
        elif i == i_end:  # said without being written
            if timed:
                timed[-1] = (timed[-1][0], timed[-1][1], spoken[j_end - 1][2])
        elif j == j_end and timed:  # written without being said
            timed[-1] = (" ".join([timed[-1][0], *written[i:i_end]]), *timed[-1][1:])
        elif j == j_end:
            unsaid += written[i:i_end]
        else:
            timed += _shared(written[i:i_end], spoken[j][1], spoken[j_end - 1][2])
    if unsaid and timed:
        timed[0] = (" ".join([*unsaid, timed[0][0]]), *timed[0][1:])
    return timed


def _shared(words: Sequence[str], start: int, end: int) -> list[tuple[str, int, int]]:
    lengths = np.array([max(len(_letters(speakable(word))), 1) for word in words])
    ends = start + (end - start) * np.cumsum(lengths) // lengths.sum()
    starts = [start, *ends[:-1]]
    return [(w, int(a), int(b)) for w, a, b in zip(words, starts, ends, strict=True)]


def _letters(word: str) -> str:
    return "".join(char for char in word if char.isalnum() or "\u0c00" <= char <= "\u0c7f")


def _utterance(pcm: np.ndarray, words: Sequence[tuple[str, int, int]]) -> Utterance:
    """From espeak's rate to 24 kHz, without what sounds before and behind the words."""
    if not words:
        return Utterance(np.zeros(0, np.float32), (), 0)
    first = round(words[0][1] * RATE / ESPEAK_RATE)
    timed = tuple(
        Word(text, *(round(time * RATE / ESPEAK_RATE) - first for time in (start, end)))
        for text, start, end in words
    )
    sound = resample(pcm.astype(np.float32) / 32768.0, ESPEAK_RATE, RATE)
    end = timed[-1].end
    return Utterance(sound[first : first + end + _RING], timed, end)
