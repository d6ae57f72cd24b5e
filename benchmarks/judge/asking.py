"""How a run asks somebody who may fail: about many answers at once, and no longer once it is down.

An answer is its place among a run's rows. Notes say of which answers there is nothing, each
sentence once. Knows nothing of recordings or judges' kinds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TypeVar

from benchmarks.judge.address import JudgeError
from benchmarks.suite.rows import TurnRow

GIVE_UP_AFTER = 3  # answers in a row that the judge failed on
T = TypeVar("T")
Note = tuple[int, str]  # place of a row, -1 for the run as a whole; a sentence


class Asking:
    """A judge, asked until it fails several times in a row; safe in several threads."""

    def __init__(self, notes: list[Note]) -> None:
        """`notes` gets a sentence for every answer that was not judged."""
        self._notes = notes
        self._lock, self._failures = Lock(), 0

    def ask(self, n: int, question: Callable[[], T]) -> T | None:
        """What `question` gives about answer `n`; None if it fails, or failed too often."""
        if self._failures >= GIVE_UP_AFTER:
            self._notes.append((n, "an answer was not judged: the judge had failed too often"))
            return None
        try:
            told = question()
        except JudgeError as e:
            with self._lock:
                self._failures += 1
            self._notes.append((n, f"an answer was not judged: {e}"))
            return None
        with self._lock:
            self._failures = 0 if self._failures < GIVE_UP_AFTER else self._failures
        return told


def merged(notes: Sequence[Note], rows: Sequence[TurnRow]) -> Iterator[str]:
    """Each sentence once, with how often and where first; in the order of the rows."""
    ordered = sorted(notes)
    times = Counter(sentence for _, sentence in ordered)
    for sentence in dict.fromkeys(sentence for _, sentence in ordered):
        n = next(at for at, said in ordered if said == sentence)
        if n < 0:
            yield sentence
            continue
        row, more = rows[n], times[sentence] - 1
        place = f"{row.engine}, {row.conversation}, turn {row.turn}"
        yield f"{place}{f' and {more} more' if more else ''}: {sentence}"
