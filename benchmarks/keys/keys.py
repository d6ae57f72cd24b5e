"""What a fitting answer to a caller's turn holds, and whether a bot's text holds it.

A key is a tuple of lines that must all hold. A line lists alternatives between `|`, of which one is
enough; `!` in front of a line says that none of them may be there. An alternative is

    వాన               a word that begins so, the last akshara unchanged (వానలో; not వానా, వాన్)
    వర్ష~             a word that begins so, whatever the last letter takes (వర్షం, వర్షాలు)
    =వాన              exactly this word
    శుభ రాత్రి         words in a row, the last of which may go on; the space between may be missing
    {number 17}       the number, in figures or words, case endings included
    {name రవి}        a name with its endings (రవికి, రవిగారు, రవీ); no longer name (రవికాంత్)
    {time} {date} {weekday} {tomorrow} {yesterday} {month}   what the call's clock says

Texts are compared after te-std (figures and the clock after te-num). A key is a lower bound on
content: it knows what must be said, not whether the rest is sensible; a language model may be asked
that (`judge/content.py`). Knows nothing about calls, engines or sets.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from benchmarks.keys.values import CLOCK, name_pattern, number_pattern
from models.telugu.normalizers import te_num
from models.telugu.standard import te_std

# A vowel sign, a virama or an anusvara belongs to the letter before it: a stem that ends there
# would end inside an akshara, and కల would be found in కల్లు.
_SIGNS = "\u0c00-\u0c04\u0c3c-\u0c4d\u0c55\u0c56\u0c62\u0c63"
_TERM = re.compile(r"\{(\w+)(?: ([^{}]+))?\}")


class BadKey(ValueError):
    """A key breaks the grammar; the message quotes the line and says what is wrong."""


@dataclass(frozen=True)
class Key:
    """A key that follows the grammar: made by `parse`."""

    lines: tuple[str, ...]

    @property
    def clocked(self) -> bool:
        """Whether only a clock can tell what fits."""
        return any(f"{{{name}}}" in line for line in self.lines for name in CLOCK)


def parse(lines: Iterable[str]) -> Key:
    """The key of these lines.

    Raises:
        BadKey: no line, an empty alternative, or a term that does not exist.
    """
    key = Key(tuple(lines))
    if not key.lines:
        raise BadKey("a key without a line would fit everything: write at least one")
    for line in key.lines:
        for alternative in line.removeprefix("!").split("|"):
            _check(alternative, line)
    return key


def fits(key: Key | None, bot_text: str, now: datetime | None = None) -> bool | None:
    """Whether the answer fits; None where there is no key, no text, or no clock for a clocked key.

    Args:
        key: of the turn.
        bot_text: what the bot meant to say.
        now: local time of the server when it answered, for `{time}` and its kin.
    """
    text = _Text(bot_text)
    if key is None or not text.std or (key.clocked and now is None):
        return None
    return all(_holds(line, text, now) for line in key.lines)


class _Text:
    """A bot's text in the forms that terms look at."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self.std = te_std(raw)

    @cached_property
    def num(self) -> str:
        """Figures as Telugu words."""
        return te_num(self._raw)


def _holds(line: str, text: _Text, now: datetime | None) -> bool:
    alternatives = line.removeprefix("!").split("|")
    found = any(_found(alternative, text, now) for alternative in alternatives)
    return found != line.startswith("!")


def _found(alternative: str, text: _Text, now: datetime | None) -> bool:
    if term := _TERM.fullmatch(alternative):
        kind, value = term[1], term[2]
        if kind == "number":
            return bool(number_pattern(int(value)).search(text.num))
        if kind == "name":
            return bool(name_pattern(value).search(text.std))
        assert now is not None  # `fits` answers None for a clocked key without a clock
        return CLOCK[kind](text.num, now)
    return bool(_stem(alternative).search(text.std))


@lru_cache(maxsize=4096)
def _stem(alternative: str) -> re.Pattern[str]:
    whole, loose = alternative.startswith("="), alternative.endswith("~")
    stem = te_std(alternative.strip("=~"))
    stem = stem.removesuffix("\u0c4d") if loose else stem  # బస్~ finds బస్సు as well as బస్‌లో
    body = " ?".join(map(re.escape, stem.split()))  # ఈ రోజు and ఈరోజు are one spelling to a reader
    end = r"(?!\S)" if whole else "" if loose else f"(?![{_SIGNS}])"
    return re.compile(rf"(?<!\S){body}{end}")


def _check(alternative: str, line: str) -> None:
    if alternative.startswith("{"):
        term = _TERM.fullmatch(alternative)
        wants = {"number": r"\d+", "name": r".+"} | dict.fromkeys(CLOCK, "")
        if term is None or term[1] not in wants:
            known = ", ".join(wants)
            raise BadKey(f"key {line!r}: {alternative!r} is no term; known are {known}")
        if not re.fullmatch(wants[term[1]], term[2] or ""):
            raise BadKey(f"key {line!r}: {alternative!r} has the wrong value")
    elif not te_std(alternative.strip("=~")):
        raise BadKey(f"key {line!r}: an alternative is empty and would fit everything")
