"""A moment on the clock as Telugu words, the way one says it aloud.

Knows no time zone and never asks what time it is: the caller brings the `datetime`.
"""

from datetime import datetime

from models.telugu.numbers import cardinal

MONTHS = (
    "జనవరి",
    "ఫిబ్రవరి",
    "మార్చి",
    "ఏప్రిల్",
    "మే",
    "జూన్",
    "జూలై",
    "ఆగస్టు",
    "సెప్టెంబర్",
    "అక్టోబర్",
    "నవంబర్",
    "డిసెంబర్",
)
WEEKDAYS = (  # Monday first, as datetime.weekday() counts
    "సోమవారం",
    "మంగళవారం",
    "బుధవారం",
    "గురువారం",
    "శుక్రవారం",
    "శనివారం",
    "ఆదివారం",
)


def period(moment: datetime) -> str:
    """The part of the day an hour is named with: ఉదయం, మధ్యాహ్నం, సాయంత్రం, రాత్రి, తెల్లవారుజామున."""
    hour = moment.hour
    if 3 <= hour < 5:
        return "తెల్లవారుజామున"
    if 5 <= hour < 12:
        return "ఉదయం"
    if 12 <= hour < 16:
        return "మధ్యాహ్నం"
    if 16 <= hour < 19:
        return "సాయంత్రం"
    return "రాత్రి"


def time_words(moment: datetime) -> str:
    """The time of day to the minute: 09:30 → ఉదయం తొమ్మిది గంటల ముప్పై నిమిషాలు."""
    hour = moment.hour % 12 or 12
    minute = moment.minute
    # One o'clock has its own form, ఒంటి గంట, and takes no plural.
    if minute == 0:
        spoken = "ఒంటి గంట" if hour == 1 else f"{cardinal(hour)} గంటలు"
    else:
        hours = "ఒంటి గంట" if hour == 1 else f"{cardinal(hour)} గంటల"
        minutes = "ఒక నిమిషం" if minute == 1 else f"{cardinal(minute)} నిమిషాలు"
        spoken = f"{hours} {minutes}"
    return f"{period(moment)} {spoken}"


def weekday_words(moment: datetime) -> str:
    """The day of the week: శుక్రవారం."""
    return WEEKDAYS[moment.weekday()]


def date_words(moment: datetime) -> str:
    """Month, day and day of the week: 20 November 2026 → నవంబర్ ఇరవై, శుక్రవారం."""
    return f"{MONTHS[moment.month - 1]} {cardinal(moment.day)}, {weekday_words(moment)}"
