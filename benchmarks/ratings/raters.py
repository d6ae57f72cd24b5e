"""Whose ratings count: raters who do not tell the anchors apart or do not listen are left out.

The rules are fixed before anything is seen and name no engine, so nobody can be left out for what
they think of one. Knows answers and the key; nothing of means by engine.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.ratings.read import ACR, PAIR, SAME, A, Answer, Key

ALLOWED_MISSES = 0.25  # of the attention checks: one slip in four is forgiven
FEWEST_ALIKE = 5  # so many scores, all the same, are no judgement

RULES = (
    "the mean score of the low anchors is above that of the high anchors "
    "(or, without these, of the clips they were made of)",
    "more than a quarter of the attention checks failed",
    f"{FEWEST_ALIKE} or more scores, all the same",
)


@dataclass(frozen=True)
class Excluded:
    """A rater whose answers are not counted, and why."""

    rater: str
    reasons: list[str]
    answers: int


def sift(answers: Sequence[Answer], key: Key) -> tuple[list[Answer], list[Excluded]]:
    """The answers that count, and who was left out with all of theirs."""
    by_rater: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_rater[answer.rater].append(answer)
    excluded: list[Excluded] = []
    for rater, theirs in by_rater.items():
        if reasons := list(_reasons(theirs, key)):
            excluded.append(Excluded(rater, reasons, len(theirs)))
    out = {e.rater for e in excluded}
    return [a for a in answers if a.rater not in out], excluded


def _reasons(answers: Sequence[Answer], key: Key) -> Iterator[str]:
    scores = {a.a: a.score for a in answers if a.kind == ACR}
    low, high = _anchors(scores, key)
    if low and high and _mean(low) > _mean(high):
        yield f"rates the low anchors {_mean(low):.1f} and the high ones {_mean(high):.1f}"
    checks = [passed for answer in answers if (passed := _passed(answer, key)) is not None]
    failed = checks.count(False)
    if failed > ALLOWED_MISSES * len(checks):
        yield f"fails {failed} of {len(checks)} attention checks"
    rated = [score for name, score in scores.items() if key.clips[name]["role"] != "check"]
    if len(rated) >= FEWEST_ALIKE and len(set(rated)) == 1:
        yield f"gives {rated[0]} to all of {len(rated)} clips"


def _anchors(scores: dict[str, int], key: Key) -> tuple[list[int], list[int]]:
    roles: dict[str, list[int]] = defaultdict(list)
    sources: list[int] = []
    for name, score in scores.items():
        roles[key.clips[name]["role"]].append(score)
        if key.clips[name]["role"] == "low" and key.clips[name]["source"] in scores:
            sources.append(scores[key.clips[name]["source"]])
    return roles["low"], roles["high"] or sources


def _passed(answer: Answer, key: Key) -> bool | None:
    """Whether a check was passed; None if the answer is to no check."""
    if answer.kind == PAIR:
        worse = key.pairs[answer.task].get("worse")
        if worse is None:
            return None
        chosen = answer.a if answer.preferred == A else answer.b
        return answer.preferred != SAME and chosen != worse
    expected = key.clips[answer.a].get("expected")
    return None if expected is None else answer.score == expected


def _mean(scores: Sequence[int]) -> float:
    return sum(scores) / len(scores)
