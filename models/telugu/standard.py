"""One written form for Telugu text before it is compared, and its units: aksharas and script.

The normalisers decide the word error rate: one that drops category M, as Whisper's does, drops the
vowel signs and breaks every word into consonants, so it is not offered here. Knows nothing of how
text is spoken (`spoken.py`) or of edit distances (`wer.py`).
"""

import re
import unicodedata
from functools import lru_cache

import regex

_SPACES = re.compile(r"\s+")
_JOINERS = {0x200C: None, 0x200D: None}  # ZWNJ and ZWJ change the look, not the word
_CLUSTER = regex.compile(r"\X")


def collapse(text: str) -> str:
    """Runs of white space become one space, the ends are stripped ("raw" in score tables)."""
    return _SPACES.sub(" ", text).strip()


def te_strict(text: str) -> str:
    """NFC and collapsed white space: spelling-exact."""
    return collapse(unicodedata.normalize("NFC", text))


def te_std(text: str) -> str:
    """The headline normaliser.

    NFC, lower case, joiners deleted, every character of category P or S replaced by a space (so
    "a-b" is two words), marks kept, white space collapsed. NFC composes U+0C46 U+0C56 to U+0C48.
    """
    text = unicodedata.normalize("NFC", text).lower().translate(_JOINERS)
    return collapse("".join(" " if _is_sign(char) else char for char in text))


def graphemes(text: str) -> list[str]:
    """Extended grapheme clusters (UAX #29); a Telugu conjunct with its vowel sign is one.

    Joined they give `text` back. Clusters after a bare virama stay apart ("న్" + "ల" across a
    ZWNJ), as they do on screen.
    """
    return _CLUSTER.findall(text)


def complete(text: str) -> str:
    """The part of streaming text that later characters cannot change on screen.

    Holds the last cluster back, which a vowel sign or virama may still join.
    """
    clusters = graphemes(text)
    if not clusters or clusters[-1].isspace():
        return text
    return text[: len(text) - len(clusters[-1])]


def script_fidelity(text: str) -> float | None:
    """Share of letters and marks that lie in the Telugu block, 0..1; None without any letter."""
    letters = [char for char in text if unicodedata.category(char)[0] in "LM"]
    if not letters:
        return None
    return sum("\u0c00" <= char <= "\u0c7f" for char in letters) / len(letters)


@lru_cache(maxsize=4096)
def _is_sign(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"
