"""English spelling to Telugu letters by rule, for words the lexicon does not hold.

English spelling does not determine its sound; the rules aim at the way a Telugu speaker reads an
unknown word or name aloud, close enough to be understood. Knows no words (`english.py`).
"""

import re

_CONSONANTS = {
    "k": "క", "kh": "ఖ", "g": "గ", "gh": "ఘ", "c": "చ", "j": "జ", "t": "ట", "d": "డ", "th": "థ",
    "dh": "ధ", "n": "న", "p": "ప", "f": "ఫ", "b": "బ", "bh": "భ", "m": "మ", "y": "య", "r": "ర",
    "l": "ల", "v": "వ", "sh": "ష", "s": "స", "h": "హ",
}  # fmt: skip
_VOWELS = {  # at the start of a syllable, behind a consonant
    "a": ("అ", ""), "aa": ("ఆ", "ా"), "i": ("ఇ", "ి"), "ii": ("ఈ", "ీ"), "u": ("ఉ", "ు"),
    "uu": ("ఊ", "ూ"), "e": ("ఎ", "ె"), "ee": ("ఏ", "ే"), "ai": ("ఐ", "ై"), "o": ("ఒ", "ొ"),
    "oo": ("ఓ", "ో"), "au": ("ఔ", "ౌ"),
}  # fmt: skip
_NASAL_BEFORE = {"n": ("k", "kh", "g", "c", "j", "t", "d", "th", "dh"), "m": ("p", "b", "bh")}
_VIRAMA, _ANUSVARA = "్", "ం"

# (letters, sounds), tried in order at each place of the word. `(?<=...)` and `(?=...)` look around.
_MAGIC = "(?=(?:[bcdfgjklmnprstvz]|th|st)(?:e|es|ed)$)"  # a consonant and a silent e follow
_SPELLINGS = [
    ("(?:t|s)ions?$", "sh a n"), ("(?:t|s)ion", "sh a n"), ("tures?$", "c a r"),
    ("(?:c|t)ial", "sh a l"), ("(?:c|t)ious", "sh a s"), ("ous$", "a s"), ("a(?=tion)", "ee"),
    ("(?<=^)kn", "n"), ("(?<=^)wr", "r"), ("(?<=^)ps", "s"), ("(?<=^)x", "j"), ("mb$", "m"),
    ("tch", "c"), ("sch", "s k"), ("ch", "c"), ("ck", "k"), ("sh", "sh"), ("th", "th"),
    ("ph", "f"), ("wh", "v"), ("kh", "kh"), ("bh", "bh"), ("dh", "dh"), ("(?<=^)gh", "gh"),
    ("eigh", "ee"), ("igh", "ai"), ("(?:au|ou)gh", "aa"), ("gh", ""), ("dg(?=e)", "j"),
    ("rh", "r"), ("qu", "k v"), ("sc(?=[eiy])", "s"), ("c(?=[eiy])", "s"), ("g(?=[ey])", "j"),
    ("x", "k s"), ("(?<=[bcdfgkpstz])les?$", "u l"),
    ("ai$", "ai"), ("ai|ay|ae", "ee"), ("ea|ee|ie", "ii"), ("eu|ew", "y uu"), ("ey$", "ii"),
    ("ei", "ee"), ("oo(?=k)", "u"), ("oo", "uu"), ("oa", "oo"), ("ow$", "oo"), ("ou|ow", "au"),
    ("oy$", "aa y"), ("oi|oy", "aa y i"), ("aw", "aa"), ("au", "au"), ("aa", "aa"), ("ii", "ii"),
    ("uu", "uu"), ("ue$", "uu"), ("ares?$", "ee r"), ("ores?$", "oo r"),
    ("(?<=[a-z]{3})ines?$", "i n"), ("(?:e|o)r$", "a r"), ("ar", "aa r"),
    ("(?:i|u|e)r(?=[b-df-hj-np-tv-z])", "a r"), ("or(?=[b-df-hj-np-tv-z])", "aa r"),
    (f"a{_MAGIC}", "ee"), (f"[iy]{_MAGIC}", "ai"), (f"o{_MAGIC}", "oo"), (f"u{_MAGIC}", "uu"),
    (f"e{_MAGIC}", "ii"), ("(?<=[b-df-hj-np-tv-z])e$", ""), ("a$", "aa"),
    ("o(?=[b-df-hj-np-tv-z]{2})", "aa"), ("o", "oo"),
    ("y(?=[aeiou])", "y"), ("(?<=^[a-z])y$|(?<=^[a-z]{2})y$", "ai"), ("y$", "ii"), ("y", "i"),
]  # fmt: skip
# One alternation, tried in C at each place; the number of the group that matched is the row.
_ANY = re.compile("|".join(f"({letters})" for letters, _ in _SPELLINGS))
_SOUNDS = [sounds.split() for _, sounds in _SPELLINGS]
# In a word of one closed syllable the vowels are short: map, hot, cup; elsewhere as they look.
_SHORT = {"a": ["y", "aa"], "o": ["aa"], "u": ["a"]}
_PLAIN = {"c": "k", "q": "k", "w": "v", "z": "j"}
_NOT_SHORT = re.compile("$|[aeiouyrw]|(?:[a-z]|th|st)e$")  # what follows the vowel
_DOUBLED = re.compile(r"([b-df-hj-np-tv-z])\1")
_SYLLABLE = re.compile(r"[aeiouy]+(?!$)|[aiouy]+$|^[^aeiouy]*e$")


def transliterate(word: str) -> str:
    """A word of lower-case a-z in Telugu letters: "planet" → ప్లనెట్. Empty only for no word."""
    word = _DOUBLED.sub(r"\1", word)
    if re.fullmatch("[^aeiouy]+e", word):  # the only vowel is not silent: he, we
        word += "e"
    short = len(_SYLLABLE.findall(word)) == 1
    sounds: list[str] = []
    at = 0
    while at < len(word):
        if short and word[at] in _SHORT and not _NOT_SHORT.match(word, at + 1):
            sounds += _SHORT[word[at]]
            at += 1
        else:
            at += _spelling_at(word, at, sounds)
    return _compose(sounds)


def _spelling_at(word: str, at: int, sounds: list[str]) -> int:
    """Appends the sounds of the letters at `at`; returns how many letters they are."""
    match = _ANY.match(word, at)
    if match and match.lastindex:
        sounds += _SOUNDS[match.lastindex - 1]
        return match.end() - at
    sounds.append(_PLAIN.get(word[at], word[at]))
    return 1


def _compose(sounds: list[str]) -> str:
    letters: list[str] = []
    open_consonant = False  # the last letter is a consonant that has no vowel yet
    for sound, following in zip(sounds, [*sounds[1:], ""], strict=True):
        if sound in _VOWELS:
            letters.append(_VOWELS[sound][open_consonant])
            open_consonant = False
            continue
        if open_consonant:
            letters.append(_VIRAMA)
            open_consonant = False
        if letters and following in _NASAL_BEFORE.get(sound, ()):
            letters.append(_ANUSVARA)
        else:
            letters.append(_CONSONANTS[sound])
            open_consonant = True
    return "".join(letters) + (_VIRAMA if open_consonant else "")
