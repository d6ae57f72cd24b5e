"""Word and character error rates of Telugu transcripts, pooled over a set.

Counts are exact edit distances; normalise first or name a normaliser of `standard.py`. Knows
nothing of audio or recognisers.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from models.telugu.standard import te_std


@dataclass(frozen=True)
class Errors:
    """Edits and reference length of one or many utterances; add them to pool."""

    edits: int = 0  # substitutions + deletions + insertions
    length: int = 0  # reference words or characters

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.edits + other.edits, self.length + other.length)

    @property
    def rate(self) -> float:
        """edits / length, may pass 1; with an empty reference 0 without edits, else infinity."""
        if self.length:
            return self.edits / self.length
        return float("inf") if self.edits else 0.0


def word_errors(reference: str, hypothesis: str) -> Errors:
    """Words are what white space separates; the texts are compared as they are."""
    words = reference.split()
    return Errors(edit_distance(words, hypothesis.split()), len(words))


def char_errors(reference: str, hypothesis: str) -> Errors:
    """Characters are code points without white space, so a vowel sign counts one."""
    chars = "".join(reference.split())
    return Errors(edit_distance(chars, "".join(hypothesis.split())), len(chars))


def wer(pairs: Iterable[tuple[str, str]], normalise: Callable[[str], str] = te_std) -> Errors:
    """Pooled word errors over (reference, hypothesis) pairs."""
    return sum((word_errors(normalise(r), normalise(h)) for r, h in pairs), Errors())


def cer(pairs: Iterable[tuple[str, str]], normalise: Callable[[str], str] = te_std) -> Errors:
    """Pooled character errors over (reference, hypothesis) pairs."""
    return sum((char_errors(normalise(r), normalise(h)) for r, h in pairs), Errors())


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Levenshtein distance with unit costs, in O(len(b)) operations on integers of len(a) bits.

    Source: Hyyrö, "Explaining and extending the bit-parallel approximate string matching algorithm
    of Myers" (2001), figure 3.
    """
    if not a:
        return len(b)
    places: dict[Hashable, int] = {}  # item -> bit set of its places in a
    for index, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << index
    mask, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    up, down, distance = mask, 0, len(a)  # +1 and -1 steps down a column of the table
    for item in b:
        match = places.get(item, 0)
        zero = (((match & up) + up) ^ up) | match | down  # diagonal steps of cost 0
        right_up = down | ~(zero | up)
        right_down = zero & up
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = (right_up << 1) | 1
        right_down <<= 1
        up = (right_down | ~(zero | right_up)) & mask
        down = right_up & zero & mask
    return distance
