"""Clauses come as early as they safely can, and nothing that is read as one is torn."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.clauses import ClauseChunker
from models.telugu.standard import graphemes

ANSWERS = [
    "నమస్కారం! నేను మీకు ఎలా సహాయం చేయగలను?",
    "సరే, మీ ఆర్డర్ రేపు ఉదయం 9:30 గంటలకు వస్తుంది. ధర 3.5 లక్షలు, అంటే రూ. 3,50,000 మాత్రమే. ధన్యవాదాలు.",
    "అంబులెన్స్ కోసం 108కి కాల్ చేయండి; పోలీసుల కోసం 112।",
    "జాబితా:\n1. పాలు\n2. పెరుగు\n3. బియ్యం 5 kg",
    "డా. రావు గారు ఎన్. టి. రామారావు గారి గురించి చెప్పారు... మీరు విన్నారా?!",
    "అది హైదరాబాద్ నుంచి 25 కి.మీ. దూరం ఉంది",
    "మీ కొత్త మొబైల్ రీఛార్జ్ కోసం మేము పంపిన OTP 482913 చెప్పండి",
]


def letters(text: str) -> str:
    """Without white space and the marks that may come too late for their clause."""
    return "".join(c for c in text if not c.isspace() and c not in ".!")


def chunks(text: str, sizes: list[int]) -> list[str]:
    chunker, out, at, turn = ClauseChunker(), [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out += chunker.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    return out + chunker.flush()


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("నమస్కారం! ఎలా ఉన్నారు?", ["నమస్కారం!", "ఎలా ఉన్నారు?"]),
        # Only the first clause ends at a comma.
        ("సరే, ఇప్పుడు, రేపు, చెప్తాను.", ["సరే,", "ఇప్పుడు, రేపు, చెప్తాను."]),
        ("ధర 3.5 లక్షలు.", ["ధర 3.5 లక్షలు."]),
        ("ధర 1,250 రూపాయలు, సరేనా", ["ధర 1,250 రూపాయలు,", "సరేనా"]),
        ("సమయం 9:30.", ["సమయం 9:30."]),
        ("మీ ధర రూ. 500 మాత్రమే.", ["మీ ధర రూ. 500 మాత్రమే."]),
        ("డా. రావు వచ్చారు.", ["డా. రావు వచ్చారు."]),
        ("1. పాలు\n2. పెరుగు", ["1. పాలు", "2. పెరుగు"]),
        ('ఆయన "రండి." అన్నారు.', ['ఆయన "రండి."', "అన్నారు."]),
        ("అవును।  సరే॥", ["అవును।", "సరే॥"]),
        ("ఏమిటి?! నిజమా...", ["ఏమిటి?!", "నిజమా..."]),
        ("November 20, 2026న రండి", ["November 20, 2026న రండి"]),
        ("ఇది https://maata.example.in/te లో ఉంది.", ["ఇది https://maata.example.in/te లో ఉంది."]),
        ("  \n ?! ", []),
        ("", []),
    ],
)
def test_whole_text(text, clauses):
    assert chunks(text, [len(text) or 1]) == clauses


def test_first_clause_by_words():
    text = "మీరు అడిగిన పుస్తకం మా దుకాణంలో ఇప్పుడు అందుబాటులో లేదు కానీ రేపు వస్తుంది"
    first, rest = chunks(text, [3])
    assert len(first.split()) == 7
    assert f"{first} {rest}" == text


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("మా దుకాణం నుంచి మీ ఇంటి వరకు 5 కిలోమీటర్లు మాత్రమే ఉంది", "వరకు 5 కిలోమీటర్లు"),
        ("మీ సమావేశం వచ్చే నెల మొదటి వారంలో నవంబర్ 20 న ఉంది", "నవంబర్ 20 న"),
        ("మీ కొత్త మొబైల్ కోసం మేము పంపిన OTP 482913 చెప్పండి", "OTP 482913 చెప్పండి"),
        ("అన్నీ కలిపితే మీరు చెల్లించాల్సిన మొత్తం ధర ₹ 500 అవుతుంది", "ధర ₹ 500 అవుతుంది"),
    ],
)
def test_a_number_keeps_its_neighbours(text, torn):
    assert any(torn in clause for clause in chunks(text, [1]))


def test_a_stop_behind_a_long_word_needs_no_look_ahead():
    chunker = ClauseChunker()
    assert chunker.feed("నమస్కారం.") == ["నమస్కారం."]
    assert chunker.feed(" ధర 3.") == []
    assert chunker.feed("5 మాత్రమే.") == ["ధర 3.5 మాత్రమే."]
    assert chunker.flush() == []


def test_a_late_mark_is_no_clause():
    chunker = ClauseChunker()
    assert chunker.feed("నిజమా?") == ["నిజమా?"]
    assert chunker.feed("!") == []
    assert chunker.feed(" అవును.") == ["అవును."]
    assert chunker.feed(".") + chunker.feed(".") + chunker.flush() == []


def test_long_sentences_are_cut_at_a_comma():
    later = " ".join(["మాట"] * 15 + ["మాట,"] + ["మాట"] * 30)
    clauses = chunks(f"సరే. {later}", [5])
    assert clauses[1].endswith("మాట,")
    assert len(clauses[1].split()) == 16


@pytest.mark.parametrize("text", ANSWERS)
def test_pieces_do_not_matter(text):
    """The cuts depend on the text, hardly on how it was streamed; no letter is lost."""
    rng = random.Random(7)
    for _ in range(50):
        clauses = chunks(text, [rng.randint(1, 9) for _ in range(20)])
        assert letters("".join(clauses)) == letters(text)
        for number in ("9:30", "3.5", "3,50,000", "రూ. 3", "కి.మీ.", "OTP 482913", "5 kg", "2. "):
            if number in text:
                assert any(number in clause for clause in clauses)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.text(st.sampled_from('కరితె్ాం\u200c abZ 12.,:?।\n"-₹'), max_size=80),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_nothing_is_lost_or_cut_inside_an_akshara(text, sizes):
    clauses = chunks(text, sizes)
    kept = [c for c in "".join(clauses) if c.isalnum()]
    assert kept == [c for c in text if c.isalnum()]
    assert all(any(c.isalnum() for c in clause) for clause in clauses)
    words = [g for g in graphemes(text) if g[0].isalpha()]
    assert [g for clause in clauses for g in graphemes(clause) if g[0].isalpha()] == words


def test_rejects_empty_limits():
    with pytest.raises(ValueError, match="at least one word"):
        ClauseChunker(first_words=0)
