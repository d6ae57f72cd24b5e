"""Number words read back to the number they came from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telugu.numbers import attributive, cardinal, half, numbered, ordinal, say, spell, year

ONES = {
    "సున్నా": 0, "ఒకటి": 1, "రెండు": 2, "మూడు": 3, "నాలుగు": 4, "ఐదు": 5, "ఆరు": 6, "ఏడు": 7,
    "ఎనిమిది": 8, "తొమ్మిది": 9, "పది": 10, "పదకొండు": 11, "పన్నెండు": 12, "పదమూడు": 13,
    "పద్నాలుగు": 14, "పదిహేను": 15, "పదహారు": 16, "పదిహేడు": 17, "పద్దెనిమిది": 18,
    "పంతొమ్మిది": 19, "ఇరవై": 20, "ముప్పై": 30, "నలభై": 40, "యాభై": 50, "అరవై": 60,
    "డెబ్బై": 70, "ఎనభై": 80, "తొంభై": 90, "ఒక": 1, "ఒక్క": 1,
}  # fmt: skip
SCALES = {"వెయ్యి": 10**3, "వేలు": 10**3, "వేల": 10**3, "లక్ష": 10**5, "లక్షలు": 10**5, "లక్షల": 10**5}
CRORES = ("కోటి", "కోట్లు", "కోట్ల")


def read(words: str) -> int:
    """The number that cardinal words mean, read from left to right as a listener would."""
    total = part = count = 0
    for word in words.split():
        if word in ONES:
            count += ONES[word]
        elif word in ("వంద", "నూట", "వందలు", "వందల"):
            count = (count or 1) * 100
        elif word in SCALES:
            part, count = part + (count or 1) * SCALES[word], 0
        elif word in CRORES:
            total, part, count = ((part + count) or 1) * 10**7, 0, 0
        else:
            raise ValueError(f"{word} is no number word")
    return total + part + count


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 10**14 - 1))
def test_cardinals_read_back(value):
    assert read(cardinal(value)) == value
    assert read(attributive(value)) == value


def test_every_number_to_ten_thousand_reads_back():
    assert [read(cardinal(value)) for value in range(10_001)] == list(range(10_001))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "సున్నా"),
        (14, "పద్నాలుగు"),
        (15, "పదిహేను"),
        (18, "పద్దెనిమిది"),
        (50, "యాభై"),
        (99, "తొంభై తొమ్మిది"),
        (100, "వంద"),
        (101, "నూట ఒకటి"),
        (200, "రెండు వందలు"),
        (250, "రెండు వందల యాభై"),
        (1_000, "వెయ్యి"),
        (1_001, "వెయ్యి ఒకటి"),
        (2_000, "రెండు వేలు"),
        (21_000, "ఇరవై ఒక్క వేలు"),
        (1_00_000, "లక్ష"),
        (1_50_000, "లక్ష యాభై వేలు"),
        (10_00_000, "పది లక్షలు"),
        (1_00_00_000, "కోటి"),
        (2_50_00_000, "రెండు కోట్ల యాభై లక్షలు"),
        (1_00_00_00_000, "వంద కోట్లు"),
        (-5, "మైనస్ ఐదు"),
        (10**15, "ఒకటి" + " సున్నా" * 15),
    ],
)
def test_cardinal(value, words):
    assert cardinal(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "మొదటి"),
        (2, "రెండవ"),
        (3, "మూడవ"),
        (4, "నాలుగవ"),
        (5, "ఐదవ"),
        (8, "ఎనిమిదవ"),
        (10, "పదవ"),
        (15, "పదిహేనవ"),
        (20, "ఇరవయ్యవ"),
        (21, "ఇరవై ఒకటవ"),
        (50, "యాభయ్యవ"),
        (100, "వందవ"),
        (1_000, "వెయ్యవ"),
    ],
)
def test_ordinal(value, words):
    assert ordinal(value) == words


def test_forms():
    assert numbered(1) == "ఒకటవ"
    assert attributive(1) == "ఒక"
    assert attributive(21) == "ఇరవై ఒక్క"
    assert attributive(200) == "రెండు వందల"
    assert half(0) == "అర"
    assert half(9) == "తొమ్మిదిన్నర"
    assert year(1947) == "పంతొమ్మిది వందల నలభై ఏడు"
    assert year(1900) == "పంతొమ్మిది వందలు"
    assert year(2026) == "రెండు వేల ఇరవై ఆరు"
    assert spell("108") == "ఒకటి సున్నా ఎనిమిది"
    assert say("1,50,000") == "లక్ష యాభై వేలు"
    assert say("2.5", counting=True) == "రెండున్నర"
    assert say("007") == "సున్నా సున్నా ఏడు"
