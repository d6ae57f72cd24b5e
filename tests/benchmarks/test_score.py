"""Rates worked out by hand, the command's contract, and published predictions."""

import json
import os
from pathlib import Path

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.score.error_rates import hallucinated, score, traits
from benchmarks.score.score import run_score
from benchmarks.score.transcripts import ScoreError, Utterance
from models.telugu.normalizers import NORMALIZERS
from models.telugu.wer import Errors

PREDICTIONS = Path(os.environ.get("MAATA_DATA", "data")) / "asr_predictions"
KEYS = ["normalizer", "n", "wer", "cer", "ci95", "script_fidelity", "empty_rate"]

# reference, hypothesis, edits and length in words, edits and length in code points
BY_HAND = [
    ("నేను రేపు వస్తాను", "నేను రేపు వస్తాను.", 0, 3, 0, 15),
    ("మా ఊరు చిన్నది", "మా ఊరు పెద్దది", 1, 3, 4, 12),  # చ→ప ి→ె న→ద న→ద
    ("సరే", "", 1, 1, 3, 3),
    ("ఆగు", "ఆగు ఆగు ఆగు", 2, 1, 6, 3),
]


def spoken(*pairs: tuple[str, str]) -> list[Utterance]:
    return [Utterance(str(at), str(at), *pair) for at, pair in enumerate(pairs)]


@pytest.fixture
def by_hand(tmp_path) -> tuple[Path, Path]:
    refs, hyps = tmp_path / "refs.txt", tmp_path / "hyps.txt"
    refs.write_text("".join(f"{row[0]}\n" for row in BY_HAND), encoding="utf-8")
    hyps.write_text("".join(f"{row[1]}\n" for row in BY_HAND), encoding="utf-8")
    return refs, hyps


@pytest.mark.parametrize("row", BY_HAND)
def test_one_utterance(row):
    reference, hypothesis, word_edits, words, char_edits, chars = row
    [found] = score(spoken((reference, hypothesis)))
    assert found.words == Errors(word_edits, words)
    assert found.chars == Errors(char_edits, chars)


def test_pooled_and_macro():
    [found] = score(spoken(*(row[:2] for row in BY_HAND)))
    assert found.words == Errors(4, 8)  # pooled: long utterances weigh more
    assert found.chars == Errors(13, 33)
    assert found.macro_wer == pytest.approx((0 + 1 / 3 + 1 + 2) / 4)
    assert found.macro_cer == pytest.approx((0 + 4 / 12 + 1 + 2) / 4)
    assert (found.n, found.empty, found.empty_rate) == (4, 1, 0.25)
    assert found.wer_ci is not None
    assert 0 <= found.wer_ci.low < 0.5 < found.wer_ci.high <= 2


def test_normalisers_move_the_rate():
    pairs = spoken(
        ("మాకు ఐదు రోజులు", "మాకు 5 రోజులు"),
        ("రీ చార్జ్ చేయండి", "రీ-చార్జ్ చేయండి!"),
        ("ATM ఎక్కడ", "atm ఎక్కడ"),
    )
    found = {s.normalizer: s.words for s in score(pairs, list(NORMALIZERS))}
    assert found["raw"] == Errors(1 + 3 + 1, 8)  # రీ-చార్జ్ for two words, and చేయండి!
    assert found["te-strict"] == found["raw"]
    assert found["te-std"] == Errors(1, 8)
    assert found["te-indicnlp"] == Errors(1 + 2 + 1, 8)  # రీచార్జ్ is one word, ATM is not atm
    assert found["te-num"] == Errors(0, 8)
    # మ క ఐద ర జ ల + ర చ ర జ చ య డ + atm ఎక కడ: eight words in 16 scraps, one of them wrong
    assert found["whisper-basic"] == Errors(1, 16)


