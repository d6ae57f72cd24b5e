"""Written Telugu to spoken Telugu: what a voice must say for a text as people write it.

Figures, dates, times, money, measures, English and signs become Telugu words; punctuation stays
where it carries a pause. The result has only Telugu letters, spaces and , . ? ! ; : and saying it
again changes nothing. Knows nothing of voices; each kind of figure has a file of its own.
"""

import re
import unicodedata

from models.telugu.codes import speak_codes
from models.telugu.dates import speak_dates
from models.telugu.english import speak_addresses, speak_alphanumerics, speak_english
from models.telugu.measures import speak_measures
from models.telugu.money import speak_magnitudes, speak_money
from models.telugu.plain import speak_numbers
from models.telugu.signs import prepare, punctuate, speak_endless, speak_signs
from models.telugu.times import speak_times

_WRITTEN = re.compile(r"[^\u0c00-\u0c65\u0c70-\u0c77\u200c\s,.?!;:]")
_FIGURE = re.compile("[0-9]")
_PASSES = 4  # an abbreviation may come to light when what surrounded it has gone


def speakable(text: str) -> str:
    """Written text → what is said, in Telugu letters.

    "ధర ₹1,250, రేపు 9:30కి రండి" → "ధర వెయ్యి రెండు వందల యాభై రూపాయలు, రేపు తొమ్మిదిన్నరకి రండి".
    Never raises; text with nothing to say gives "".
    """
    text = prepare(text)
    if _WRITTEN.search(text):
        text = _speak(text)
    for _ in range(_PASSES):
        said = punctuate(text)
        if said == text:
            break
        text = said
    return unicodedata.normalize("NFC", text)


def _speak(text: str) -> str:
    """The order matters: what has a shape of its own goes before what is made of plain figures."""
    text = speak_addresses(text)
    if _FIGURE.search(text):
        text = speak_alphanumerics(_speak_quantities(text))
        text = speak_numbers(text)
    else:
        text = speak_signs(text)
    return speak_endless(speak_english(text))


def _speak_quantities(text: str) -> str:
    """Everything that gives figures a meaning: money, codes, dates, times, arithmetic, measures."""
    text = speak_money(speak_magnitudes(text))
    text = speak_times(speak_dates(speak_codes(text)))
    return speak_measures(speak_signs(text))
