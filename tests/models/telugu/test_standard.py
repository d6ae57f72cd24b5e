"""Normalisers keep Telugu words whole; aksharas are never cut."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.standard import collapse, complete, graphemes, script_fidelity, te_std, te_strict

TELUGU = st.text(
    st.characters(min_codepoint=0x0C00, max_codepoint=0x0C7F) | st.sampled_from(" .a1")
)


@pytest.mark.parametrize(
    ("raw", "standard"),
    [
        ("నమస్కారం, మీరు   ఎలా ఉన్నారు?", "నమస్కారం మీరు ఎలా ఉన్నారు"),
        ("ఫ్రాన్స్\u200cతో", "ఫ్రాన్స్తో"),  # joiners go without a gap
        ("రీ-చార్జ్", "రీ చార్జ్"),  # punctuation becomes a gap
        ("ATM లో ₹500/-", "atm లో 500"),
        ("రూ.500।", "రూ 500"),
        ("క\u0c46\u0c56", "క\u0c48"),  # e + ai length mark is ai
        ("...", ""),
        ("దుఃఖం ఁ", "దుఃఖం ఁ"),
    ],
)
def test_te_std(raw, standard):
    assert te_std(raw) == standard


def test_te_strict_keeps_everything_but_spaces():
    assert te_strict("  ఆ,\u00a0ఈ\n\u0c15\u0c46\u0c56 ") == "ఆ, ఈ \u0c15\u0c48"


@settings(deadline=None)  # a busy machine is no failure
@given(TELUGU)
def test_te_std_is_idempotent_and_keeps_marks(text):
    once = te_std(text)
    assert te_std(once) == once

    def marks(s: str) -> int:
        return sum(unicodedata.category(c)[0] == "M" for c in unicodedata.normalize("NFC", s))

    assert marks(once) == marks(text)


def test_aksharas():
    assert graphemes("క్షమించండి") == ["క్ష", "మిం", "చం", "డి"]
    assert graphemes("స్త్రీ విద్యార్థి") == ["స్త్రీ", " ", "వి", "ద్యా", "ర్థి"]
    assert graphemes("అమ్మ") == ["అ", "మ్మ"]


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_graphemes_join_to_the_text(text):
    assert "".join(graphemes(text)) == text


def test_captions_hold_the_akshara_that_may_still_grow():
    text = "నమస్తే అండి"
    shown = [complete(text[:end]) for end in range(1, len(text) + 1)]
    assert shown[:7] == ["", "న", "నమ", "నమ", "నమ", "నమ", "నమస్తే "]
    for earlier, later in zip(shown, shown[1:], strict=False):
        assert later.startswith(earlier)


@pytest.mark.parametrize(
    ("text", "share"),
    [("నమస్తే", 1.0), ("abc సరే", 0.5), ("hello", 0.0), ("123 ?!", None), ("", None)],
)
def test_script_fidelity(text, share):
    assert script_fidelity(text) == share


def test_collapse():
    assert collapse(" a \t\n b ") == "a b"
