"""Words of one engine: what its recogniser wrote, and what a judge heard of its own speech.

Two sides, each by every normaliser: `user` is the reference against the recogniser's text, `bot`
the text the engine meant to say against the judge's. A turn whose recogniser wrote nothing counts
as empty; one that was not judged is not on the bot's side, and is counted as such. Knows nothing
of pages.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.score.error_rates import Score, count, score, traits
from benchmarks.score.transcripts import ScoreError, Utterance
from benchmarks.statistics.bootstrap import Interval
from benchmarks.suite.rows import TurnRow
from benchmarks.summary.figure import TOO_SMALL, Figure, clusters_note, mean, share
from models.telugu.normalizers import HEADLINE, NORMALIZERS, NOT_COMPARABLE
from models.telugu.standard import script_fidelity

WORST = 5
RECOGNISER_ROLES = ("asr", "stt")


def words(rows: Sequence[TurnRow], roles: Sequence[str]) -> dict[str, Any]:
    """Both sides of an engine whose models have those roles."""
    return {
        "user": _side(user_side(rows, roles), rows),
        "bot": _side(bot_side(rows), rows),
        "bot_text_script": mean(
            [script_fidelity(row.bot_text) for row in rows],
            [row.cluster for row in rows],
            "share",
        ).json(),
    }


def user_side(rows: Sequence[TurnRow], roles: Sequence[str]) -> list[Utterance]:
    """The recogniser's utterances; none for an engine that writes down nothing of the caller.

    An engine with a recogniser that wrote nothing at all stays: its texts are empty, its rate 1.
    """
    writes = any(role in roles for role in RECOGNISER_ROLES) or any(row.user_text for row in rows)
    return [_utterance(row, row.reference, row.user_text) for row in rows] if writes else []


def bot_side(rows: Sequence[TurnRow]) -> list[Utterance]:
    """What was judged of the engine's speech."""
    judged = (row for row in rows if row.heard_text is not None)
    return [_utterance(row, row.bot_text, row.heard_text or "") for row in judged]


def _utterance(row: TurnRow, reference: str, hypothesis: str) -> Utterance:
    name = f"{row.conversation}, turn {row.turn}" + (f", repeat {row.repeat}" * (row.repeat > 0))
    return Utterance(name, row.cluster, reference, hypothesis, not hypothesis)


def _side(utterances: Sequence[Utterance], rows: Sequence[TurnRow]) -> dict[str, Any]:
    if not utterances:
        return {"n": 0, "scheduled": len(rows), "why": "no transcripts"}
    try:
        scores = score(utterances, list(NORMALIZERS))
    except ScoreError:
        return {"n": 0, "scheduled": len(rows), "why": "no text to compare with"}
    kept = traits(utterances)
    groups = [u.group for u in utterances]
    fidelity = [script_fidelity(u.hypothesis) for u in utterances]
    return {
        "n": len(utterances),
        "scheduled": len(rows),
        "missing": sum(u.missing for u in utterances),
        "normalizers": [_rates(s, groups) for s in scores],
        "script_fidelity": mean(fidelity, groups, "share").json(),
        "empty": share(
            next(s.empty for s in scores if s.normalizer == HEADLINE), len(groups)
        ).json(),
        "hallucinated": share(kept.hallucinated, len(utterances)).json(),
        "worst": worst(utterances),
    }


def _rates(found: Score, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "normalizer": found.normalizer,
        "headline": found.normalizer == HEADLINE,
        "comparable": found.normalizer not in NOT_COMPARABLE,
        "wer": _rate(found.words.rate, found.wer_ci, found.n, groups),
        "cer": _rate(found.chars.rate, found.cer_ci, found.n, groups),
        "macro_wer": found.macro_wer and round(found.macro_wer, 6),
        "macro_cer": found.macro_cer and round(found.macro_cer, 6),
        "words": found.words.length,
    }


def _rate(value: float, limits: Interval | None, n: int, groups: Sequence[str]) -> dict[str, Any]:
    note = clusters_note(groups)
    if limits is None or note == TOO_SMALL:
        return Figure(value, None, None, n, "share", TOO_SMALL).json()
    return Figure(value, limits.low, limits.high, n, "share", note).json()


def worst(utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    """The utterances with the most word edits by the headline normaliser, those with speech."""
    counts = count(utterances, HEADLINE).counts
    order = sorted(
        (at for at in range(len(utterances)) if counts[at, 0] and counts[at, 1]),
        key=lambda at: (-int(counts[at, 0]), -int(counts[at, 2]), utterances[at].name),
    )
    return [
        {
            "turn": utterances[at].name,
            "reference": utterances[at].reference,
            "hypothesis": utterances[at].hypothesis,
            "edits": int(counts[at, 0]),
            "words": int(counts[at, 1]),
        }
        for at in order[:WORST]
    ]
