"""The judge: a recogniser that hears what the bot said, and how well it hears at best.

One string names it: `starter/asr`, a directory of a Whisper checkpoint, or an OpenAI-compatible
transcription address `http(s)://host[:port][/v1][#model]`. Its own error rate on clean speech of
known text (the ceiling) stands beside every rate it gives: no bot can score better than the judge
hears. Knows nothing of rows or reports.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmarks.judge.address import JudgeError
from models.audio import resample, to_float32
from models.espeak import Espeak
from models.telugu.normalizers import HEADLINE
from models.telugu.spoken import speakable
from models.telugu.wer import cer, wer
from models.weights import WeightsMissing, is_starter, resolve
from models.whisper import Recognizer

if TYPE_CHECKING:
    from benchmarks.corpora.corpus import Recordings

RATE = 16_000  # Hz
STARTER = "starter/asr"
CEILING_TEXTS = 30
CEILING_VOICE = "priya"  # the default voice of the shipped profile

Spoken = tuple[str, np.ndarray]  # a text and how it sounds, float32 `[T]` at 16 kHz


class Judge(Protocol):
    """Whoever writes down what is said. `hear` may be called from several threads at once."""

    name: str

    def hear(self, pcm: np.ndarray) -> str:
        """What float32 `[T]` at 16 kHz says, "" for nothing; JudgeError if there is no answer."""
        ...


class WhisperJudge:
    """A Whisper checkpoint in this process."""

    def __init__(self, name: str, recognizer: Recognizer) -> None:
        self.name = name
        self._recognizer = recognizer

    def hear(self, pcm: np.ndarray) -> str:
        return self._recognizer.transcribe(pcm).text


def load(address: str = STARTER, *, device: str = "cpu", threads: int = 2) -> Judge:
    """The judge that `address` names; a remote one is not called yet.

    Raises:
        JudgeError: no such weights, no Whisper checkpoint, or no usable address.
    """
    if address.startswith(("http://", "https://")):
        from benchmarks.judge.openai import OpenAiJudge  # its HTTP client is loaded when needed

        return OpenAiJudge.of(address)
    compute_type = "int8" if device == "cpu" else "float16"
    try:
        path = resolve(address)
        recognizer = Recognizer.load(
            path, device=device, compute_type=compute_type, threads=threads
        )
    except WeightsMissing as e:
        raise JudgeError(f"judge: {e}") from e
    except (ValueError, RuntimeError, OSError) as e:
        raise JudgeError(
            f"judge {address!r} is no Whisper checkpoint ({e}): give {STARTER}, a directory in "
            "CTranslate2's or transformers' layout, or http(s)://host/v1#model"
        ) from e
    # A directory's own name: where it lies is another place on every machine.
    named = is_starter(address) or address.startswith("hf://")
    return WhisperJudge(address if named else path.name, recognizer)


@dataclass(frozen=True)
class Ceiling:
    """The judge's own pooled rates after the headline normaliser; None where nothing was heard."""

    cer: float | None
    wer: float | None
    n: int  # texts
    on: str  # what speech, in words

    def fields(self) -> dict[str, Any]:
        """As they stand in the judge's record of `run.json`."""
        return {
            "ceiling_cer": self.cer,
            "ceiling_wer": self.wer,
            "ceiling_n": self.n,
            "ceiling_on": self.on,
        }


def ceiling(
    judge: Judge,
    spoken: Iterable[Spoken],
    on: str,
    progress: Callable[[int], None] = lambda done: None,
) -> Ceiling:
    """What the judge makes of speech whose text is known.

    Args:
        judge: the judge of the run.
        spoken: `synthesized(texts)`, or `natural(recordings)` of speech the user has.
        on: a few words for the report, such as `clean espeak-ng, voice priya`.
        progress: called after each text.

    Raises:
        JudgeError: it gives no answer.
    """
    pairs: list[tuple[str, str]] = []
    for text, pcm in spoken:
        pairs.append((text, judge.hear(pcm)))
        progress(len(pairs))
    if not any(text.split() for text, _ in pairs):
        return Ceiling(None, None, 0, on)
    return Ceiling(cer(pairs).rate, wer(pairs).rate, len(pairs), f"{on}; {HEADLINE}")


def synthesized(
    texts: Iterable[str], *, limit: int = CEILING_TEXTS, voice: str = CEILING_VOICE
) -> Iterator[Spoken]:
    """The first `limit` distinct texts as the shipped synthesizer says them, clean and undisturbed.

    The text of a pair is as given: figures and English count as the bot's own do. Raises
    EspeakMissing without the espeak extra.
    """
    espeak = Espeak()
    distinct = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    for text in distinct[:limit]:
        chunks = list(espeak.stream(speakable(text), voice))
        if chunks:
            pcm = to_float32(np.concatenate(chunks))
            yield text, resample(pcm, espeak.sample_rate, RATE)


def synthesized_on(voice: str = CEILING_VOICE) -> str:
    """The words for `Ceiling.on`."""
    return f"clean espeak-ng speech of the bot's own texts, voice {voice}"


def natural(recordings: "Recordings", *, limit: int = CEILING_TEXTS) -> Iterator[Spoken]:
    """At most `limit` clips of a user's corpus, spread over it: people, not a synthesizer.

    Raises DatasetError for a clip that has changed since the corpus was opened.
    """
    clips = recordings.turns().conversations
    count = min(limit, len(clips))
    for at in range(count):
        clip = clips[at * len(clips) // count]
        (utterance,) = recordings.utterances(clip)
        yield clip.turns[0].text, to_float32(utterance.pcm)
