"""Characters before and after the words: one plain alphabet in, signs said, pauses out.

`prepare` brings any Unicode text to ASCII figures and Latin letters, Telugu letters and a few
signs; `speak_signs` says arithmetic, ranges, fractions and abbreviations; `punctuate` leaves only
Telugu letters and the marks that carry a pause.
"""

import re
import unicodedata
from functools import lru_cache

from models.telugu.endings import LETTER
from models.telugu.numbers import NUMBER, genitive, half, say, spell

_BEFORE_NFKC = str.maketrans(
    {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "²": "^2", "³": "^3"}
    | {"º": "°", "−": "-", "‐": "-", "‑": "-", "₨": "Rs", "।": ". ", "॥": ". ", "，": ", "}
)
_LATIN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d"}
_LATIN |= {"þ": "th", "ł": "l", "ı": "i"}
_KEPT = frozenset("₹€£°×÷√π±–—“”‘’\u200c")
_QUOTES = re.compile("[\"“”‘’«»]|(?<![A-Za-z])'|'(?![A-Za-z])")
_NOT_PLAIN = re.compile("[^\x00-\x7f\u0c00-\u0c65\u0c70-\u0c77\u200c]")
_UNASSIGNED = re.compile(  # gaps of the block, and signs that nobody says
    "[\u0c0d\u0c11\u0c29\u0c3a\u0c3b\u0c45\u0c49\u0c4e-\u0c54\u0c57\u0c5b-\u0c5f\u0c64\u0c65\u0c70-\u0c77]"
)
_BULLET = re.compile(r"(?m)^[ \t]*[-*+•·–—][ \t]+")
_BARE_FRACTION = re.compile(r"(?<![^\s(₹$€£-])\.(?=[0-9])")  # .5 is 0.5, but రూ.5 is not రూ0.5
# No quantity and no code is so long. Hidden in private characters until it is spelled, because the
# patterns for numbers, which look at every start of a run, take time quadratic in its length.
_ENDLESS = re.compile("[0-9]{25,}")
_HIDDEN = {ord("0") + digit: 0xE000 + digit for digit in range(10)}
_HIDDEN_RUN = re.compile("[\ue000-\ue009]+")
_MINUS_MONEY = re.compile(r"(?<![^\s(])-\s?(?=[₹$€£]\s?[0-9])|(?<=[₹$€£])-(?=[0-9])")
_LETTER_NAME = "ఎ|ఏ|బి|బీ|సి|సీ|డి|డీ|ఇ|ఈ|ఎఫ్|జి|జీ|హెచ్|ఐ|జె|జే|కె|కే|ఎల్|ఎం|ఎమ్|ఎన్|ఓ|పి|పీ|క్యూ|ఆర్|ఎస్|టి|టీ|యు|యూ|వి|వీ|వై"
_ERAS = [
    (re.compile(r"(?<![^\s(,])క్రీ\.?\s?శ(?:\.\s?|(?=\s|[0-9]))"), "క్రీస్తు శకం "),
    (re.compile(r"(?<![^\s(,])క్రీ\.?\s?పూ(?:\.\s?|(?=\s|[0-9]))"), "క్రీస్తు పూర్వం "),
]
_ABBREVIATIONS = [
    (re.compile(rf"(?<!\S)డా\. (?={LETTER})"), "డాక్టర్ "),
    (re.compile(rf"(?<!\S)ప్రొ\. (?={LETTER})"), "ప్రొఫెసర్ "),
    (re.compile(rf"(?<!\S)({_LETTER_NAME})\. (?={LETTER})"), r"\1 "),  # ఎన్. టి. రామారావు
]
# Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Tamil, Kannada and Malayalam lay out their
# letters as the Telugu block does (all follow ISCII), so a stray word can be read by shifting it.
_INDIC_BLOCKS = (0x0900, 0x0980, 0x0A00, 0x0A80, 0x0B00, 0x0B80, 0x0C80, 0x0D00)


def prepare(text: str) -> str:
    """Any text in ASCII, Telugu letters and a few signs; emoji and other scripts become spaces."""
    text = unicodedata.normalize("NFKC", text.translate(_BEFORE_NFKC))
    text = _NOT_PLAIN.sub(lambda m: _plain(m.group()), text)
    text = _UNASSIGNED.sub("", _BULLET.sub("", text))
    for pattern, words in _ERAS:
        text = pattern.sub(words, text)
    text = _BARE_FRACTION.sub("0.", text)
    text = _ENDLESS.sub(lambda m: f" {m.group().translate(_HIDDEN)} ", text)
    return _MINUS_MONEY.sub(" మైనస్ ", text) if "-" in text else text


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    if char in _KEPT:
        return char
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    code, category = ord(char), unicodedata.category(char)
    for block in _INDIC_BLOCKS:
        if block <= code < block + 0x64 and category[0] in "LM":
            return chr(0x0C00 + code - block)
    if category[0] == "M" or category == "Cf":
        return ""
    base = unicodedata.normalize("NFKD", char)
    base = "".join(_LATIN.get(c.lower(), c) for c in base if not unicodedata.combining(c))
    return base if base.isascii() and base.strip() else " "


_N = rf"(?<![0-9.,])({NUMBER})"


def _points(match: re.Match[str]) -> str:
    """Versions and network addresses: 3.11.2."""
    return match.group().replace(".", " పాయింట్ ")


