"""Dates and years in figures, as Telugu speakers read them: 20-11-2026 → నవంబర్ ఇరవై, ...

Takes text with ASCII figures and gives it back with the dates in words; figures that are no
possible date stay for the plain numbers. Knows no calendar beyond twelve months of 31 days.
"""

import re

from models.telugu.clock import MONTHS
from models.telugu.endings import ENDING, LETTER, inflect
from models.telugu.numbers import cardinal, genitive, year

_STEMS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LATIN = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![A-Za-z])"
)
_OTHER_SPELLINGS = ("సెప్టెంబరు", "అక్టోబరు", "నవంబరు", "డిసెంబరు", "ఆగష్టు")
_TELUGU = rf"(?:{'|'.join([*MONTHS, *_OTHER_SPELLINGS])})(?!{LETTER})"
_MONTH = rf"(?P<name>(?<![A-Za-z]){_LATIN}|(?<!{LETTER}){_TELUGU})"
_DAY, _YEAR = "(?P<day>0?[1-9]|[12][0-9]|3[01])", "(?P<year>1[0-9]{3}|20[0-9]{2})(?![0-9:])"
_NTH = "(?:(?:st|nd|rd|th)(?![A-Za-z]))?"

_NUMERIC = re.compile(
    rf"(?<![0-9./-]){_DAY}(?P<sep>[-/.])(?P<month>0?[1-9]|1[0-2])(?P=sep)"
    rf"(?P<year>1[0-9]{{3}}|20[0-9]{{2}}|(?<!\.)[0-9]{{2}})(?![0-9]|[-/.][0-9]){ENDING}"
)
_ISO = re.compile(
    rf"(?<![0-9./-])(?P<year>1[0-9]{{3}}|20[0-9]{{2}})-(?P<month>0[1-9]|1[0-2])-{_DAY}"
    rf"(?![0-9]|-[0-9]){ENDING}"
)
_DAY_FIRST = re.compile(
    rf"(?<![0-9.,/-]){_DAY}{_NTH}[ -]{_MONTH}\.?(?:[ ,-]{{1,2}}{_YEAR}{ENDING})?", re.IGNORECASE
)
_MONTH_FIRST = re.compile(
    rf"{_MONTH}\.? {_DAY}{_NTH}(?![0-9:.,]*[0-9])(?:,? {_YEAR})?{ENDING}", re.IGNORECASE
)
_MONTH_YEAR = re.compile(rf"{_MONTH}\.?,? {_YEAR}{ENDING}", re.IGNORECASE)
_YEARS = re.compile(
    r"(?<![0-9,.-])(?P<first>1[0-9]{3}|20[0-9]{2})\s?[-–—]\s?(?P<last>1[0-9]{3}|20[0-9]{2}|[0-9]{2})"
    rf"(?![0-9,-]){ENDING}"
)
_DECADE = re.compile(rf"(?<![0-9,.])(?P<year>1[0-9]{{3}}|20[0-9]{{2}})['’]?s(?![A-Za-z]){ENDING}")


def speak_dates(text: str) -> str:
    """Dates, years with a month, spans of years and decades of `text` in words."""
    text = _ISO.sub(_figures, text)
    text = _NUMERIC.sub(_figures, text)
    text = _DAY_FIRST.sub(_day_first, text)
    text = _MONTH_FIRST.sub(_month_first, text)
    text = _MONTH_YEAR.sub(lambda m: inflect(f"{_month(m)} {year(int(m['year']))}", m), text)
    text = _YEARS.sub(_span, text)
    return _DECADE.sub(_decade, text)


def _figures(match: re.Match[str]) -> str:
    number = int(match["year"])
    if number < 100:
        number += 2000 if number < 70 else 1900
    date = f"{MONTHS[int(match['month']) - 1]} {cardinal(int(match['day']))}"
    return inflect(f"{date}, {year(number)}", match)


def _month(match: re.Match[str]) -> str:
    name = match["name"]
    return MONTHS[_STEMS.index(name[:3].lower())] if name.isascii() else name


def _day_first(match: re.Match[str]) -> str:
    date = f"{cardinal(int(match['day']))} {_month(match)}"
    if not match["year"]:
        return date
    return inflect(f"{date} {year(int(match['year']))}", match)


def _month_first(match: re.Match[str]) -> str:
    if match["name"].isascii() or match["year"]:
        date = f"{_month(match)} {cardinal(int(match['day']))}"
        return inflect(f"{date}, {year(int(match['year']))}" if match["year"] else date, match)
    return match.group()  # మార్చి and మే are words too, and the number may count something


def _span(match: re.Match[str]) -> str:
    first, last = int(match["first"]), int(match["last"])
    if last == (first + 1) % 100:  # a school or budget year, 2025-26
        return inflect(f"{year(first)} {cardinal(last)}", match)
    if last > first:
        return inflect(f"{genitive(year(first))} నుంచి {year(last)}", match)
    return match.group()


def _decade(match: re.Match[str]) -> str:
    words = year(int(match["year"]))
    return inflect(words if words.endswith("లు") else f"{words}లు", match)
