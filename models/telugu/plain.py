"""Bare figures as Telugu words, in the form that the word behind them asks for.

2 మంది → ఇద్దరు, 5వ → ఐదవ, 200 రోజులు → రెండు వందల రోజులు, 3లో → మూడులో. Telugu counts things and
people differently and inflects the number before a noun; which of these applies is read off the
next word. Comes last: every figure that still stands is said.
"""

import re

from models.telugu.endings import LETTER, attach, is_ending, stands_alone, wants_genitive
from models.telugu.numbers import (
    NUMBER,
    genitive,
    numbered,
    ordinal,
    say,
    year,
)

_NUMBER = re.compile(rf"({NUMBER})(?:(\s?)({LETTER}+))?")
_ENGLISH_ORDINAL = re.compile(r"(?<![0-9.,])([0-9]{1,9})(?:st|nd|rd|th)(?![A-Za-z])", re.IGNORECASE)
_ORDINAL = re.compile(r"వ(?:ది|దాన్ని|దానికి|దాని|దానిలో|దిగా|వాడు|సారి|ర్యాంకు)?")
_DATE_NEXT = re.compile(r"\s?తేద")
_PEOPLE = ("", "ఒక్కరు", "ఇద్దరు", "ముగ్గురు", "నలుగురు", "ఐదుగురు", "ఆరుగురు", "ఏడుగురు")
_PERSONS = re.compile("మంది(కి|కే|ని|లో|తో|కోసం)?")
_YEAR_NEXT = re.compile("(?:సంవత్సర|సం|నుంచి|నుండి|వరకు|వరకూ|దాకా|నాటి|నాటికి|లో)")
_ERA = re.compile("(?:శకం|పూర్వం|సంవత్సరం)\\s*$")
_LABEL = re.compile("(?:నంబర[్ు]|నెంబర[్ు]|దశ|స్టెప్|ఐటెం|లైన్|గది|పేజీ|ప్లాట్‌?ఫారమ్?|ఎంపిక|ఆప్షన్)\\s*[:#-]?\\s*$")
_TOUCHING = re.compile("(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")


def speak_numbers(text: str) -> str:
    """Every remaining figure of `text` in words, its ending joined."""
    text = _ENGLISH_ORDINAL.sub(lambda m: ordinal(int(m[1])), text)
    return _NUMBER.sub(_number, _TOUCHING.sub(" ", text))


def _number(match: re.Match[str]) -> str:
    number, gap, word = match[1], match[2] or "", match[3] or ""
    # Figures that touch a Telugu word stay a word of their own.
    before = match.string[match.start() - 1 : match.start()]
    lead = " " if before and re.match(LETTER, before) else ""
    return lead + _in_form(number, gap, word, match)


def _in_form(number: str, gap: str, word: str, match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 20) : match.start()]
    value = int(number) if number.isascii() and number.isdigit() and len(number) < 15 else None
    if value is not None and 1100 <= value <= 1999 and _ERA.search(before):
        return _followed(year(value), gap, word)
    if not word:
        return say(number)
    if value is not None and _ORDINAL.fullmatch(word):
        dated = _DATE_NEXT.match(match.string, match.end())
        return (numbered if dated else ordinal)(value) + word[1:]
    if value is not None and value < len(_PEOPLE) and value and _PERSONS.fullmatch(word):
        return _persons(value, word.removeprefix("మంది"))
    if value is not None and 3 <= value < len(_PEOPLE) and word.startswith("గురు"):
        return _PEOPLE[value] + word.removeprefix("గురు")
    if value is not None and 1100 <= value <= 1999 and _YEAR_NEXT.match(word):
        return _followed(year(value), gap, word)
    if is_ending(word, apart=bool(gap)) or wants_genitive(word):
        return _followed(say(number), gap, word)
    if stands_alone(word) or _LABEL.search(before):
        return f"{say(number)} {word}"
    return f"{say(number, counting=True)} {word}"


def _followed(words: str, gap: str, word: str) -> str:
    if not word:
        return words
    if is_ending(word, apart=bool(gap)):
        return attach(words, word)
    return f"{genitive(words)} {word}"


def _persons(value: int, ending: str) -> str:
    """Two to seven people have numerals of their own: 2 మందికి → ఇద్దరికి."""
    people = _PEOPLE[value]
    if not ending:
        return people
    return f"{people.removesuffix('ు')}{'ి' if ending in ('కి', 'కే', 'ని', 'లో', 'తో') else 'ి '}{ending}"