def _half(match: re.Match[str]) -> str:
    whole, follows = match[1], match[2] or ""
    if follows:  # a measure: the number stays a figure so that its unit finds it
        return f" {whole or 0}.5 {follows.strip()}"
    return f" {half(int(whole))} " if whole else "సగం"


def _range(match: re.Match[str]) -> str:
    first, last = match[1], match[2]
    if float(first.replace(",", "")) < float(last.replace(",", "")):
        return f"{genitive(say(first))} నుంచి "
    return f"{say(first)} "  # a score, a model name: nothing between the two


_SIGNS = [
    (re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+){2,}(?![0-9])"), _points),
    (re.compile(rf"{_N}\s*[-–—]\s*(?={NUMBER}\s*=)"), r"\1 మైనస్ "),
    (re.compile(r"(?<=[0-9])\s*[×*xX]\s*(?=[0-9])"), " ఇంటూ "),
    (re.compile(r"(?<=[0-9])\s*÷\s*(?=[0-9])"), " బై "),
    (re.compile(r"(?<=[0-9])\s*\+\s*(?=[0-9])"), " ప్లస్ "),
    (re.compile(rf"{_N}\+(?!\+)"), r"\1కు పైగా"),
    (re.compile(r"(?<=[0-9])\s*>\s*(?=[0-9])"), " గ్రేటర్ దాన్ "),
    (re.compile(r"(?<=[0-9])\s*<\s*(?=[0-9])"), " లెస్ దాన్ "),
    (re.compile(r"√\s*(?=[0-9])"), " వర్గమూలం "),
    (re.compile("±"), " ప్లస్ ఆర్ మైనస్ "),
    (re.compile("π"), " పై "),
    (re.compile(r"\s*=+\s*"), " సమానం "),
    (re.compile(rf"(?:{_N} )?(?<![0-9/.])1/2(?![0-9/])(\s?(?:[A-Za-z]|{LETTER}))?"), _half),
    (re.compile(r"(?<![0-9/.])1/4(?![0-9/])"), "పావు"),
    (re.compile(r"(?<![0-9/.])3/4(?![0-9/])"), "ముప్పావు"),
    (re.compile(r"(?<=[0-9])\s?/\s?(?=[0-9])"), " బై "),
    (re.compile(rf"(?<![0-9.,A-Za-z{LETTER[1:-1]})])(?<![0-9]\s)-(?=[0-9])"), " మైనస్ "),
    (re.compile(rf"(?<![-–—0-9.,])({NUMBER})\s?[-–—~]\s?(?=({NUMBER})(?![-–—]?[0-9]))"), _range),
    (re.compile(r"#\s?(?=[0-9])|(?<![A-Za-z])No\.?\s?(?=[0-9])|(?<!\S)నం\.\s?(?=[0-9])"), " నంబర్ "),
    (re.compile(r"\s*&\s*"), " మరియు "),
    (re.compile(r"(?<![A-Za-z])((?i:dr|mrs?|ms|prof|smt|sri))\.\s?"), r"\1 "),
]  # fmt: skip


def speak_endless(text: str) -> str:
    """Runs of figures too long for a number, digit by digit."""
    return _HIDDEN_RUN.sub(lambda m: spell("".join(str(ord(c) - 0xE000) for c in m.group())), text)


def speak_signs(text: str) -> str:
    """Arithmetic, fractions, ranges, minus signs and written abbreviations of `text` in words."""
    for pattern, words in _SIGNS:
        text = pattern.sub(words, text)
    return text


_LEFT_OVER = [
    (re.compile(r"₹|(?<!\S)రూ\.(?!\S)"), " రూపాయలు "),
    (re.compile("%"), " శాతం "),
    (re.compile(r"@"), " ఎట్ "),
    (re.compile(rf"(?<!{LETTER})కి\.\s?మీ\.?"), " కిలోమీటర్లు "),
]
_ASIDE = re.compile(r"[()\[\]{}]|(?<!\S)[-–—]+(?!\S)|—")
_UNSPOKEN = re.compile(r"[^\u0c00-\u0c77\u200c\s,.?!;:]")
_INNER_STOP = re.compile(rf"(?<!{LETTER})({LETTER}+)\.(?={LETTER})")
_STRAY_JOINER = re.compile("(?<!\u0c4d)\u200c+|\u200c+(?![\u0c00-\u0c77])")
_LINE_END = re.compile(r"\s*\n\s*")
_MARKS = re.compile(r" ?[,.?!;:][ ,.?!;:]*")
_STRENGTH = "?!.;:,"  # the strongest of several marks remains


def punctuate(text: str) -> str:
    """Telugu letters, single spaces and single marks, each mark behind a word."""
    for pattern, words in _LEFT_OVER:
        text = pattern.sub(words, text)
    text = _ASIDE.sub(", ", _QUOTES.sub(" ", text))
    text = _UNSPOKEN.sub(" ", text)
    text = _STRAY_JOINER.sub("", text)
    text = _INNER_STOP.sub(lambda m: m[1] + (" " if len(m[1]) <= 3 else ". "), text)
    text = _LINE_END.sub(". ", text.strip())
    text = " ".join(text.split())
    text = _MARKS.sub(lambda m: next(s for s in _STRENGTH if s in m[0]) + " ", text)
    text = text.lstrip(" ,.?!;:").rstrip(" ,")
    for pattern, words in (*_ERAS, *_ABBREVIATIONS):
        text = pattern.sub(words, text)
    return text.rstrip()
