"""Times of day in figures, as Telugu speakers read them: 17:45కి → సాయంత్రం ఐదు గంటల ...

Takes text with ASCII figures and gives it back with the times in words. Knows nothing of dates and
never asks what time it is.
"""

import re
from datetime import datetime

from models.telugu.clock import period
from models.telugu.endings import ENDING, LETTER, attach, inflect
from models.telugu.numbers import cardinal, genitive, half

_PERIODS = re.compile("(?:ఉదయం|ఉదయాన|మధ్యాహ్నం|సాయంత్రం|రాత్రి|తెల్లవారుజామున?|అర్ధరాత్రి|అర్ధరాత్రి|పొద్దున్నే?|పొద్దున)$")
_HALF_DAY = r"\s?(?P<half>[ap])(?:\.\s?m\.|m(?![A-Za-z]))"  # am, a.m.
_HOURS = rf"\s?(?P<hours>గంట{LETTER}*|గం\.)"
_END = r"(?![0-9]|[:.][0-9])"
_SHAPES = (
    # 9:30, 17:45:10 with anything behind it; 9.30 and 9 only where am or గంటలకు tells them apart
    "(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?"
    f"{_END}(?:{_HALF_DAY})?(?:{_HOURS})?",
    rf"(?P<hour>[01]?[0-9]|2[0-3])\.(?P<minute>[0-5][0-9]){_END}{_HALF_DAY}(?:{_HOURS})?",
    rf"(?P<hour>[01]?[0-9]|2[0-3])\.(?P<minute>[0-5][0-9]){_END}{_HOURS}",
    f"(?P<hour>0?[1-9]|1[0-2]){_HALF_DAY}(?:{_HOURS})?",
)
_TIMES = [re.compile(rf"(?<![0-9:.,]){shape}{ENDING}", re.IGNORECASE) for shape in _SHAPES]
_ONE_HOUR = re.compile(rf"(?<![0-9:.,])1 (?P<hours>గంట(?!న్నర){LETTER}*)")

_TIME = r"[0-9]{1,2}(?:[:.][0-5][0-9])?(?:\s?[ap](?:\.\s?m\.|m(?![A-Za-z]))|(?<=:[0-9]{2}))"
_SPAN = re.compile(
    rf"(?<![0-9:.,])({_TIME})\s?[-–—]\s?({_TIME})(?![0-9:])(?!\s?(?:వరకు|దాకా))", re.IGNORECASE
)


def speak_times(text: str) -> str:
    """Times of `text` in words; 10 am - 6 pm is said నుంచి ... వరకు."""
    text = _SPAN.sub(r"\1 నుంచి \2 వరకు", text)
    for shape in _TIMES:
        text = shape.sub(_time, text)
    return _ONE_HOUR.sub(_one_hour, text)


def _time(match: re.Match[str]) -> str:
    parts = match.groupdict()
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    half_day, hours = parts.get("half"), parts.get("hours")
    if half_day and hour <= 12:
        hour = hour % 12 + (12 if half_day in "pP" else 0)
    told = half_day or hour > 12 or hour == 0  # whether the figures themselves tell day from night
    part = f"{period(datetime(2000, 1, 1, hour % 24))} " if told and not _named(match) else ""
    words = _words(hour % 12 or 12, minute, second)
    if hours is None:
        return part + inflect(words, match)
    if minute == 30 and not second:
        return f"{part}{words} {'గంటలు' if hours == 'గం.' else hours}"
    return part + _with_hours(words, hours)


def _named(match: re.Match[str]) -> bool:
    """Whether the part of the day is already said: రాత్రి 9:30."""
    return _PERIODS.search(match.string[: match.start()].rstrip()) is not None


def _words(hour: int, minute: int, second: int) -> str:
    if minute == 30 and not second:
        return half(hour)
    hours = "ఒంటి గంట" if hour == 1 else f"{cardinal(hour)} గంటలు"
    if not minute and not second:
        return hours
    words = f"{genitive(hours)} " + ("ఒక నిమిషం" if minute == 1 else f"{cardinal(minute)} నిమిషాలు")
    return f"{genitive(words)} {cardinal(second)} సెకన్లు" if second else words


def _with_hours(words: str, hours: str) -> str:
    """Moves the ending of the written గంటలకు to the last word said."""
    ending = hours.removeprefix("గంట").removeprefix("ల")
    if hours == "గం." or ending in ("", "ు"):
        return genitive(words) if hours == "గంటల" else words
    return attach(words, ending)


def _one_hour(match: re.Match[str]) -> str:
    """One o'clock is ఒంటి గంట, but one hour long is ఒక గంట: the part of the day decides."""
    if not _named(match):
        return match.group()
    return _with_hours("ఒంటి గంట", match["hours"])
