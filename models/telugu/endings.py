"""Case endings behind words that were digits or symbols: 5కి, 20% తో, ₹500 కంటే.

Writers put the ending behind the figure, with or without a space; speech joins it to the last word.
Knows only how a word changes before an ending.
"""

import re

from models.telugu.numbers import genitive

LETTER = "[\u0c00-\u0c65\u0c70-\u0c7f\u200c\u200d]"  # a Telugu letter, mark or joiner

_JOINED = "కల్లా|కైనా|కి|కు|కే|నుంచే|లోపల|లోపు|లోగా|లోనే|లోని|లోకి|లో|తోపాటు|తోనే|తో|గానే|గా|ని|ను"
_ATTACHED = "నుంచి|నుండి|వరకు|దాకా|న"  # endings only when nothing separates them from the figure
# Separate words that want the genitive before them: ఐదు వందల రూపాయల కంటే.
_AFTER_GENITIVE = "నుంచి|నుండి|వరకు|దాకా|కంటే|కన్నా|కోసం|చొప్పున|పైగా|పైన|పై|మేర|విలువ|లోపల|లోపు|మధ్య|బదులు|నోటు"
# Verbs, particles and operators: a figure before them stands alone (నొక్కండి: "press 1").
_STANDS_ALONE = re.compile(
    "అయ|అవు|అవ్వ|అని(?!ల్)|అన్న(?!ం)|అంటే|ఉంది|ఉంట|ఉండ|ఉన్న|వచ్చ|వస్త|వెళ్|కావ|కాద|కాన[ిీ]|లేద|లేక|మరియు|లేదా|నొక్క"
    "|ఎంచ|ఎంపిక|ఇచ్చ|ఇస్త|ఇవ్వ|పంప|చెప్ప|చెల్లించ|దాట|మాత్రమే|కూడా|ప్లస్|మైనస్|ఇంటూ|బై$|సమానం|పాయింట్$|కలిప|కలిస|తీస|తగ్గ|పెరిగ"
    "|పెరుగుత|పెట్ట[ంిుా]|పట్ట|ఎక్కువ|తక్కువ|చేయ|చెయ|చేస|డయల్|కాల్(?!ల)|ఫోన్(?!ల)|ఖర్చ|జమ|అనే|పోయ|నడ[విు]|ఆగ[ంిా]|కొన|కొం[దట]|తిన|తాగ"
    "|వేయ|వేస"
)
_SEPARATE = frozenset(["నుంచి", "నుండి", "వరకు", "దాకా", "నుంచే"])

# Behind a figure or unit; gives the groups that `inflect` reads.
ENDING = (
    rf"(?:(?:\s?(?P<joined>{_JOINED})|(?P<attached>{_ATTACHED}))(?!{LETTER})"
    rf"|(?P<genitive>(?=\s(?:{_AFTER_GENITIVE}))))?"
)
_ENDING = re.compile(ENDING)
_WANTS_GENITIVE = re.compile(_AFTER_GENITIVE)


def inflect(words: str, match: re.Match[str]) -> str:
    """`words` with the ending that `ENDING` found behind it."""
    if match["genitive"] is not None:
        return genitive(words)
    ending = match["joined"] or match["attached"]
    return attach(words, ending) if ending else words


def is_ending(word: str, *, apart: bool) -> bool:
    """Whether `word` behind a figure is an ending of it; `apart`: a space stands between."""
    return re.fullmatch(_JOINED if apart else f"{_JOINED}|{_ATTACHED}", word) is not None


def wants_genitive(word: str) -> bool:
    """Whether `word` is a postposition or noun that puts a figure before it in the genitive."""
    return _WANTS_GENITIVE.match(word) is not None


def stands_alone(word: str) -> bool:
    """Whether `word` behind a figure is nothing the figure counts: a verb, a particle."""
    return _STANDS_ALONE.match(word) is not None


def attach(words: str, ending: str) -> str:
    """Joins a case ending: ఐదు + కి → ఐదుకి, రూపాయలు + తో → రూపాయలతో, శాతం + కి → శాతానికి."""
    if ending in _SEPARATE:
        return f"{genitive(words)} {ending}"
    if words.endswith("ం"):
        stem = words.removesuffix("ం")
        if ending in ("కి", "కు"):
            return f"{stem}ానికి"
        if ending in ("ని", "ను"):
            return f"{stem}ాన్ని"
    if words.endswith("్"):
        return f"{words}\u200c{ending}"  # ZWNJ: without it a conjunct would form (ఎస్కి)
    return genitive(words) + ending
