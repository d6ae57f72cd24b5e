"""What becomes of good Telugu: a recogniser's usual errors, plain noise, and a speaker's slips.

The first two augment the caller's side for the language model only; the recogniser itself trains on
the clean text. The last is what a speech-to-speech model hears. Knows nothing about intents; words
that carry a value (a name, a number) can be protected.
"""

import random

# Pairs that sound alike to a small recogniser: vowel length, aspiration, dental and retroflex.
_ALIKE = [
    *("ి ీ", "ు ూ", "ె ే", "ొ ో", "అ ఆ", "ఇ ఈ", "ఉ ఊ", "ఎ ఏ", "ఒ ఓ"),
    *("క ఖ", "గ ఘ", "చ ఛ", "జ ఝ", "ట ఠ", "డ ఢ", "త థ", "ద ధ", "ప ఫ", "బ భ"),
    *("న ణ", "ల ళ", "శ ష", "శ స", "ష స", "ట త", "డ ద", "ప బ", "క గ", "ర డ"),
]
_SWAPS: dict[str, list[str]] = {}
for _pair in _ALIKE:
    _first, _second = _pair.split()
    _SWAPS.setdefault(_first, []).append(_second)
    _SWAPS.setdefault(_second, []).append(_first)

_HESITATIONS = ["అ", "ఆ", "ఊ", "ఉమ్", "అంటే", "అదే", "ఏమో", "అది", "మరి", "చూడండి"]
_CONSONANTS = "కగచజటడతదనపబమయరలవశసహ"
_SIGNS = ["", "", "ా", "ి", "ీ", "ు", "ూ", "ె", "ే", "ొ", "ో", "ం", "్"]


def _misspell(word: str, rng: random.Random) -> str:
    spots = [at for at, letter in enumerate(word) if letter in _SWAPS]
    if spots and rng.random() < 0.8:
        at = rng.choice(spots)
        return word[:at] + rng.choice(_SWAPS[word[at]]) + word[at + 1 :]
    # A dropped anusvara or final vowel sign is the other common slip.
    return word.replace("ం", "", 1) if "ం" in word else word[:-1] if len(word) > 3 else word


def mishear(text: str, rng: random.Random, protected: frozenset[str] = frozenset()) -> str:
    """`text` with one or two recogniser-like errors; words in `protected` stay whole."""
    words = text.split()
    for _ in range(rng.choice([1, 1, 2])):
        free = [at for at, word in enumerate(words) if word not in protected]
        if not free:
            break
        at = rng.choice(free)
        kind = rng.random()
        if kind < 0.45:
            words[at] = _misspell(words[at], rng)
        elif kind < 0.65 and len(words) > 3:
            del words[at]
        elif kind < 0.80:
            words.insert(at, rng.choice(_HESITATIONS))
        elif kind < 0.87:
            words.insert(at, words[at])
        elif kind < 0.94 and at + 1 < len(words) and words[at + 1] not in protected:
            words[at : at + 2] = [words[at] + words[at + 1]]
        elif at + 1 < len(words):
            words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words) or text


def colloquial(text: str, rng: random.Random, protected: frozenset[str] = frozenset()) -> str:
    """`text` with a spoken contraction: a fused అండి, or the short negative (రావట్లేదు)."""
    if "డం లేదు" in text and rng.random() < 0.6:
        return text.replace("డం లేదు", "ట్లేదు")
    words = text.split()
    last = words[-1]
    if last in protected or last.endswith("ండి") or rng.random() < 0.3:
        return text
    if last.endswith(("ి", "ు")):
        words[-1] = last[:-1] + "ండి"
    elif last.endswith("ం"):
        words[-1] = last[:-1] + "మండి"
    elif last[-1] in _CONSONANTS:
        words[-1] = last + "ండి"
    else:
        words.append("అండి")
    return " ".join(words)


def stumble(text: str, rng: random.Random, protected: frozenset[str] = frozenset()) -> str:
    """`text` as somebody says it who talks before they have thought: contracted, with a hesitation,
    a word twice, two in the other order, or one left out. Words in `protected` stay as they are."""
    kind, words = rng.random(), text.split()
    if kind < 0.35:
        return colloquial(text, rng, protected)
    free = [at for at, word in enumerate(words) if word not in protected]
    if not free:
        return text
    at = rng.choice(free)
    if kind < 0.6:
        words.insert(at, rng.choice(_HESITATIONS))
    elif kind < 0.7:
        words.insert(at, words[at])
    elif kind < 0.85:
        if at + 1 < len(words) and words[at + 1] not in protected:
            words[at], words[at + 1] = words[at + 1], words[at]
    elif len(words) > 3:
        del words[at]
    return " ".join(words)


def _pseudo_word(rng: random.Random) -> str:
    syllables = rng.randint(1, 4)
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_SIGNS) for _ in range(syllables))


def babble(rng: random.Random) -> str:
    """One to five words that mean nothing, as a recogniser writes when it heard nothing clear."""
    return " ".join(_pseudo_word(rng) for _ in range(rng.randint(1, 5)))
