"""Keys: what fits, what looks as if it did, and what cannot be told."""

from datetime import datetime, timedelta
from random import Random

import pytest

from benchmarks.keys.keys import BadKey, fits, parse
from benchmarks.keys.values import TOLERANCE_MIN, number_pattern, says_date, says_time
from models.telugu import clock
from models.telugu.normalizers import te_num
from models.telugu.numbers import cardinal

NOW = datetime(2026, 11, 20, 9, 30)  # a Friday


@pytest.mark.parametrize(
    ("lines", "text", "expected"),
    [
        # stems end at an akshara, loose ones anywhere after the letter, whole words at the end
        (["కల"], "అది ఒక కల.", True),
        (["కల"], "కలలో చూశాను", True),
        (["కల"], "కల్లు తాగకండి", False),
        (["కల"], "కాలం మారింది", False),
        (["కల"], "రంగులకల", False),
        (["వర్ష~"], "వర్షాలు పడతాయి", True),
        (["వర్ష~"], "వర్షం!", True),
        (["వర్ష"], "వర్షం", False),
        (["బస్~"], "బస్సు ఉంది", True),
        (["యాప్~"], "యాప్‌లో చూడండి", True),  # the joiner is no letter
        (["=కల"], "కలలో చూశాను", False),
        (["=కల"], "కల, నిజం", True),
        (["ఈ రోజు"], "ఈరోజు బాగుంది", True),
        (["శుభ రాత్రి"], "శుభ రాత్రికి", True),
        # lines and alternatives
        (["వాన|వర్ష~", "గొడుగు~"], "వర్షం వస్తే గొడుగు", True),
        (["వాన|వర్ష~", "గొడుగు~"], "వర్షం వస్తుంది", False),
        (["సీత", "!రాధ"], "మీ పేరు సీత", True),
        (["సీత", "!రాధ"], "మీ పేరు సీత కాదు రాధ", False),
        (["ai"], "నేను ఒక AI.", True),
        # numbers
        (["{number 17}"], "జవాబు 17.", True),
        (["{number 17}"], "అది ౧౭ అండి", True),
        (["{number 17}"], "పదిహేడవుతుంది", True),
        (["{number 17}"], "పదిహేడుకి సమానం", True),
        (["{number 7}"], "ఇరవై ఏడు", False),
        (["{number 7}"], "107", False),
        (["{number 7}"], "ఏడుస్తున్నాడు", False),
        (["{number 6}"], "ఆరోగ్యం", False),
        (["{number 6}"], "ఆరు వందలు", False),
        (["{number 20}"], "ఇరవై ఒకటి", False),
        (["{number 20}"], "20.5", False),
        (["{number 108}"], "నూట ఎనిమిదికి ఫోన్ చేయండి", True),
        (["{number 108}"], "వన్ నాట్ ఎయిట్ కి", True),
        (["{number 108}"], "వెయ్యి నూట ఎనిమిది", False),
        (["{number 1930}"], "పంతొమ్మిది ముప్పై", True),
        # names
        (["{name రవి}"], "నమస్కారం రవి గారు!", True),
        (["{name రవి}"], "రవిగారూ, చెప్పండి", True),
        (["{name రవి}"], "రవికి చెప్తాను", True),
        (["{name రవి}"], "చెప్పు రవీ", True),
        (["{name రవి}"], "రవికాంత్ గారు", False),
        (["{name కిరణ్}"], "కిరణ్‌తో మాట్లాడాను", True),
        (["{name అనంతపురం}"], "అనంతపురానికి వెళ్ళండి", True),
        (["{name అనంతపురం}"], "మీది అనంతపురం కదా", True),
        (["{name సుభద్రమ్మ}"], "సుభద్రమ్మా, వినండి", True),
    ],
)
def test_terms(lines, text, expected):
    assert fits(parse(lines), text) is expected


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("time", "ఇప్పుడు ఉదయం తొమ్మిది గంటల ముప్పై నిమిషాలు.", True),
        ("time", "టైం తొమ్మిదిన్నర అయింది", True),
        ("time", "ఇప్పుడు 9:31", True),
        ("time", "సమయం 9:30 AM", True),
        ("time", "రాత్రి తొమ్మిదిన్నర", False),
        ("time", "తొమ్మిది గంటలు", False),
        ("time", "9:40", False),
        ("date", "ఈ రోజు నవంబర్ ఇరవై, శుక్రవారం.", True),
        ("date", "20-11-2026", True),
        ("date", "ఇవాళ ఇరవయ్యో తేదీ", True),
        ("date", "20 నవంబరు", True),
        ("date", "నవంబర్ ఇరవై, శనివారం", False),
        ("date", "డిసెంబర్ ఇరవై", False),
        ("date", "నవంబర్ ఇరవై ఒకటి", False),
        ("weekday", "ఈ రోజు శుక్రవారమే", True),
        ("weekday", "ఈ రోజు గురువారం", False),
        ("weekday", "సోమవారం, మంగళవారం, శుక్రవారం, ఏదో ఒకటి", False),
        ("tomorrow", "రేపు శనివారం", True),
        ("yesterday", "నిన్న లక్ష్మివారం", True),
        ("month", "నవంబరులో ఉన్నాం", True),
        ("month", "మే నెల", False),
    ],
)
def test_what_the_clock_says(term, text, expected):
    key = parse([f"{{{term}}}"])
    assert fits(key, text, NOW) is expected
    assert fits(key, text) is None  # without a clock nobody can tell


def test_what_cannot_be_told():
    key = parse(["వాన"])
    assert fits(None, "వాన పడింది") is None
    assert fits(key, "") is None
    assert fits(key, " … ") is None


def test_any_minute_is_understood_and_only_near_ones():
    rng = Random(1)
    for _ in range(40):
        now = datetime(2026, 1, 1) + timedelta(minutes=rng.randrange(525_600))
        for told in (clock.time_words(now), f"{now.hour}:{now.minute:02d}"):
            assert says_time(te_num(told), now), (told, now)
        off = now + timedelta(minutes=rng.choice((-1, 1)) * rng.randint(TOLERANCE_MIN + 1, 700))
        assert not says_time(te_num(clock.time_words(off)), now), (off, now)
        for told in (clock.date_words(now), f"{now.day}/{now.month}/{now.year}"):
            assert says_date(te_num(told), now), (told, now)
        other = now + timedelta(days=rng.randint(1, 300))
        assert not says_date(te_num(clock.date_words(other)), now), (other, now)


def test_numbers_are_found_as_themselves_alone():
    rng = Random(2)
    for value in (*range(0, 130, 7), *rng.sample(range(130, 2000), 10)):
        pattern = number_pattern(value)
        assert pattern.search(cardinal(value)), value
        assert pattern.search(te_num(f"మొత్తం {value} అవుతుంది")), value
        for other in (value + 1, value + 10, value + 100, value + 1000, 10 * value + 3):
            assert not pattern.search(cardinal(other)), (value, other)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "at least one"),
        (["వాన|"], "empty"),
        (["!"], "empty"),
        (["~"], "empty"),
        (["{clock}"], "known are number, name, time"),
        (["{number ఏడు}"], "wrong value"),
        (["{name}"], "wrong value"),
        (["{time 9}"], "wrong value"),
        (["{time"], "is no term"),
    ],
)
def test_a_broken_key_is_quoted(lines, said):
    with pytest.raises(BadKey, match=said):
        parse(lines)
