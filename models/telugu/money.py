"""Money in figures, as Telugu speakers say it: ₹1,250.50, Rs. 250/-, 2.5 lakh, ₹100/kg.

Takes text with ASCII figures and gives it back with the prices in words; other figures stay.
"""

import re

from models.telugu.endings import ENDING, LETTER, inflect
from models.telugu.numbers import NUMBER, attributive, cardinal, genitive, say

_MAGNITUDES = (
    "వందలు|వందల|వంద|వేలు|వేల|వెయ్యి|వేయి|లక్షలు|లక్షల|లక్ష|కోట్లు|కోట్ల|కోటి|మిలియన్లు|మిలియన్ల|మిలియన్|బిలియన్లు|బిలియన్ల|బిలియన్"
)
_LATIN_MAGNITUDES = (
    (r"lakhs?|lacs?", "లక్ష", "లక్షలు"),
    (r"crores?|cr", "కోటి", "కోట్లు"),
    (r"thousand|k", "వెయ్యి", "వేలు"),
    (r"million|mn", "మిలియన్", "మిలియన్లు"),
    (r"billion|bn", "బిలియన్", "బిలియన్లు"),
)
_MAGNITUDE_WORDS = [
    (re.compile(rf"(?P<n>{NUMBER})\s?(?:{latin})\.?(?![A-Za-z])", re.IGNORECASE), one, many)
    for latin, one, many in _LATIN_MAGNITUDES
]
_LAKH_OF_MONEY = re.compile(rf"((?:₹|రూ\.?|Rs\.?)\s?{NUMBER})L(?![A-Za-z])")

_CURRENCIES = {  # sign: one, many, hundredth part
    "₹": ("రూపాయి", "రూపాయలు", "పైసలు"),
    "$": ("డాలర్", "డాలర్లు", "సెంట్లు"),
    "€": ("యూరో", "యూరోలు", "సెంట్లు"),
    "£": ("పౌండ్", "పౌండ్లు", "పెన్నీలు"),
}
_RUPEE_WORD = r"(?:రూ(?:\.|(?=\s?[0-9]))|(?:Rs\.?|INR|(?i:rupees?))(?![A-Za-z]))"
_RUPEE_BEFORE = re.compile(rf"(?<![A-Za-z])(?<!{LETTER}){_RUPEE_WORD}\s?(?=[0-9])")
_RUPEE_AFTER = re.compile(
    rf"(?<![0-9.,₹])({NUMBER})(\s?(?:{_MAGNITUDES}))?\s?(?:రూ\.|రూ(?!{LETTER})|Rs\.?(?![A-Za-z])"
    r"|INR(?![A-Za-z])|(?i:rupees?)(?![A-Za-z])|₹(?!\s?[0-9])|/-)"
)
_PER = {"kg": "కిలోకి", "g": "గ్రాముకి", "l": "లీటరుకి", "ltr": "లీటరుకి", "day": "రోజుకి",
        "month": "నెలకి", "year": "సంవత్సరానికి", "hour": "గంటకి", "hr": "గంటకి", "km": "కిలోమీటరుకి",
        "person": "ఒక్కొక్కరికి", "week": "వారానికి", "min": "నిమిషానికి"}  # fmt: skip
_PRICE = re.compile(
    rf"(?P<sign>[₹$€£])\s?(?P<low>{NUMBER})(?:\s?[-–—]\s?(?:(?P=sign)\s?)?(?P<high>{NUMBER}))?"
    rf"(?:\s?(?P<magnitude>{_MAGNITUDES})(?!{LETTER}))?(?:\s?/-)?"
    rf"(?:\s?(?:రూపాయలు|రూపాయల|రూపాయి)(?!{LETTER})|\s?లు(?!{LETTER}))?"
    rf"(?:\s?(?:/|(?i:per))\s?(?P<per>(?i:{'|'.join(_PER)}))(?![A-Za-z]))?{ENDING}"
)
_SPELLED_RUPEES = re.compile(rf"(?P<n>{NUMBER})\s?రూపాయ(?P<rest>{LETTER}*)")
_PER_UNIT = re.compile(rf"(?<={LETTER})\s?/\s?({'|'.join(_PER)})(?![A-Za-z])", re.IGNORECASE)


def speak_magnitudes(text: str) -> str:
    """Lakh, crore and their like from Latin letters: 2.5 lakh → 2.5 లక్షలు, 10k → 10 వేలు."""
    text = _LAKH_OF_MONEY.sub(r"\1 లక్షలు", text)
    for pattern, one, many in _MAGNITUDE_WORDS:
        text = pattern.sub(
            lambda m, one=one, many=many: f"{m['n']} {one if m['n'] == '1' else many}", text
        )
    return text


def speak_money(text: str) -> str:
    """Prices of `text` in words, whether the currency stands before or behind the figures."""
    text = _RUPEE_BEFORE.sub("₹", text)
    text = _RUPEE_AFTER.sub(lambda m: f"₹{m[1]}{m[2] or ''}", text)
    text = _PRICE.sub(_price, text)
    text = _SPELLED_RUPEES.sub(_spelled_rupees, text)
    return _PER_UNIT.sub(lambda m: f" {_PER[m[1].lower()]}", text)


def _price(match: re.Match[str]) -> str:
    per = match["per"]
    return f"{_PER[per.lower()]} {_money(match)}" if per else _money(match)


def _money(match: re.Match[str]) -> str:
    one, many, hundredths = _CURRENCIES[match["sign"]]
    low, high, magnitude = match["low"], match["high"], match["magnitude"]
    start = f"{genitive(say(low))} నుంచి " if high else ""
    number = high or low
    if magnitude:
        return start + inflect(f"{say(number, counting=True)} {genitive(magnitude)} {many}", match)
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(fraction) == 2 and len(whole) < 15:
        money = _with_hundredths(int(whole), int(fraction), one, many, hundredths)
    else:
        money = f"{say(number, counting=True)} {one if number == '1' else many}"
    return start + inflect(money, match)


def _with_hundredths(whole: int, part: int, one: str, many: str, hundredths: str) -> str:
    small = f"{attributive(part)} {hundredths}"
    if not whole and part:
        return small
    money = f"{attributive(whole)} {one if whole == 1 else many}"
    return f"{genitive(money)} {small}" if part else money


def _spelled_rupees(match: re.Match[str]) -> str:
    """Keeps the form of రూపాయలు as written, and moves it to the paise where there are any."""
    whole, _, fraction = match["n"].replace(",", "").partition(".")
    rest = match["rest"]
    if len(fraction) != 2 or len(whole) > 14:
        return f"{say(match['n'], counting=True)} రూపాయ{rest}"
    if fraction == "00":
        return f"{attributive(int(whole))} రూపాయ{rest}"
    ending = rest if rest.startswith("ల") else "లు"
    return f"{cardinal(int(whole))} రూపాయల {attributive(int(fraction))} పైస{ending}"
