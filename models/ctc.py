"""The best text for a CTC head's output: prefix beam search with a letter model.

Follows Hannun et al. 2014 ("First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs"): a beam is a prefix of the text with the probability of all frame
paths that spell it, kept apart by whether they end in the blank. Knows nothing of sound or Telugu.
"""

import math
from dataclasses import dataclass

import numpy as np

from models.letter_lm import LetterLM

BLANK = 0


@dataclass(frozen=True)
class Search:
    """How texts are weighed and how many are kept."""

    beams: int = 12
    lm_weight: float = 0.3
    letter_bonus: float = 0.2  # nats a letter; a language model alone prefers short texts
    unlikely: float = -6.0  # nats; letters under this in a frame are not tried there


@dataclass(frozen=True)
class Spelled:
    """The best text as letter numbers, and the sound's own view of it."""

    letters: list[int]
    log_prob: float  # ln p(letters | sound) over all paths kept, without the language model


class _Prefix:
    """A node of the tree of prefixes."""

    __slots__ = ("children", "context", "letter", "lm", "parent", "weight")

    def __init__(self, parent: "_Prefix | None", letter: int, lm: float, order: int) -> None:
        self.parent, self.letter, self.lm = parent, letter, lm  # lm: ln p of the whole prefix
        before = parent.context if parent else (BLANK,) * (order - 1)
        self.context = (*before, letter)[1:] if parent else before
        self.weight = 0.0  # of language model and bonus, for ranking
        self.children: dict[int, _Prefix] = {}

    def letters(self) -> list[int]:
        found: list[int] = []
        node: _Prefix | None = self
        while node and node.parent:
            found.append(node.letter)
            node = node.parent
        return found[::-1]


def _add(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


class Speller:
    """Searches with one letter model; may be used by several threads at once."""

    def __init__(self, lm: LetterLM, search: Search) -> None:
        self._lm, self._search = lm, search

    def best(self, log_probs: np.ndarray) -> Spelled:
        """The likeliest text of log probabilities float [S, letters], blank first."""
        root = _Prefix(None, BLANK, 0.0, self._lm.order)
        beams: dict[_Prefix, tuple[float, float]] = {root: (0.0, -math.inf)}  # blank, letter last
        likely = log_probs > self._search.unlikely
        likely[:, BLANK] = False
        for frame, tried in zip(log_probs.tolist(), likely, strict=True):
            beams = self._advance(beams, frame, np.flatnonzero(tried).tolist())
        ended = {p: self._rank(p, b, n) + self._end(p) for p, (b, n) in beams.items()}
        winner = max(ended, key=ended.__getitem__)
        return Spelled(winner.letters(), _add(*beams[winner]))

    def _advance(
        self, beams: dict[_Prefix, tuple[float, float]], frame: list[float], tried: list[int]
    ) -> dict[_Prefix, tuple[float, float]]:
        """One frame on: every beam stays (blank, or its letter goes on) or grows by a letter."""
        after: dict[_Prefix, tuple[float, float]] = {}
        blank = frame[BLANK]
        for prefix, (in_blank, in_letter) in beams.items():
            both = _add(in_blank, in_letter)
            stays = in_letter + frame[prefix.letter] if prefix.parent else -math.inf
            b, n = after.get(prefix, (-math.inf, -math.inf))
            after[prefix] = (_add(b, both + blank), _add(n, stays))
            for letter in tried:
                # The same letter twice needs a blank between.
                arriving = in_blank if letter == prefix.letter and prefix.parent else both
                if arriving == -math.inf:
                    continue
                grown = prefix.children.get(letter) or self._grow(prefix, letter)
                b, n = after.get(grown, (-math.inf, -math.inf))
                after[grown] = (b, _add(n, arriving + frame[letter]))
        if len(after) <= self._search.beams:
            return after
        ranked = sorted(after, key=lambda p: self._rank(p, *after[p]), reverse=True)
        return {prefix: after[prefix] for prefix in ranked[: self._search.beams]}

    def _grow(self, prefix: _Prefix, letter: int) -> _Prefix:
        lm = prefix.lm + float(self._lm.log_probs(prefix.context)[letter])
        child = _Prefix(prefix, letter, lm, self._lm.order)
        child.weight = prefix.weight + self._search.letter_bonus
        child.weight += self._search.lm_weight * (lm - prefix.lm)
        prefix.children[letter] = child
        return child

    def _rank(self, prefix: _Prefix, in_blank: float, in_letter: float) -> float:
        return _add(in_blank, in_letter) + prefix.weight

    def _end(self, prefix: _Prefix) -> float:
        end = float(self._lm.log_probs(prefix.context)[BLANK])
        return self._search.lm_weight * end
