"""An answer that would fit a turn, with what the call's clock says filled in.

Knows nothing of sets or calls.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from models.telugu import clock

_SLOT = re.compile(r"\{(\w+)\}")
_WORDS: dict[str, Callable[[datetime], str]] = {
    "time": clock.time_words,
    "date": clock.date_words,
    "weekday": clock.weekday_words,
    "tomorrow": lambda now: clock.weekday_words(now + timedelta(days=1)),
    "yesterday": lambda now: clock.weekday_words(now - timedelta(days=1)),
    "month": lambda now: clock.MONTHS[now.month - 1],
}


def filled(example: str, now: datetime | None) -> str | None:
    """The example as it would have been said at `now`; None where only a clock can tell."""
    if now is None:
        return None if _SLOT.search(example) else example
    return _SLOT.sub(lambda found: _WORDS[found[1]](now), example)
