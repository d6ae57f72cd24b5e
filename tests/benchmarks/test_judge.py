"""The judge in this process: the starter recogniser hears the shipped synthesizer."""

import numpy as np
import pytest

from benchmarks.corpora.corpus import open_dataset
from benchmarks.judge.judge import (
    CEILING_TEXTS,
    RATE,
    Judge,
    JudgeError,
    ceiling,
    load,
    natural,
    synthesized,
    synthesized_on,
)
from models.audio import write_wav
from models.telugu.wer import cer

TEXTS = ["నమస్కారం, మీకు ఏ విధంగా సహాయం చేయగలను?", "రేపు ఉదయం పది గంటలకు రండి."]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load()


def test_the_starter_hears_clean_telugu(judge):
    assert judge.name == "starter/asr"
    pairs = [(text, judge.hear(pcm)) for text, pcm in synthesized(TEXTS)]
    assert len(pairs) == 2
    assert cer(pairs).rate < 0.25
    assert judge.hear(np.zeros(RATE, np.float32)) == ""


def test_the_ceiling_is_of_distinct_texts_and_says_on_what(judge):
    seen: list[int] = []
    found = ceiling(judge, synthesized([*TEXTS, TEXTS[0], " "]), synthesized_on(), seen.append)
    assert seen == [1, 2]
    assert found.cer is not None
    assert found.wer is not None
    assert 0 <= found.cer <= found.wer
    assert set(found.fields()) == {"ceiling_cer", "ceiling_wer", "ceiling_n", "ceiling_on"}
    assert found.n == 2
    assert "voice priya" in found.on
    assert "te-std" in found.on


def test_a_users_recordings_make_a_ceiling_too(judge, tmp_path):
    spoken = dict(synthesized(TEXTS))
    for n in range(6):
        text = TEXTS[n % 2]
        write_wav(tmp_path / f"{n}.wav", spoken[text], RATE)
        (tmp_path / f"{n}.txt").write_text(text, encoding="utf-8")
    heard = list(natural(open_dataset("folder", tmp_path), limit=4))
    assert [text for text, _ in heard] == [TEXTS[n % 2] for n in (0, 1, 3, 4)]
    assert np.allclose(heard[0][1], spoken[TEXTS[0]], atol=1e-4)
    assert ceiling(judge, heard, "folder").n == 4


class Deaf:
    """A judge that hears nothing."""

    name = "deaf"

    def hear(self, pcm: np.ndarray) -> str:
        return ""


def test_a_judge_that_hears_nothing_has_a_ceiling_of_one():
    spoken = [(text, np.zeros(RATE, np.float32)) for text in TEXTS]
    found = ceiling(Deaf(), spoken, "silence")
    assert (found.cer, found.wer, found.n) == (1.0, 1.0, 2)


def test_without_texts_there_is_no_ceiling(judge):
    found = ceiling(judge, synthesized([]), synthesized_on())
    assert (found.cer, found.wer, found.n) == (None, None, 0)


def test_at_most_so_many_texts_are_spoken():
    texts = [f"వరుస సంఖ్య {n}" for n in range(CEILING_TEXTS + 5)]
    assert sum(1 for _ in synthesized(texts, limit=3)) == 3


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(JudgeError, match="no weights at"):
        load(str(tmp_path / "nothing"))
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(JudgeError, match="no Whisper checkpoint"):
        load(str(tmp_path))
