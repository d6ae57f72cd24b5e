"""English inside Telugu text, in Telugu letters: words, abbreviations, addresses.

Everyday words come from `lexicon.tsv`, abbreviations are spelled by letter names, the rest goes by
rule (`transliteration.py`). Knows nothing of figures except inside mail and web addresses.
"""

import re
from functools import lru_cache
from pathlib import Path

from models.telugu.endings import LETTER
from models.telugu.numbers import spell
from models.telugu.transliteration import transliterate

_LETTERS = {
    "a": "ఏ", "b": "బీ", "c": "సీ", "d": "డీ", "e": "ఈ", "f": "ఎఫ్", "g": "జీ", "h": "హెచ్",
    "i": "ఐ", "j": "జే", "k": "కే", "l": "ఎల్", "m": "ఎం", "n": "ఎన్", "o": "ఓ", "p": "పీ",
    "q": "క్యూ", "r": "ఆర్", "s": "ఎస్", "t": "టీ", "u": "యూ", "v": "వీ", "w": "డబ్ల్యూ",
    "x": "ఎక్స్", "y": "వై", "z": "జెడ్",
}  # fmt: skip
_SPELLED = "*"  # in the lexicon: spelled letter by letter whatever its case
_LONGEST_ABBREVIATION = 5  # longer words in capitals are shouted, not spelled
_CAPITAL_WORDS = frozenset(["ok", "no", "hi", "yes", "bye", "my"])  # two letters or so, yet words
_VIRAMA, _ZWNJ = "్", "\u200c"

_WORD = re.compile(rf"((?<={LETTER}))?([A-Za-z]+(?:['’][A-Za-z]+)*)")  # group 1: touches Telugu
_DOTTED = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]\.){2,6}(?:[A-Za-z](?![A-Za-z]))?")  # U.S.A., a.m.
_HUMPS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}")
_WEB = re.compile(
    r"(?:https?://|www\.)[^\s<>\"']+"
    r"|(?<![A-Za-z0-9-])[A-Za-z0-9-]{1,63}\.(?:com|in|org|net|gov|edu|co|io)(?![A-Za-z0-9])(?:[./][^\s<>\"']*)?"
)
_ADDRESS_PARTS = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]+|[^A-Za-z0-9]")
_ADDRESS_SIGNS = {
    ".": "డాట్",
    "@": "ఎట్",
    "/": "స్లాష్",
    "-": "హైఫన్",
    "_": "అండర్‌స్కోర్",
    "+": "ప్లస్",
}
_ALPHANUMERIC = re.compile(r"(?<![A-Za-z0-9])(?:[2-5]G|4K|MP[34])(?![A-Za-z0-9])", re.IGNORECASE)


def speak_english(text: str) -> str:
    """Every Latin a-z word of `text` in Telugu letters; the rest as it is."""
    text = _DOTTED.sub(lambda m: m.group().replace(".", "").upper(), text)
    return _WORD.sub(lambda m: (" " if m[1] is not None else "") + _telugu(m[2]), text)


def speak_alphanumerics(text: str) -> str:
    """5G, MP3 and their like, whose figures are said in English."""
    return _ALPHANUMERIC.sub(lambda m: _lexicon()[m.group().lower()], text)


def speak_addresses(text: str) -> str:
    """Mail and web addresses as they are dictated: a.b@c.in → ... డాట్ ... ఎట్ ... డాట్ ..."""
    if "@" in text:
        text = _MAIL.sub(lambda m: _dictate(m.group()), text)
    return _WEB.sub(_dictate_web, text)


def spell_letters(word: str) -> str:
    """Letter names in one word, as abbreviations are written: SBI → ఎస్‌బీఐ."""
    spelled = ""
    for letter in word.lower():
        spelled += (_ZWNJ if spelled.endswith(_VIRAMA) else "") + _LETTERS[letter]
    return spelled


def _dictate_web(match: re.Match[str]) -> str:
    address = match.group()
    bare = address.rstrip(".,!?;:)]}")
    return _dictate(re.sub("^https?://", "", bare)) + address[len(bare) :]


def _dictate(address: str) -> str:
    words: list[str] = []
    for part in _ADDRESS_PARTS.findall(address.rstrip("/")):
        if part.isascii() and part.isdigit():
            words.append(spell(part))
        elif part in ("www", "WWW"):
            words.append(" ".join([_LETTERS["w"]] * 3))
        elif part.isascii() and part.isalpha():
            known = _known(part.lower()) if len(part) <= 3 else _telugu(part)
            words.append(known or spell_letters(part))
        else:
            words.append(_ADDRESS_SIGNS.get(part) or part)
    return " ".join(words)


@lru_cache(maxsize=4096)
def _telugu(token: str) -> str:
    token = re.sub("['’]", "", token)
    if token.isupper():
        return _capitals(token)
    known = _known(token.lower())
    if known:
        return known
    humps = _HUMPS.findall(token)
    if len(humps) > 1:  # WhatsAppPay, iOS
        return " ".join(_telugu(hump) for hump in humps)
    if len(token) == 1 or not re.search("[aeiouy]", token.lower()):
        return spell_letters(token) if len(token) <= _LONGEST_ABBREVIATION else _by_rule(token)
    return _by_rule(token)


def _capitals(token: str) -> str:
    lower = token.lower()
    if len(token) > 2 or lower in _CAPITAL_WORDS:
        known = _known(lower)
        if known:
            return known
    if len(token) <= _LONGEST_ABBREVIATION or not re.search("[AEIOUY]", token):
        return spell_letters(token)
    return _by_rule(token)


def _known(lower: str) -> str | None:
    lexicon = _lexicon()
    if lower not in lexicon and lower.endswith("s") and len(lower) > 3:
        single = lexicon.get(lower[:-1])
        return f"{single}స్" if single and single != _SPELLED else None
    telugu = lexicon.get(lower)
    return spell_letters(lower) if telugu == _SPELLED else telugu


def _by_rule(token: str) -> str:
    return transliterate(token.lower())


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, str]:
    lines = Path(__file__).with_name("lexicon.tsv").read_text("utf-8").splitlines()
    entries = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {word: telugu for word, telugu in entries}  # noqa: C416 - two columns, checked here
