"""The shipped recogniser, as it is served: what it makes of voices and sentences it never met."""

from pathlib import Path

import pytest

from models.weights import resolve
from models.whisper import Recognizer
from training import corpus
from training.asr_score import noises, score, synthetic_clips

pytest.importorskip("espeakng_loader")
SENTENCES = 40  # of our own dialogues, from templates that never train


@pytest.fixture(scope="module")
def starter() -> Recognizer:
    return Recognizer.load(resolve("starter/asr"), threads=1)


@pytest.mark.parametrize(("noisy", "floor"), [(False, 0.10), (True, 0.18)])
def test_unseen_sentences_in_unseen_voices(
    starter: Recognizer, tmp_path: Path, noisy: bool, floor: float
) -> None:
    """Floors under the figures of the card, which come from more sentences."""
    sentences = corpus.subsample(corpus.dialogue_sentences("held_out"), SENTENCES, 2)
    found = score(starter, synthetic_clips(sentences, noisy=noisy, cache=tmp_path))
    assert found.clips == SENTENCES
    assert found.wer <= floor


def test_sounds_that_are_not_speech_are_no_text(starter: Recognizer) -> None:
    assert score(starter, noises(60, seed=5)).empty == 1.0


def test_the_card_is_there_and_says_what_was_measured() -> None:
    path = resolve("starter/asr")
    card = (path / "README.md").read_text(encoding="utf-8")
    for word in ("Apache-2.0", "starter model", "seed", "maata train asr", "WER"):
        assert word in card
    assert sum(file.stat().st_size for file in path.iterdir()) <= 20 * 2**20
