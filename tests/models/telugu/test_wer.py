"""Edit distances equal a plain table's, and published predictions score as published."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.standard import collapse, script_fidelity, te_std
from models.telugu.wer import Errors, cer, char_errors, edit_distance, wer, word_errors

PREDICTIONS = Path(os.environ.get("MAATA_DATA", "data")) / "asr_predictions"


def plain_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@settings(deadline=None, max_examples=50)
@given(st.text("కఖగ ్", max_size=40), st.text("కఖగ ్", max_size=40))
def test_edit_distance_is_levenshtein(a, b):
    assert edit_distance(a, b) == plain_distance(a, b) == edit_distance(b, a)


@settings(deadline=None, max_examples=30)
@given(st.text("abc", min_size=60, max_size=90), st.text("abc", min_size=60, max_size=90))
def test_edit_distance_beyond_one_machine_word(a, b):
    assert edit_distance(a, b) == plain_distance(a, b)


def test_counts():
    assert word_errors("ఒకటి రెండు మూడు", "ఒకటి మూడు నాలుగు") == Errors(2, 3)
    assert char_errors("కా కి", "కాకీ") == Errors(1, 4)
    assert word_errors("", "ఏదో").rate == float("inf")
    assert Errors().rate == 0
    pooled = wer([("ఒకటి రెండు.", "ఒకటి, రెండు"), ("మూడు", "")])
    assert pooled == Errors(1, 3)


@pytest.mark.skipif(not PREDICTIONS.is_dir(), reason="MAATA_DATA has no asr_predictions")
def test_published_predictions():
    expected = json.loads((PREDICTIONS / "EXPECTED.json").read_text("utf-8"))["sets"]
    for name, systems in expected.items():
        lines = (PREDICTIONS / f"{name}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        for system, scores in systems.items():
            pairs = [(r["reference"], r["hypothesis"]) for r in rows if r["system"] == system]
            for normaliser, function in (("raw", collapse), ("te-std", te_std)):
                want = scores["normalisers"][normaliser]
                words, chars = wer(pairs, function), cer(pairs, function)
                assert (words.edits, words.length) == (want["word_errors"], want["ref_words"])
                assert (chars.edits, chars.length) == (want["char_errors"], want["ref_chars"])
                assert words.rate == pytest.approx(want["wer"], abs=1e-4)
                assert chars.rate == pytest.approx(want["cer"], abs=1e-4)
            fidelity = [f for _, h in pairs if (f := script_fidelity(h)) is not None]
            assert len(fidelity) == scores["sfr_n"]
            assert sum(fidelity) / len(fidelity) == pytest.approx(scores["sfr"], abs=1e-4)
