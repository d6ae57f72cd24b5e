"""Pooled word and character error rates of transcripts, and what must stand beside them.

A rate is all edits over all reference words (or code points without spaces), so it may pass 1; the
macro rate is the mean over utterances. An utterance may be of no speech (an empty reference): words
found there are insertions of the pooled rate, and the macro rate, which it has none of, leaves it
out. Knows nothing of files or tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.score.transcripts import ScoreError, Utterance
from benchmarks.statistics.bootstrap import Interval, rate_intervals
from models.telugu.normalizers import HEADLINE, NORMALIZERS
from models.telugu.standard import script_fidelity, te_std
from models.telugu.wer import Errors, char_errors, word_errors

_TIMES_LONGER = 2  # a hypothesis with more than so many times the reference's characters
_COPIES = 3  # of one phrase in a row; Telugu doubles words (పెద్ద పెద్ద), it does not treble them
_PHRASE = 4  # words


@dataclass(frozen=True)
class Score:
    """One system's transcripts under one normaliser."""

    normalizer: str
    n: int  # utterances, those without speech or hypothesis among them
    words: Errors
    chars: Errors
    macro_wer: float | None  # mean over the utterances with reference speech
    macro_cer: float | None
    wer_ci: Interval | None  # 95 %; None where one group alone was measured
    cer_ci: Interval | None
    empty: int  # hypotheses with nothing left after the normaliser

    @property
    def empty_rate(self) -> float:
        return self.empty / self.n


@dataclass(frozen=True)
class Traits:
    """What the hypotheses are like, whatever the normaliser."""

    script_fidelity: float | None  # mean share of Telugu among letters and marks
    lettered: int  # hypotheses with any letter, over which that mean is
    hallucinated: int  # of all: words without speech, more than twice as long, or in a loop
    silent: int  # references without speech
    invented: int  # of those, how many got words

    @property
    def invented_rate(self) -> float | None:
        """The hallucination rate where nothing was said; None without such utterances."""
        return self.invented / self.silent if self.silent else None


@dataclass(frozen=True)
class Transcript:
    """Per-utterance counts under one normaliser: int `[n, 4]` word and char edits and lengths."""

    counts: np.ndarray
    empty: int


def count(utterances: Sequence[Utterance], normalizer: str) -> Transcript:
    """Edits and reference lengths of every utterance."""
    normalise = NORMALIZERS[normalizer]
    counts = np.empty((len(utterances), 4), np.int64)
    empty = 0
    for row, utterance in zip(counts, utterances, strict=True):
        reference, hypothesis = normalise(utterance.reference), normalise(utterance.hypothesis)
        words, chars = word_errors(reference, hypothesis), char_errors(reference, hypothesis)
        row[:] = words.edits, words.length, chars.edits, chars.length
        empty += not hypothesis
    return Transcript(counts, empty)


def score(utterances: Sequence[Utterance], normalizers: Sequence[str] = (HEADLINE,)) -> list[Score]:
    """The pooled scores of one system under each normaliser; one set of draws for all intervals.

    Raises:
        ScoreError: no utterances, or a normaliser leaves nothing of any reference.
    """
    if not utterances:
        raise ScoreError("there are no utterances to score")
    transcripts = [count(utterances, name) for name in normalizers]
    for name, transcript in zip(normalizers, transcripts, strict=True):
        if not transcript.counts[:, 1].any():
            raise ScoreError(
                f"every reference is empty after {name}, so there is no error rate: "
                "check that --refs is the file with the references"
            )
    columns = np.hstack([transcript.counts for transcript in transcripts])
    limits = rate_intervals(columns, [u.group for u in utterances])
    return [
        _score(name, transcript, limits[2 * at], limits[2 * at + 1])
        for at, (name, transcript) in enumerate(zip(normalizers, transcripts, strict=True))
    ]


def _score(name: str, found: Transcript, wer_ci: Interval | None, cer_ci: Interval | None) -> Score:
    edits, words, char_edits, chars = (int(total) for total in found.counts.sum(axis=0))
    return Score(
        name,
        len(found.counts),
        Errors(edits, words),
        Errors(char_edits, chars),
        _mean_rate(found.counts[:, :2]),
        _mean_rate(found.counts[:, 2:]),
        wer_ci,
        cer_ci,
        found.empty,
    )


def _mean_rate(counts: np.ndarray) -> float | None:
    spoken = counts[counts[:, 1] > 0]
    return float(np.mean(spoken[:, 0] / spoken[:, 1])) if len(spoken) else None


def traits(utterances: Sequence[Utterance]) -> Traits:
    """Script fidelity on the hypotheses as written; the rest after te-std."""
    known = [f for u in utterances if (f := script_fidelity(u.hypothesis)) is not None]
    pairs = [(te_std(u.reference), te_std(u.hypothesis)) for u in utterances]
    return Traits(
        sum(known) / len(known) if known else None,
        len(known),
        sum(hallucinated(reference, hypothesis) for reference, hypothesis in pairs),
        sum(not reference for reference, _ in pairs),
        sum(not reference and bool(hypothesis) for reference, hypothesis in pairs),
    )


def hallucinated(reference: str, hypothesis: str) -> bool:
    """Whether a normalised hypothesis holds what nobody said.

    Words where the reference has none; more than twice its characters (spaces aside: splitting a
    word invents nothing); or a phrase of up to four words three times in a row, which the reference
    has not. The thresholds are this project's.
    """
    said, heard = reference.split(), hypothesis.split()
    longer = sum(map(len, heard)) > _TIMES_LONGER * sum(map(len, said))
    return longer or (_loops(heard) and not _loops(said))


def _loops(words: Sequence[str]) -> bool:
    for size in range(1, _PHRASE + 1):
        same = 0  # words in a row that equal the one a phrase earlier
        for earlier, word in zip(words, words[size:], strict=False):
            same = same + 1 if word == earlier else 0
            if same == size * (_COPIES - 1):
                return True
    return False
