"""A letter n-gram model: how likely each letter follows the letters before it.

Held as sorted tables of the n-grams that were counted, a few megabytes for a million letters, and
evaluated with Witten-Bell interpolation (Bell, Cleary & Witten 1990): an order that has met few
continuations of a context leaves much to the order below. Knows nothing of speech or Telugu.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np

BITS = 7  # of a letter in a packed n-gram, so up to 127 letters and 9-grams in 64 bits


class LetterLM:
    """Letters are 1..`letters` - 1; 0 stands for the boundary before and after a text."""

    def __init__(self, tables: list[tuple[np.ndarray, np.ndarray]], letters: int) -> None:
        """Tables of orders 1, 2, ...: sorted packed n-grams int64 [N] and their counts [N]."""
        self._tables = tables
        self._letters = letters
        self.order = len(tables)
        # Neighbouring beams and utterances share most contexts: 100,000 rows are 30 MB.
        self.log_probs = lru_cache(maxsize=100_000)(self._log_probs)

    @classmethod
    def count(cls, texts: Iterable[list[int]], letters: int, order: int) -> "LetterLM":
        """Counts the n-grams of texts given as letter numbers, with their boundaries."""
        if letters > 1 << BITS or order * BITS > 63:
            raise ValueError(f"{letters} letters and order {order} do not fit 64 bits")
        line = np.array([n for text in texts for n in (*[0] * order, *text, 0)], np.int64)
        # An n-gram ends at every letter and at the boundary after the last one.
        ends = 1 + np.flatnonzero((line[1:] > 0) | (line[:-1] > 0))
        tables: list[tuple[np.ndarray, np.ndarray]] = []
        packed = np.zeros(len(ends), np.int64)
        for back in range(order):
            packed = packed + (line[ends - back] << (BITS * back))
            grams, counts = np.unique(packed, return_counts=True)
            tables.append((grams, counts.astype(np.uint32)))
        return cls(tables, letters)

    @classmethod
    def load(cls, path: Path) -> "LetterLM":
        """Reads what `save` wrote."""
        tables: list[tuple[np.ndarray, np.ndarray]] = []
        with np.load(path, allow_pickle=False) as stored:
            for n in count(1):
                if f"steps_{n}" not in stored:
                    break
                tables.append((np.cumsum(stored[f"steps_{n}"]), stored[f"counts_{n}"]))
            return cls(tables, int(stored["letters"]))

    def save(self, path: Path) -> None:
        """Writes the tables as a compressed .npz; n-grams as steps from one to the next."""
        stored = {"letters": np.array(self._letters)}
        for n, (grams, counts) in enumerate(self._tables, 1):
            stored[f"steps_{n}"] = np.diff(grams, prepend=0)
            stored[f"counts_{n}"] = counts
        np.savez_compressed(path, **stored)  # pyright: ignore[reportArgumentType]

    def _log_probs(self, context: tuple[int, ...]) -> np.ndarray:
        """Natural logarithms for every next letter after `context`, float64 [letters]."""
        probs = np.full(self._letters, 1.0 / self._letters)
        for n, (grams, counts) in enumerate(self._tables, 1):
            used = context[len(context) - n + 1 :] if n > 1 else ()
            if len(used) < n - 1:
                break
            packed = 0
            for letter in used:
                packed = (packed << BITS) + letter
            first, last = np.searchsorted(grams, [packed << BITS, (packed + 1) << BITS])
            if first == last:
                break  # a longer context was not met either
            seen = counts[first:last].astype(np.float64)
            kinds = last - first
            probs *= kinds / (kinds + seen.sum())
            probs[grams[first:last] & ((1 << BITS) - 1)] += seen / (kinds + seen.sum())
        return np.log(probs)
