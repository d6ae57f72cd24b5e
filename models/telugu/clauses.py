"""Streaming text in, speakable clauses out.

The first clause of an answer comes early, at a comma or after a few words, so that speech starts
while the rest is still being written; what follows comes by sentences, which sound better. Knows
nothing of voices or of how numbers are read, only that they must not be torn apart.
"""

import re

from models.telugu.standard import graphemes

_SURE_MARKS = "?!।॥…\n"  # end a sentence whatever follows
_SENTENCE_MARKS = "." + _SURE_MARKS
_CLAUSE_MARKS = ",;:—–"
_MARKS = re.compile(f"[{re.escape(_SENTENCE_MARKS + _CLAUSE_MARKS)}]")
_CLOSERS = "\"'”’)]}»*"  # belong to the sentence they close
_LATE = _SENTENCE_MARKS + _CLAUSE_MARKS + "”’)]}» "  # cannot open a clause

# A full stop behind these does not end a sentence: రూ. 500, డా. రావు, నం. 5, 3 కి.మీ. దూరం.
_ABBREVIATIONS = frozenset(["డాక్", "ప్రొ", "Rs", "Dr", "Mr", "Mrs", "Ms", "vs", "am", "pm"])
_LIST_MARK = re.compile(r"\W*[0-9౦-౯]{1,2}\.")
_TELUGU = re.compile(r"[\u0c00-\u0c7f\u200c\u200d]+")
# Words that a number follows: a cut behind them would lose what the number means.
_BEFORE_NUMBER = re.compile(r"[₹$€£#+−-]$|^(?:రూ|Rs|INR|నం)\.?$", re.IGNORECASE)
_WORD = re.compile(r"\S+")


class ClauseChunker:
    """Cuts one answer into clauses as it streams in. A new answer takes a new chunker.

    No clause is empty or punctuation only; white space and late marks aside, joined they are the
    text. `first_words`: after so many words the first clause is cut even without a mark;
    `later_words`: the same for the others, at a comma where there is one.
    """

    def __init__(self, *, first_words: int = 7, later_words: int = 28) -> None:
        if first_words < 1 or later_words < 1:
            raise ValueError("A clause has at least one word.")
        self._first_words = first_words
        self._later_words = later_words
        self._buffer = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """Takes the next piece of the answer, of any length; returns the clauses it completes."""
        self._buffer += text
        clauses: list[str] = []
        while (end := self._cut()) is not None:
            clauses.append(self._buffer[:end].strip())
            self._buffer = self._buffer[end:]
            self._first = False
        return clauses

    def flush(self) -> list[str]:
        """The answer is complete: whatever is left, one clause or none."""
        rest = self._buffer.strip() if self._first else self._buffer.lstrip(_LATE).rstrip()
        self._buffer = ""
        return [rest] if _has_words(rest) else []

    def _cut(self) -> int | None:
        """Where the buffer can be cut now, or None: not yet."""
        if not self._first:
            self._buffer = self._buffer.lstrip(_LATE)
        for match in _MARKS.finditer(self._buffer):
            at = match.start()
            if (self._first or match.group() in _SENTENCE_MARKS) and self._ends(at):
                return self._with_closers(at + 1)
        return self._cut_by_length()

    def _ends(self, at: int) -> bool:
        """Whether the mark at `at` surely ends a clause, whatever the stream brings next."""
        before, mark, after = self._buffer[:at], self._buffer[at], self._buffer[at + 1 :]
        if not _has_words(before):
            return False
        if mark in _SURE_MARKS:
            return True
        if mark == ".":
            return self._stop_ends(before, after)
        if mark in ":–—":  # 9:30, 5–6, https://
            return after[:1].isspace() and not before[-1].isspace()
        if before[-1].isdigit():  # 1,000 and November 20, 2026
            return bool(after.strip()) and not after.strip()[0].isdigit()
        return True

    def _stop_ends(self, before: str, after: str) -> bool:
        word = before.split()[-1] if not before[-1].isspace() else ""
        last = word.rsplit(".", 1)[-1].lstrip("(\"'“‘")
        if after and not (after[0].isspace() or after[0] in _CLOSERS):
            return False  # 3.5, ఎ.పి, www.a.in
        if last in _ABBREVIATIONS or _LIST_MARK.fullmatch(before + "."):
            return False
        telugu = _TELUGU.fullmatch(last) is not None
        if telugu and len(graphemes(last)) == 1:  # initials and units: ఎన్. టి. రామారావు, కి.మీ.
            return False
        # At the end of what has come so far only a long Telugu word is beyond doubt.
        return after != "" or (telugu and word == last and len(graphemes(word)) > 2)

    def _with_closers(self, end: int) -> int:
        while end < len(self._buffer) and self._buffer[end] in _CLOSERS + _SENTENCE_MARKS:
            end += 1
        return end

    def _cut_by_length(self) -> int | None:
        limit = self._first_words if self._first else self._later_words
        words = list(_WORD.finditer(self._buffer))
        if len(words) <= limit:  # the word behind the cut must have begun
            return None
        ends = [
            before.end()
            for before, after in zip(words[limit - 1 :], words[limit:], strict=False)
            if _separable(before.group(), after.group())
        ]
        commas = [w.end() for w in words[limit // 3 : limit] if w.group()[-1] in _CLAUSE_MARKS]
        return (commas[-1:] or ends[:1] or [None])[0]


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _separable(before: str, after: str) -> bool:
    """A number leans on both its neighbours: 5 kg, ₹ 500, నవంబర్ 20, OTP 4821."""
    if any(char.isdigit() for char in before) or _BEFORE_NUMBER.search(before):
        return False
    return after[0].isalpha() and not any(char.isdigit() for char in after)
