"""The metrics that two sides are compared by: engines of one run, or one engine of two runs.

A metric is either a percentile of voice-to-voice time or a rate (a sum over a sum), so that both
can be resampled by conversation. `tolerance` is the change that `maata report --baseline` lets pass
even where its interval excludes 0. Knows nothing of pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.score.error_rates import count
from benchmarks.score.transcripts import Utterance
from benchmarks.suite.rows import TurnRow
from models.telugu.normalizers import HEADLINE

Counts = Callable[[Sequence[TurnRow]], np.ndarray]  # rows to float64 [n, 2]


@dataclass(frozen=True)
class Metric:
    """`percentile` is set for a latency, `counts` for a rate."""

    key: str
    label: str
    unit: str  # ms, share (a difference of shares is in points), score
    lower_is_better: bool
    tolerance: float
    percentile: float | None = None
    counts: Counts | None = None
    normalizer: str | None = None  # of an error rate


def _ratio(pair: Callable[[TurnRow], tuple[float, float]]) -> Counts:
    return lambda rows: np.array([pair(row) for row in rows], np.float64).reshape(-1, 2)


def _flag(test: Callable[[TurnRow], bool | None]) -> Counts:
    """The share of rows that pass; None: the row does not count."""

    def pair(row: TurnRow) -> tuple[float, float]:
        passed = test(row)
        return (0.0, 0.0) if passed is None else (float(passed), 1.0)

    return _ratio(pair)


def _value(read: Callable[[TurnRow], float | None]) -> Counts:
    def pair(row: TurnRow) -> tuple[float, float]:
        value = read(row)
        return (0.0, 0.0) if value is None else (value, 1.0)

    return _ratio(pair)


def user_counts(rows: Sequence[TurnRow]) -> np.ndarray:
    """Word edits and reference words of the recogniser; all 0 for an engine that writes nothing."""
    if not any(row.user_text for row in rows):
        return np.zeros((len(rows), 2))
    return _edits(rows, [(row.reference, row.user_text) for row in rows], 0)


def bot_counts(column: int) -> Counts:
    """Edits and length of what was heard: words at column 0, characters at 2; 0 if not judged."""

    def counts(rows: Sequence[TurnRow]) -> np.ndarray:
        pairs = [(r.bot_text, r.heard_text) if r.heard_text is not None else ("", "") for r in rows]
        return _edits(rows, pairs, column)

    return counts


def _edits(rows: Sequence[TurnRow], pairs: list[tuple[str, str]], column: int) -> np.ndarray:
    found = [Utterance("", row.cluster, *pair) for row, pair in zip(rows, pairs, strict=True)]
    return count(found, HEADLINE).counts[:, column : column + 2].astype(np.float64)


METRICS = (
    Metric("v2v_p50", "Voice to voice, p50", "ms", True, 30.0, percentile=0.5),
    Metric("v2v_p95", "Voice to voice, p95", "ms", True, 100.0, percentile=0.95),
    Metric(
        "within_800",
        "Answered within 800 ms",
        "share",
        False,
        0.05,
        counts=_flag(lambda r: r.v2v_ms is not None and r.v2v_ms <= 800),
    ),
    Metric("answered", "Turns answered", "share", False, 0.02, counts=_flag(lambda r: r.answered)),
    Metric(
        "early",
        "Starts too early (before 0)",
        "share",
        True,
        0.02,
        counts=_flag(lambda r: r.v2v_ms is not None and r.v2v_ms < 0),
    ),
    Metric(
        "false_starts",
        "False starts",
        "share",
        True,
        0.02,
        counts=_flag(lambda r: r.false_starts > 0),
    ),
    Metric(
        "user_wer",
        "Caller’s words, WER",
        "share",
        True,
        0.01,
        counts=user_counts,
        normalizer=HEADLINE,
    ),
    Metric(
        "bot_wer",
        "Own speech, WER",
        "share",
        True,
        0.01,
        counts=bot_counts(0),
        normalizer=HEADLINE,
    ),
    Metric(
        "bot_cer",
        "Own speech, CER",
        "share",
        True,
        0.01,
        counts=bot_counts(2),
        normalizer=HEADLINE,
    ),
    Metric(
        "dnsmos_ovrl",
        "DNSMOS OVRL (predicted)",
        "score",
        False,
        0.1,
        counts=_value(lambda r: r.quality.dnsmos_ovrl),
    ),
    Metric("fits", "Answer fits the key", "share", False, 0.03, counts=_flag(lambda r: r.fits)),
    Metric(
        "judged_fits",
        "Answer fits, by a language model",
        "share",
        False,
        0.05,
        counts=_flag(lambda r: r.judged_fits),
    ),
    Metric(
        "underrun",
        "Gaps in playback",
        "share",
        True,
        0.01,
        counts=_flag(lambda r: r.underruns > 0 if r.answered else None),
    ),
)
