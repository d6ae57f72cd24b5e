"""Percentages and measures in figures, as Telugu speakers say them: 20% తో, 5 km, 35°C, 1/2 kg.

Takes text with ASCII figures and gives it back with the measures in words, the number in the form
that counts and the ending joined; bare figures stay.
"""

import re

from models.telugu.endings import ENDING, LETTER, inflect, stands_alone
from models.telugu.numbers import NUMBER, genitive, say

_UNITS = [  # as written, one, many
    (r"%|percent(?![A-Za-z])|శాతం", "శాతం", "శాతం"),
    (r"(?:sq\.?\s?km|km2|km\^2)", "చదరపు కిలోమీటరు", "చదరపు కిలోమీటర్లు"),
    (r"(?:sq\.?\s?ft|sft|చ\.\s?అ\.)\.?", "చదరపు అడుగు", "చదరపు అడుగులు"),
    (r"(?:sq\.?\s?m|m2|m\^2)", "చదరపు మీటరు", "చదరపు మీటర్లు"),
    (r"°\s?C|deg\s?C|డిగ్రీల?\s?C", "డిగ్రీ సెల్సియస్", "డిగ్రీల సెల్సియస్"),
    (r"°\s?F|deg\s?F", "డిగ్రీ ఫారెన్‌హీట్", "డిగ్రీల ఫారెన్‌హీట్"),
    (r"°", "డిగ్రీ", "డిగ్రీలు"),
    (r"(?:(?i:kgs?)|కి\.\s?గ్రా\.?|కె\.?జి\.?)", "కిలో", "కిలోలు"),
    (r"(?:(?i:kms?)|కి\.\s?మీ\.?|కిమీ)", "కిలోమీటరు", "కిలోమీటర్లు"),
    (r"(?:(?i:cms?)|సెం\.\s?మీ\.?)", "సెంటీమీటరు", "సెంటీమీటర్లు"),
    (r"(?:(?i:mm)|మి\.\s?మీ\.?)", "మిల్లీమీటరు", "మిల్లీమీటర్లు"),
    (r"(?:(?i:mls?)|మి\.\s?లీ\.?)", "మిల్లీలీటరు", "మిల్లీలీటర్లు"),
    (r"(?:(?i:mg)|మి\.\s?గ్రా\.?)", "మిల్లీగ్రాము", "మిల్లీగ్రాములు"),
    (r"(?:(?i:gms?|grams?)|g|గ్రా\.)", "గ్రాము", "గ్రాములు"),
    (r"(?:(?i:ltrs?|lts?|litres?|liters?)|[lL]|లీ\.)", "లీటరు", "లీటర్లు"),
    (r"(?i:met(?:er|re)s?|mtrs?)|m|మీ\.", "మీటరు", "మీటర్లు"),
    (r"(?i:ft|feet|foot)", "అడుగు", "అడుగులు"),
    (r"(?i:inch(?:es)?)", "అంగుళం", "అంగుళాలు"),
    (r"(?i:miles?)", "మైలు", "మైళ్ళు"),
    (r"(?i:hours?|hrs?)|గం\.", "గంట", "గంటలు"),
    (r"(?i:minutes?|mins?)|ని\.", "నిమిషం", "నిమిషాలు"),
    (r"(?i:seconds?|secs?)|సె\.", "సెకను", "సెకన్లు"),
    (r"(?i:days?)", "రోజు", "రోజులు"),
    (r"(?i:weeks?)", "వారం", "వారాలు"),
    (r"(?i:months?)", "నెల", "నెలలు"),
    (r"(?i:years?|yrs?)|సం\.", "సంవత్సరం", "సంవత్సరాలు"),
    (r"kWh", "యూనిట్", "యూనిట్లు"),
    (r"kW", "కిలోవాట్", "కిలోవాట్లు"),
    (r"(?:W|(?i:watts?))", "వాట్", "వాట్లు"),
    (r"(?:V|(?i:volts?))", "వోల్ట్", "వోల్టులు"),
    (r"MHz|mhz", "మెగాహెర్ట్జ్", "మెగాహెర్ట్జ్"),
    (r"GHz|ghz", "గిగాహెర్ట్జ్", "గిగాహెర్ట్జ్"),
    (r"kHz|khz", "కిలోహెర్ట్జ్", "కిలోహెర్ట్జ్"),
    (r"Hz|hz", "హెర్ట్జ్", "హెర్ట్జ్"),
    (r"(?i:dB)", "డెసిబెల్", "డెసిబెల్స్"),
    (r"(?i:GB)", "జీబీ", "జీబీ"),
    (r"(?i:MB)", "ఎంబీ", "ఎంబీ"),
    (r"(?i:KB)", "కేబీ", "కేబీ"),
    (r"(?i:TB)", "టీబీ", "టీబీ"),
    (r"(?i:mbps)", "ఎంబీపీఎస్", "ఎంబీపీఎస్"),
]
_NUMBER = rf"(?<![A-Za-z0-9.,])(?P<n>{NUMBER})\s?"
# One pattern for all units, each in a group of its own: a pass per unit would look at every number
# of the text forty times.
_MEASURE = re.compile(
    rf"{_NUMBER}(?:{'|'.join(f'(?P<u{row}>{unit})' for row, (unit, _, _) in enumerate(_UNITS))})"
    rf"(?![A-Za-z0-9]){ENDING}"
)
_SPEED = re.compile(rf"{_NUMBER}(?i:km/h|kmph|kmh|కి\.?\s?మీ\.?/గం\.?)(?![A-Za-z])")
_WORD_NEXT = re.compile(rf" ({LETTER}+)")
_OF_SUBSTANCE = frozenset(  # measures that stand before what they measure: మూడు కిలోల బియ్యం
    ["కిలో", "గ్రాము", "మిల్లీగ్రాము", "లీటరు", "మిల్లీలీటరు", "కిలోమీటరు", "మీటరు", "సెంటీమీటరు"]
)


def speak_measures(text: str) -> str:
    """Percentages and measures of `text` in words, with their endings joined."""
    text = _SPEED.sub(lambda m: f"గంటకు {say(m['n'], counting=True)} కిలోమీటర్లు", text)
    return _MEASURE.sub(_measure, text)


def _measure(match: re.Match[str]) -> str:
    row = next(row for row in range(len(_UNITS)) if match[f"u{row}"])
    _, one, many = _UNITS[row]
    number = match["n"]
    words = f"{say(number, counting=True)} {one if number in ('1', '0.5') else many}"
    counted = _WORD_NEXT.match(match.string, match.end())
    if counted and one in _OF_SUBSTANCE and not stands_alone(counted[1]):
        return genitive(inflect(words, match))
    return inflect(words, match)
