"""Scores recogniser weights as they are served: int8, through `models.whisper`, guards included.

    python -m training.asr_score weights/starter/asr --data DIR

Tests: unseen sentences of our dialogues and of open everyday speech in voices that never trained
(clean and damaged), sounds that are not speech, and the human clips of the data directory where it
has them. Prints a line each and one JSON object last. Rates are fractions, te-std WER is pooled.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.audio import read_wav
from models.mel import SAMPLE_RATE
from models.telugu.wer import cer, wer
from models.whisper import Recognizer
from training import corpus
from training.noise import augment, cut, non_speech
from training.utterances import HELD_OUT_VARIANTS, Renditions, speak_all

SPEECH_TESTS = ("dialogues", "everyday", "questions", "stories")


@dataclass(frozen=True)
class Score:
    """One test. `real_time_factor`: seconds of work for a second of audio, one clip at a time."""

    clips: int
    words: int
    wer: float
    cer: float
    empty: float  # share of clips with no transcript
    real_time_factor: float


def score(recognizer: Recognizer, clips: Iterable[tuple[np.ndarray, str]]) -> Score:
    """Transcribes (float32 [T] at 16 kHz, reference) pairs one after the other."""
    pairs: list[tuple[str, str]] = []
    audio = work = 0.0
    for pcm, reference in clips:
        started = time.perf_counter()
        transcript = recognizer.transcribe(pcm)
        work += time.perf_counter() - started
        audio += transcript.seconds
        pairs.append((reference, transcript.text))
    errors = wer(pairs)
    return Score(
        clips=len(pairs),
        words=errors.length,
        wer=round(errors.rate, 4) if errors.length else 0.0,
        cer=round(cer(pairs).rate, 4) if errors.length else 0.0,
        empty=round(sum(not text for _, text in pairs) / len(pairs), 4),
        real_time_factor=round(work / audio, 4),
    )


def synthetic_clips(
    sentences: list[str], *, noisy: bool, cache: Path, seed: int = 7
) -> list[tuple[np.ndarray, str]]:
    """The sentences in unseen voices, cut as a VAD cuts; `noisy` adds rooms, noise, telephones."""
    spoken = Renditions([speak_all(sentences, "score", HELD_OUT_VARIANTS, cache, processes=1)])
    rng = np.random.default_rng(seed)
    damage = augment if noisy else cut
    return [(damage(spoken.pcm(i), rng), text) for i, text in enumerate(spoken.texts)]


def human_clips(data: Path) -> list[tuple[np.ndarray, str]]:
    """The Common Voice clips of the data directory; none where it has none."""
    manifest = data / "speech" / "common_voice_te" / "manifest.jsonl"
    if not manifest.is_file():
        return []
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return [(read_wav(manifest.parent / row["path"], SAMPLE_RATE), row["text"]) for row in rows]


def noises(count: int, seed: int = 11) -> list[tuple[np.ndarray, str]]:
    """Half a second to four seconds of what is not speech."""
    rng = np.random.default_rng(seed)
    return [(non_speech(rng, rng.uniform(0.5, 4.0)), "") for _ in range(count)]


def score_all(weights: Path, data: Path, sentences: int) -> dict[str, Score]:
    """Every test on `weights`, one thread; prints as it goes."""
    recognizer = Recognizer.load(weights, threads=1)
    lists = corpus.held_out(data)
    scores: dict[str, Score] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SPEECH_TESTS:
            chosen = corpus.subsample(lists[name], sentences, 1)
            for noisy in (False, True):
                clips = synthetic_clips(chosen, noisy=noisy, cache=Path(folder))
                title = f"{name}_noisy" if noisy else name
                scores[title] = _shown(title, score(recognizer, clips))
    scores["not_speech"] = _shown("not_speech", score(recognizer, noises(200)))
    if clips := human_clips(data):
        scores["human_clips"] = _shown("human_clips", score(recognizer, clips))
    return scores


def _shown(name: str, result: Score) -> Score:
    print(
        f"{name:18} n={result.clips:4} WER {result.wer:6.2%} CER {result.cer:6.2%} "
        f"empty {result.empty:6.2%} RTF {result.real_time_factor:.3f}",
        flush=True,
    )
    return result


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", help="directory with text/ (default MAATA_DATA, then data/)")
    parser.add_argument("--sentences", type=int, default=300, help="of each test")
    given = parser.parse_args()
    scores = score_all(given.weights, corpus.data_root(given.data), given.sentences)
    print(json.dumps({name: asdict(result) for name, result in scores.items()}))


if __name__ == "__main__":
    main()
