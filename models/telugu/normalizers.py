"""The normalisers a Telugu error rate may be scored with, by the name that stands beside it.

`te-std` is the headline. The others answer other questions: is it spelled exactly (`te-strict`),
how does it compare with Vistaar's tables (`te-indicnlp`), were the numbers understood however they
were written (`te-num`). `whisper-basic` is there because published figures use it: it breaks words
into consonants, and its rates compare with nothing else. Knows nothing of edit distances
(`wer.py`).
"""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from models.telugu.codes import speak_codes
from models.telugu.dates import speak_dates
from models.telugu.endings import LETTER
from models.telugu.english import speak_alphanumerics
from models.telugu.measures import speak_measures
from models.telugu.money import speak_magnitudes, speak_money
from models.telugu.numbers import spell
from models.telugu.plain import speak_numbers
from models.telugu.signs import speak_signs
from models.telugu.standard import collapse, te_std, te_strict
from models.telugu.times import speak_times

Normalizer = Callable[[str], str]

_VISTAAR_DELETES = dict.fromkeys(map(ord, string.punctuation + "।॥۔"))
_INDICNLP = str.maketrans(
    dict.fromkeys("\ufeff\ufffe\u2060\u00ad\u200c\u200d", "")
    | dict.fromkeys("\u200b\u00a0", " ")
    | dict.fromkeys("„“”", '"')
    | dict.fromkeys("´‘‚’", "'")
    | {"–": "-", "—": " - ", "…": "...", "\u0c64": "।", "\u0c65": "॥"}
)
_BRACKETS = [re.compile(r"[<\[][^>\]]*[>\]]"), re.compile(r"\([^)]+\)")]

_DIGIT = re.compile(r"\d")
_ENDLESS = re.compile("[0-9]{25,}")  # the patterns of quantities take quadratic time on such runs
# Some writers type the digit ౦ for the anusvara ం, which looks the same.
_ROUND = re.compile(rf"(?<={LETTER})\u0c66(?!\d)")
_SPELLINGS = {  # of number words, up to the vowel that an ending may change
    "అయిద": "ఐద", "యెనిమిద": "ఎనిమిద", "పధ్నాలుగ": "పద్నాలుగ", "పదునాలుగ": "పద్నాలుగ",
    "పధ్ధెనిమిద": "పద్దెనిమిద", "పద్ధెనిమిద": "పద్దెనిమిద", "పందొమ్మిద": "పంతొమ్మిద",
    "పంధొమ్మిద": "పంతొమ్మిద", "ఇరువై": "ఇరవై", "ముప్ఫై": "ముప్పై", "ముఫ్ఫై": "ముప్పై", "ముఫై": "ముప్పై",
    "నలబై": "నలభై", "యాబై": "యాభై", "డెబ్భై": "డెబ్బై", "ఎనబై": "ఎనభై", "తొంబై": "తొంభై",
    "నాల్గవ": "నాలుగవ",
}  # fmt: skip
_SPELLING = re.compile(rf"(?<!{LETTER})(?:{'|'.join(_SPELLINGS)})(?!పు)")  # ఇరువైపులా: both sides


def te_indicnlp(text: str) -> str:
    """As AI4Bharat's Vistaar evaluates Telugu: ASCII punctuation and dandas deleted, not replaced.

    Then what Indic NLP Library's Telugu normaliser does: joiners, soft hyphens and byte order marks
    go; typographic quotes and dashes become ASCII and, coming second, stay; U+0C46 U+0C56 becomes
    U+0C48. No NFC, no lower case. Sources: AI4Bharat/vistaar `evaluation.py`; indic-nlp-library
    0.92 `TeluguNormalizer` with its defaults.
    """
    text = text.translate(_VISTAAR_DELETES).translate(_INDICNLP).replace("''", '"')
    return collapse(text.replace("\u0c46\u0c56", "\u0c48"))


def te_num(text: str) -> str:
    """`te_std` after every figure became the Telugu words it is read as, in their usual spelling.

    "5 రోజులు", "౫ రోజులు" and "అయిదు రోజులు" are one text. Money, dates, times, measures and codes
    are read as `spoken.speakable` reads them (₹500 → ఐదు వందల రూపాయలు), so the reference's words are
    spoken words. The result has no digits left.
    """
    text = _ROUND.sub("\u0c02", unicodedata.normalize("NFC", text))
    if _DIGIT.search(text):
        text = _DIGIT.sub(lambda m: str(unicodedata.decimal(m[0])), text)
        text = _speak_figures(_ENDLESS.sub(lambda m: f" {spell(m[0])} ", text))
    return _SPELLING.sub(lambda m: _SPELLINGS[m[0]], te_std(text))


def whisper_basic(text: str) -> str:
    """Whisper's `BasicTextNormalizer`, marks kept apart: not comparable with any other.

    Lower case, text in brackets deleted, NFKC, every character of category M, S or P replaced by a
    space. Vowel signs and viramas are of category M, so every word falls apart. Source:
    transformers 5.23.0 `models/whisper/english_normalizer.py` with its defaults; ends stripped.
    """
    text = text.lower()
    for bracketed in _BRACKETS:
        text = bracketed.sub("", text)
    chars = unicodedata.normalize("NFKC", text)
    text = "".join(" " if unicodedata.category(c)[0] in "MSP" else c for c in chars)
    return collapse(text.lower())


def _speak_figures(text: str) -> str:
    """What has a shape of its own goes before what is made of plain figures."""
    text = speak_codes(speak_money(speak_magnitudes(text)))
    text = speak_signs(speak_times(speak_dates(text)))
    return speak_numbers(speak_alphanumerics(speak_measures(text)))


HEADLINE = "te-std"
NORMALIZERS: Mapping[str, Normalizer] = MappingProxyType(
    {
        "raw": collapse,
        "te-strict": te_strict,
        "te-std": te_std,
        "te-indicnlp": te_indicnlp,
        "te-num": te_num,
        "whisper-basic": whisper_basic,
    }
)
NOT_COMPARABLE = frozenset({"whisper-basic"})  # with rates of any other normaliser
