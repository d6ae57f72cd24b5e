"""Sound and content of one engine's answers: predicted quality, voice, clipping, gaps, fit.

`dnsmos_*` are predictions of a network trained on English calls; nobody's opinion, and never called
MOS. Knows nothing of latency or other engines.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.suite.rows import TurnRow
from benchmarks.summary.figure import Figure, mean, percentile, share_of

PREDICTORS = {
    "dnsmos_ovrl": "DNSMOS P.835 OVRL",
    "dnsmos_sig": "DNSMOS P.835 SIG",
    "dnsmos_bak": "DNSMOS P.835 BAK",
    "dnsmos_p808": "DNSMOS P.808",
}
LAST = 2  # answers of a call that its end is known by


def sound(rows: Sequence[TurnRow]) -> dict[str, Any]:
    """Figures over the answers; those without a measured quality are not in its n."""
    answered = [row for row in rows if row.answered]
    groups = [row.cluster for row in answered]
    qualities = [row.quality for row in answered]
    gaps = [q.longest_gap_ms for q in qualities if q.longest_gap_ms is not None]
    return {
        "predictors": [
            {
                "key": key,
                "name": name,
                "mean": mean([getattr(q, key) for q in qualities], groups, "score").json(),
            }
            for key, name in PREDICTORS.items()
        ],
        "voice": voice(answered).json(),
        "clipped": share_of(q.clipped > 0 for q in qualities if q.clipped is not None).json(),
        "longest_gap": {
            "p50": percentile(gaps, 0.5).json(),
            "p95": percentile(gaps, 0.95).json(),
        },
        "underrun": share_of(row.underruns > 0 for row in answered).json(),
        "underruns": sum(row.underruns for row in rows),
        "underrun_ms": round(sum(row.underrun_ms for row in rows), 1),
    }


def voice(answered: Sequence[TurnRow]) -> Figure:
    """How like the first answer of their call its last ones sound, in voice: 0..1, mean over calls.

    The last `LAST` of each call that could be compared.
    """
    calls: dict[tuple[str, int], list[TurnRow]] = {}
    for row in sorted(answered, key=lambda row: row.turn):
        if row.quality.voice_likeness is not None:
            calls.setdefault((row.conversation, row.repeat), []).append(row)
    last = [row for rows in calls.values() for row in rows[-LAST:]]
    alike = [row.quality.voice_likeness for row in last]
    return mean(alike, [row.cluster for row in last], "score")


def content(rows: Sequence[TurnRow]) -> dict[str, Any]:
    """Whether answers fit: by the turn's key, by a language model, and how often the two agree.

    Turns without a key, or without a verdict, are not counted.
    """
    known = [row.fits for row in rows if row.fits is not None]
    judged = [row for row in rows if row.judged_fits is not None]
    return {
        "fits": share_of(known).json(),
        "without_key": len(rows) - len(known),
        "judged": share_of(bool(row.judged_fits) for row in judged).json(),
        "agreement": share_of(
            row.fits == row.judged_fits for row in judged if row.fits is not None
        ).json(),
    }


def endings(rows: Sequence[TurnRow]) -> list[dict[str, Any]]:
    """How often each status came up, with its first reason: most frequent first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(row.status, {"status": row.status, "n": 0, "reason": ""})
        one["n"] += 1
        one["reason"] = one["reason"] or row.reason or ""
    return sorted(found.values(), key=lambda one: (-one["n"], one["status"]))