def test_no_reference_speech():
    """What is heard in silence is an insertion of the pooled rate, and a rate of its own."""
    pairs = spoken(("సరే మంచిది", "సరే మంచిది"), ("", "ధన్యవాదాలు"), ("...", ""), (" ", " "))
    [found], kept = score(pairs), traits(pairs)
    assert found.words == Errors(1, 2)
    assert found.macro_wer == 0  # of the one utterance that has a rate
    assert (found.n, found.empty) == (4, 2)
    assert (kept.silent, kept.invented, kept.hallucinated) == (3, 1, 1)
    assert kept.invented_rate == pytest.approx(1 / 3)
    assert traits(pairs[:1]).invented_rate is None


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "", False),
        ("", "సరే", True),
        ("సరే", "", False),
        ("రండి", "రం డి", False),  # a word cut in two is no longer
        ("పెద్ద పెద్ద ఇల్లు", "పెద్ద పెద్ద ఇల్లు", False),
        ("పెద్ద ఇల్లు కట్టారు", "పెద్ద పెద్ద పెద్ద ఇల్లు", True),
        ("రేపు వస్తాను అని చెప్పాడు", "రేపు వస్తా రేపు వస్తా రేపు వస్తా", True),
        ("రేపు వస్తాను అని చెప్పాడు", "రేపు వస్తా రేపు వస్తా రేపు", False),
        ("ఆగు ఆగు ఆగు బాబూ", "ఆగు ఆగు ఆగు బాబు", False),  # it was said three times
        ("ఆగు", "ఆగు ఆగు", False),
        ("ఆగు", "ఆగు ఆగు ఆ", True),
    ],
)
def test_hallucinated(reference, hypothesis, expected):
    assert hallucinated(reference, hypothesis) is expected


def test_script_fidelity_leaves_out_what_has_no_letters():
    kept = traits(spoken(("సరే", "సరే ok"), ("ఐదు", "5."), ("మూడు", "")))
    assert kept.script_fidelity == pytest.approx(3 / 5)  # స ర ే of స ర ే o k
    assert kept.lettered == 1
    assert traits(spoken(("ఐదు", "5"))).script_fidelity is None


