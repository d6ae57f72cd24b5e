"""Each normaliser does what its name promises, and the borrowed ones do what their source does."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.normalizers import (
    HEADLINE,
    NORMALIZERS,
    NOT_COMPARABLE,
    te_indicnlp,
    te_num,
    whisper_basic,
)
from models.telugu.standard import te_std
from models.telugu.wer import word_errors

TELUGU = st.text(
    # Without the reserved dandas, which te-indicnlp makes dandas only after it deleted those.
    st.characters(min_codepoint=0x0C00, max_codepoint=0x0C7F, exclude_characters="\u0c64\u0c65")
    | st.sampled_from(" .,:-()a1₹\u200c")
)


def test_names():
    assert list(NORMALIZERS) == [
        "raw", "te-strict", "te-std", "te-indicnlp", "te-num", "whisper-basic",
    ]  # fmt: skip
    assert NORMALIZERS[HEADLINE] is te_std
    assert {"whisper-basic"} == NOT_COMPARABLE


@pytest.mark.parametrize("name", NORMALIZERS)
@settings(deadline=None)  # a busy machine is no failure
@given(text=TELUGU)
def test_normalising_twice_changes_nothing_and_leaves_no_loose_spaces(name, text):
    once = NORMALIZERS[name](text)
    assert NORMALIZERS[name](once) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize("name", [name for name in NORMALIZERS if name != "whisper-basic"])
def test_marks_stay(name):
    text = "క్షమించండి మీ ఊరికి వెళ్తున్నాము"
    assert NORMALIZERS[name](text) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("వస్తాను, రేపు-ఎల్లుండి.", "వస్తాను రేపుఎల్లుండి"),  # deleted: no gap is left
        ("సరే।", "సరే"),
        ("‘సరే’ అన్నాడు…", "'సరే' అన్నాడు..."),  # made ASCII after ASCII was deleted
        ("‘‘సరే’’", '"సరే"'),
        ("నేడు—రేపు", "నేడు - రేపు"),
        ("ఫ్రాన్స్\u200cతో \ufeffATM", "ఫ్రాన్స్తో ATM"),
        ("క\u0c46\u0c56", "క\u0c48"),
        ("క\u0c02\u0c55", "క\u0c02\u0c55"),
        ("సరే\u0c64 అవును\u0c65", "సరే। అవును॥"),  # the reserved dandas come after the deletion
        ("a\u200bb\u00a0c", "a b c"),
    ],
)
def test_te_indicnlp(text, normal):
    assert te_indicnlp(text) == normal


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("5 రోజులు", "ఐదు రోజులు"),
        ("౫ రోజులు", "ఐదు రోజులు"),
        ("మాకు అయిదు రోజులు కావాలి.", "మాకు 5 రోజులు కావాలి"),
        ("అయిదవ తరగతి", "5వ తరగతి"),
        ("పందొమ్మిది మంది", "19 మంది"),
        ("ముప్ఫై శాతం", "30%"),
        ("₹500 ఇవ్వండి", "ఐదు వందల రూపాయలు ఇవ్వండి"),
        ("1,50,000 మంది", "లక్ష యాభై వేల మంది"),
        ("2002లో", "రెండు వేల రెండులో"),
        ("PIN 4521", "pin నాలుగు ఐదు రెండు ఒకటి"),
        ("నాల్గవ రోజు", "4వ రోజు"),
    ],
)
def test_te_num_makes_one_text_of_figures_and_words(written, spoken):
    assert te_num(written) == te_num(spoken)
    assert not re.search(r"\d", te_num(written))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ప్రప౦చ౦ లో", "ప్రపంచం లో"),  # the digit nought typed for the anusvara
        ("౧౦ రోజులు", "పది రోజులు"),
        ("ఇరువైపులా చెట్లు", "ఇరువైపులా చెట్లు"),  # both sides, not twenty
        ("నా పేరు రవి, సరే!", "నా పేరు రవి సరే"),
    ],
)
def test_te_num_leaves_words_alone(text, normal):
    assert te_num(text) == normal


def test_te_num_counts_a_wrong_number_by_its_words():
    said, heard = te_num("మొత్తం 208 మంది"), te_num("మొత్తం 205 మంది")
    assert said == "మొత్తం రెండు వందల ఎనిమిది మంది"
    assert word_errors(said, heard).edits == 1


@settings(deadline=None)
@given(
    TELUGU.filter(lambda text: not re.search(r"\d|[దగ\u0c48\u0c56]", text))
)  # one is in every numeral respelled
def test_te_num_is_te_std_without_numbers(text):
    assert te_num(text) == te_std(text)


@pytest.mark.parametrize("text", ["1" * 20_000, "1," * 10_000, "5 " * 10_000, "(" * 20_000])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_recogniser_in_a_loop_does_not_hold_the_scorer_up(name, text):
    began = time.process_time()
    NORMALIZERS[name](text)
    assert time.process_time() - began < 5


def test_whisper_basic_breaks_words():
    assert whisper_basic("నమస్తే") == "నమస త"
    assert whisper_basic("[నవ్వు] సరే (అవును) ½") == "సర 1 2"


@settings(deadline=None)
@given(TELUGU | st.text())
def test_whisper_basic_is_what_transformers_does(text):
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    assert whisper_basic(text) == BasicTextNormalizer()(text).strip()
