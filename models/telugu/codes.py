"""Figures that name rather than count: telephone and card numbers, one-time passwords, PINs.

They are read digit by digit, with a breath (a comma) between groups. Which figures they are is
seen from their shape or from the words around them.
"""

import re

from models.telugu.numbers import spell

_NOT_MONEY = r"(?!\s?(?:రూ|Rs|INR|/-|లక్ష|కోట్|వేల))"
_PHONES = [
    re.compile(rf"(?<![0-9.,+])(?:(\+?91|0)[\s-]?)?([6-9][0-9]{{4}})[\s-]?([0-9]{{5}})(?![0-9]){_NOT_MONEY}"),
    re.compile(r"(?<![0-9])(1[89]00|18[0-9]0)[\s-]([0-9]{2,4})[\s-]?([0-9]{3,4})(?![0-9])"),
    re.compile(r"(?<![0-9.,])(0[1-9][0-9]{1,3})[\s-]([0-9]{3,4})[\s-]?([0-9]{3,4})(?![0-9])"),
    re.compile(r"(?<![0-9])(\+[1-9][0-9]{0,2})[\s-]?([0-9]{2,5})[\s-]?([0-9]{2,5})[\s-]?([0-9]{2,5})?(?![0-9])"),
    re.compile(r"(?<![0-9])([0-9]{4})[\s-]([0-9]{4})[\s-]([0-9]{4})(?:[\s-]([0-9]{4}))?(?![0-9])"),
]  # fmt: skip

_SECRET = "OTP|PIN|MPIN|CVV|PNR|code|password|పిన్|ఓటీపీ|ఓటిపి|ఒటిపి|ఎంపిన్|సీవీవీ|కోడ్|పాస్‌?వర్డ్|పీఎన్ఆర్|పీఎన్‌ఆర్"
_NUMBERED = (
    "number|phone|mobile|account|Aadhaar|ID|call|dial|helpline|నంబర్|నంబరు|నెంబర్|నెంబరు|ఫోన్|మొబైల్|ఆధార్|ఐడీ"
    "|హెల్ప్‌?లైన్|టోల్|train|రైలు"
)
_LETTERS = "[A-Za-z\u0c00-\u0c65\u200c\u200d]"
# Three figures or more after a password word, four after the words that announce a number; up to
# two words may stand between (మీ OTP ఇదిగో: 4821). A unit behind them makes it a quantity again.
_GAP = rf"{_LETTERS}*[\s:=.–-]{{0,3}}(?:{_LETTERS}+[\s:=,-]{{1,3}}){{0,2}}"
_QUANTITY = r"(?!\s?(?:రూ|₹|%|శాతం|లక్ష|కోట్|వేల|మంది|నిమిష|గంట|రోజు|కిలో|మీట|సంవత్స|[:/.,][0-9]|[0-9]))"
_ANNOUNCED = [
    re.compile(rf"((?<!{_LETTERS})(?:{_SECRET}){_GAP})([0-9]{{3,}}){_QUANTITY}", re.IGNORECASE),
    re.compile(rf"((?<!{_LETTERS})(?:{_NUMBERED}){_GAP})([0-9]{{4,}}){_QUANTITY}", re.IGNORECASE),
]
_FOLLOWED = re.compile(
    rf"(?<![0-9.,])([0-9]{{3,8}})(?=\s(?:మీ|అనేది|is|your)?\s?(?:the\s)?(?:{_SECRET})(?![A-Za-z]))",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"(?<![0-9.,])([0-9]{4,5})(?=\s?(?:కి|కు)?\s(?:కాల్|ఫోన్|డయల్|call|dial)(?!ల))", re.IGNORECASE
)
_LONG = re.compile(r"(?<![0-9.,])([0-9]{8,})(?![0-9.,]*[0-9])(?!\s?(?:రూ|Rs|INR|/-))")
_MASKED = re.compile(r"((?<![A-Za-z0-9])[Xx*]{2,})[\s-]?([0-9]{2,6})(?![0-9])")  # XX1234
_HASH = re.compile("#([0-9]{4,})(?![0-9.,]*[0-9])")
_GROUP = 5  # digits said in one breath


def speak_codes(text: str) -> str:
    """Telephone numbers and codes of `text` digit by digit."""
    for phone in _PHONES:
        text = phone.sub(lambda m: ", ".join(_group(g) for g in m.groups() if g), text)
    text = _HASH.sub(lambda m: f" నంబర్ {_breathe(m[1])}", text)
    text = _MASKED.sub(lambda m: f"{m[1]} {spell(m[2])}", text)
    for announced in _ANNOUNCED:
        text = announced.sub(lambda m: m[1] + _breathe(m[2]), text)
    for shape in (_FOLLOWED, _CALLED, _LONG):
        text = shape.sub(lambda m: _breathe(m[1]), text)
    return text


def _group(digits: str) -> str:
    return f"ప్లస్ {spell(digits[1:])}" if digits[0] == "+" else spell(digits)


def _breathe(digits: str) -> str:
    """Long codes in groups: up to six digits in one breath, then fives."""
    if len(digits) <= _GROUP + 1:
        return spell(digits)
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return ", ".join(spell(group) for group in groups)