WORDS = st.lists(st.sampled_from(["సరే", "రేపు", "మీరు", "మీ", "ఊరు"]), min_size=1, max_size=8)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_jiwer_agrees(rows):
    pairs = [(" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in rows]
    [found] = score(spoken(*pairs))
    references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
    assert found.words.rate == pytest.approx(jiwer.wer(references, hypotheses))
    said, heard = ([text.replace(" ", "") for text in side] for side in (references, hypotheses))
    assert found.chars.rate == pytest.approx(jiwer.cer(said, heard))


def test_the_last_line_is_the_contract(by_hand, capsys):
    assert run_score(*by_hand) == 0
    out, err = capsys.readouterr()
    line = json.loads(out.splitlines()[-1])
    assert list(line) == KEYS
    assert line | {"ci95": None} == {
        "normalizer": "te-std",
        "n": 4,
        "wer": 0.5,
        "cer": 13 / 33,
        "ci95": None,
        "script_fidelity": 1.0,
        "empty_rate": 0.25,
    }
    low, high = line["ci95"]
    assert low < 0.5 < high
    assert "te-std" in out
    assert "50.00" in out
    assert "script fidelity 100.00 % (3 of 4 have letters), hallucinated 1 of 4" in out
    assert "4 independent utterances are few" in err


def test_silence_is_reported(tmp_path, capsys):
    refs, hyps = tmp_path / "r.txt", tmp_path / "h.txt"
    refs.write_text("సరే\n\n\n", encoding="utf-8")
    hyps.write_text("సరే\nధన్యవాదాలు\n\n", encoding="utf-8")
    assert run_score(refs, hyps) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["wer"] == 1  # one insertion, one word said
    assert "words in silence 1 of 2" in out
    assert "2 of 3 references are empty and count as no speech; 1 of their hypotheses" in err


def test_raw_counts_the_full_stop(by_hand, capsys):
    assert run_score(*by_hand, normalizer="raw") == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["normalizer"], line["wer"], line["cer"]) == ("raw", 5 / 8, 14 / 33)


def test_all_normalisers_with_the_headline_last(by_hand, capsys):
    assert run_score(*by_hand, normalizer="all") == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert sorted(line["normalizer"] for line in lines) == sorted(NORMALIZERS)
    assert all(list(line) == KEYS for line in lines)
    assert out.splitlines()[-1] == json.dumps(lines[-1])
    assert lines[-1]["normalizer"] == "te-std"
    assert "whisper-basic (not comparable)" in out
    assert "not comparable with those of any other normalizer" in err


def test_missing_hypotheses_count_and_are_named(tmp_path, capsys):
    refs, hyps = tmp_path / "r.jsonl", tmp_path / "h.jsonl"
    rows = [{"id": f"u{at}", "text": row[0]} for at, row in enumerate(BY_HAND)]
    refs.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    hyps.write_text('{"id": "u1", "text": "మా ఊరు చిన్నది"}\n', encoding="utf-8")
    assert run_score(refs, hyps) == 1
    out, err = capsys.readouterr()
    line = json.loads(out.splitlines()[-1])
    assert (line["n"], line["wer"], line["empty_rate"]) == (4, 5 / 8, 0.75)
    assert "3 of 4 hypotheses are missing" in err
    assert "u0, u2, u3" in err


def test_systems_side_by_side(tmp_path, capsys):
    path = tmp_path / "both.jsonl"
    rows = [
        {"id": at, "system": system, "reference": row[0], "hypothesis": row[column]}
        for system, column in (("one[b]", 1), ("two", 0))
        for at, row in enumerate(BY_HAND)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert run_score(path, path) == 0
    out, _ = capsys.readouterr()
    line = json.loads(out.splitlines()[-1])
    assert list(line) == ["normalizer", "systems"]
    assert {name: found["wer"] for name, found in line["systems"].items()} == {
        "one[b]": 0.5,
        "two": 0,
    }
    assert "WER two − one[b]: -50.00 [" in out
    assert run_score(path, path, system="two") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["wer"] == 0


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("te_std", "no normalizer 'te_std' (did you mean te-std?): choose raw, te-strict,"),
        ("", "no normalizer '': choose raw"),
    ],
)
def test_an_unknown_normaliser_is_a_sentence(by_hand, capsys, option, sentence):
    assert run_score(*by_hand, normalizer=option) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"maata score: {sentence}")
    assert err.count("\n") == 1


def test_references_without_any_word_are_a_sentence(tmp_path, capsys):
    refs, hyps = tmp_path / "r.txt", tmp_path / "h.txt"
    refs.write_text("...\n?\n", encoding="utf-8")
    hyps.write_text("సరే\nఅవును\n", encoding="utf-8")
    assert run_score(refs, hyps) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "every reference is empty after te-std" in err
    with pytest.raises(ScoreError, match="no utterances"):
        score([])


@pytest.mark.skipif(not PREDICTIONS.is_dir(), reason="MAATA_DATA has no asr_predictions")
@pytest.mark.parametrize("name", ["fleurs", "cv25"])
def test_published_predictions(name, capsys):
    expected = json.loads((PREDICTIONS / "EXPECTED.json").read_text("utf-8"))["sets"][name]
    path = PREDICTIONS / f"{name}.jsonl"
    assert run_score(path, path, "all") == 0
    printed = capsys.readouterr().out.splitlines()
    found = [json.loads(line) for line in printed if line.startswith("{")]
    systems = {line["normalizer"]: line["systems"] for line in found}
    for system, want in expected.items():
        for normalizer, rates in want["normalisers"].items():
            line = systems[normalizer][system]
            assert line["n"] == want["n"]
            assert line["wer"] == pytest.approx(rates["wer"], abs=5e-5)
            assert line["cer"] == pytest.approx(rates["cer"], abs=5e-5)
            assert line["ci95"][0] < line["wer"] < line["ci95"][1]
            assert line["script_fidelity"] == pytest.approx(want["sfr"], abs=5e-5)
        assert systems["raw"][system]["empty_rate"] == want["empty_hypotheses"] / want["n"]
        assert systems["te-std"][system]["empty_rate"] == want["empty_after_te_std"] / want["n"]
