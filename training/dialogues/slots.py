"""What fills the braces of a dialogue template: names, places, things, small sums, a clock.

Knows nothing about intents. Every value is drawn from the random generator it is handed, and all
values of one turn are drawn together, because some belong to each other (a, b and their sum).
"""

import random
import tomllib
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from models.telugu import clock
from models.telugu.numbers import cardinal

Slots = dict[str, str]

_HERE = Path(__file__).parent
# Syllables that invented names are made of. A model that has only met real names learns them by
# heart; one that also meets invented ones has to copy what the caller said.
_OPEN = ["క", "గ", "చ", "జ", "త", "ద", "న", "ప", "బ", "మ", "య", "ర", "ల", "వ", "శ", "స", "హ"]
_SIGNS = ["", "ా", "ి", "ీ", "ు", "ూ", "ే", "ో"]
_ENDS = ["", "ా", "ి", "ు", "య్య", "మ్మ", "న్", "ష్", "జ", "త", "వతి", "రావు", "దేవి", "లక్ష్మి"]


@cache
def word_lists() -> dict[str, list[str]]:
    """The lists of `slots.toml`: slot name → words."""
    return tomllib.loads((_HERE / "slots.toml").read_text(encoding="utf-8"))["lists"]


@cache
def macros() -> dict[str, str]:
    """The macros of `slots.toml`: `<tell>` → an alternation such as `(చెప్పండి|చెప్పు)`."""
    return tomllib.loads((_HERE / "slots.toml").read_text(encoding="utf-8"))["macros"]


def invented_name(rng: random.Random) -> str:
    """A pronounceable Telugu name that very likely nobody bears."""
    body = "".join(rng.choice(_OPEN) + rng.choice(_SIGNS) for _ in range(rng.randint(1, 2)))
    return body + rng.choice(_OPEN) + rng.choice(_ENDS)


def phrase(rng: random.Random) -> str:
    """Two to five words in no order anyone could foresee: what a caller wants said after them."""
    pool = ("item", "city", "name", "dish", "relative", "place", "count", "subject")
    words = [
        invented_name(rng) if rng.random() < 0.4 else rng.choice(word_lists()[rng.choice(pool)])
        for _ in range(rng.randint(2, 5))
    ]
    return " ".join(words)


def sums(rng: random.Random) -> Slots:
    """Operands and results of the sums the assistant can do: all words, results 0..100.

    `{a}+{b}={plus}`, `{big}-{small}={minus}`, `{m}×{n}={times}`, `{whole}/{parts}={share}`.
    """
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    small, minus = rng.randint(1, 10), rng.randint(1, 10)
    m, n = rng.randint(2, 10), rng.randint(2, 10)
    parts, share = rng.randint(2, 5), rng.randint(1, 10)
    half = rng.randint(1, 20)
    values = {
        "a": a,
        "b": b,
        "plus": a + b,
        "big": small + minus,
        "small": small,
        "minus": minus,
        "m": m,
        "n": n,
        "times": m * n,
        "whole": parts * share,
        "parts": parts,
        "share": share,
        "even": 2 * half,
        "half": half,
        "next": half + 1,
    }
    return {key: cardinal(value) for key, value in values.items()}


def clock_slots(now: datetime) -> Slots:
    """Everything the assistant may say about `now`, as words."""
    period = clock.period(now)
    wishes = {"ఉదయం": "శుభోదయం", "మధ్యాహ్నం": "శుభ మధ్యాహ్నం", "సాయంత్రం": "శుభ సాయంత్రం"}
    return {
        "time": clock.time_words(now),
        "date": clock.date_words(now),
        "weekday": clock.weekday_words(now),
        "month": clock.MONTHS[now.month - 1],
        "tomorrow": clock.weekday_words(now + timedelta(days=1)),
        "yesterday": clock.weekday_words(now - timedelta(days=1)),
        "wish": wishes.get(period, "సంతోషం"),
    }


def moment(rng: random.Random) -> datetime:
    """A minute of some day, every hour of the day and day of the year equally likely."""
    return datetime(2026, 1, 1) + timedelta(minutes=rng.randrange(3 * 365 * 24 * 60))


def draw(rng: random.Random, now: datetime, *, invented: float = 0.0) -> Slots:
    """One value for every slot; `invented` is the chance that the name is a made-up one."""
    slots = {name: rng.choice(words) for name, words in word_lists().items()}
    if rng.random() < invented:
        slots["name"] = invented_name(rng)
    states = list(CAPITALS)
    state = rng.choice(states)
    slots |= {"state": state, "capital": CAPITALS[state], "phrase": phrase(rng)}
    return slots | sums(rng) | clock_slots(now)


CAPITALS = {
    "తెలంగాణ": "హైదరాబాద్",
    "ఆంధ్రప్రదేశ్": "అమరావతి",
    "కర్ణాటక": "బెంగళూరు",
    "తమిళనాడు": "చెన్నై",
    "మహారాష్ట్ర": "ముంబై",
    "కేరళ": "తిరువనంతపురం",
    "ఒడిశా": "భువనేశ్వర్",
    "భారతదేశం": "న్యూ ఢిల్లీ",
}
