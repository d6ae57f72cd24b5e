"""What the rows of a voice's run say: error rates, ratings, likeness, time, seams, guards.

Everything is computed from the rows; the same rows give the same figures. Knows no screen.
"""

from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.statistics.bootstrap import interval, rate_intervals, resampled
from benchmarks.statistics.order import percentile_interval
from benchmarks.statistics.proportions import wilson
from benchmarks.voice.rows import ReadRow, WatchRow

STANDS_OUT = 0.95  # rank of a join that one in twenty other places reaches
OURS, STAND_IN = "speecht5", "espeak"
# What the project asks of the starter voice on two cores.
FIRST_MS, REAL_TIME, CER_RATIO = 150.0, 0.5, 1.5

Figures = dict[str, Any]


def figures(reads: Sequence[ReadRow], watched: Sequence[WatchRow]) -> Figures:
    """All of them, JSON-ready."""
    systems = list(dict.fromkeys(row.system for row in reads))
    found: Figures = {name: _system([r for r in reads if r.system == name]) for name in systems}
    told: Figures = {"systems": found}
    if {OURS, STAND_IN} <= found.keys():
        told["cer_ratio"] = cer_ratio(reads)
    if watched:
        told["guards"] = guards(watched)
    if OURS in found:
        told["goals"] = goals(told)
    return told


def _system(rows: Sequence[ReadRow]) -> Figures:
    alone = [row for row in rows if row.at_once == 1]
    voices = list(dict.fromkeys(row.voice for row in alone))
    return {
        "voices": {voice: _voice([r for r in alone if r.voice == voice]) for voice in voices},
        "all": _voice(alone),
        "likeness": likeness(alone),
        "time": {
            str(n): _time([row for row in rows if row.at_once == n])
            for n in sorted({row.at_once for row in rows})
        },
        "seams": _seams(alone),
    }


def _voice(rows: Sequence[ReadRow]) -> Figures:
    judged = [row for row in rows if row.heard is not None]
    counts = np.array([(row.edits, row.length) for row in judged]).reshape(-1, 2)
    length = int(counts[:, 1].sum())
    ci = rate_intervals(counts, [row.text_id for row in judged])[0] if length else None
    return {
        "n": len(rows),
        "broken": sum(bool(row.fault) for row in rows),
        "retries": sum(row.retries for row in rows),
        "cer": round(int(counts[:, 0].sum()) / length, 4) if length else None,
        "cer_ci": None if ci is None else [round(ci.low, 4), round(ci.high, 4)],
        "dnsmos_ovrl": _mean([row.dnsmos_ovrl for row in rows]),
        "dnsmos_sig": _mean([row.dnsmos_sig for row in rows]),
        "dnsmos_p808": _mean([row.dnsmos_p808 for row in rows]),
        "clipped": max((row.clipped for row in rows if row.clipped is not None), default=None),
        "peak_dbfs": _most([row.peak_dbfs for row in rows]),
        "gap_ms": _most([row.gap_ms for row in rows]),
    }


def _time(rows: Sequence[ReadRow]) -> Figures:
    """Milliseconds until the first piece, and seconds of work for a second of sound."""
    first = [row.first_ms for row in rows]
    paces = [r.whole_ms / 1000.0 / r.seconds for r in rows if r.whole_ms and r.samples]
    return {
        "n": len(rows),
        "first_ms_p50": percentile_interval(first, 0.5)[0],
        "first_ms_p95": percentile_interval(first, 0.95)[0],
        "real_time_factor": round(mean(paces), 4) if paces else None,
        "real_time_factor_max": round(max(paces), 4) if paces else None,
        "starved_ms": max((row.starved_ms for row in rows), default=None),
    }


def likeness(rows: Sequence[ReadRow]) -> Figures:
    """Mean cosine between readings of different texts, voice by voice.

    A voice separates when it is more like itself than like any other; texts differ on both sides,
    so that words cannot help.
    """
    known = [row for row in rows if row.embedding]
    voices = list(dict.fromkeys(row.voice for row in known))
    points = {v: np.array([r.embedding for r in known if r.voice == v]) for v in voices}
    texts = {v: np.array([r.text_id for r in known if r.voice == v]) for v in voices}
    matrix: dict[str, dict[str, float | None]] = {}
    for one in voices:
        matrix[one] = {}
        for other in voices:
            cosines = points[one] @ points[other].T
            apart = texts[one][:, None] != texts[other][None]
            pairs = cosines[apart]
            matrix[one][other] = round(float(pairs.mean()), 4) if len(pairs) else None
    crossed = [m for a in voices for b, m in matrix[a].items() if a != b and m is not None]
    own = [m for a in voices if (m := matrix[a][a]) is not None]
    least = min(own, default=None)
    most = max(crossed, default=None)
    return {
        "matrix": matrix,
        "least_own": least,
        "most_crossed": most,
        "separate": None if least is None or most is None else least > most,
    }


def _seams(rows: Sequence[ReadRow]) -> Figures:
    """Joins between pieces that stand out, of those that are in sound."""
    ranks = [rank for row in rows for rank in row.seams]
    share, low, high = wilson(sum(rank > STANDS_OUT for rank in ranks), len(ranks))
    return {
        "joins": len(ranks),
        "median_rank": round(float(np.median(ranks)), 3) if ranks else None,
        "stand_out": None if share is None else round(share, 4),
        "stand_out_ci": None if low is None or high is None else [round(low, 4), round(high, 4)],
        "expected": round(1.0 - STANDS_OUT, 4),
    }


def cer_ratio(reads: Sequence[ReadRow]) -> Figures:
    """Our error rate over the stand-in's, of the texts and voices that both read; paired."""
    told = {
        name: {(r.text_id, r.voice, r.emotion): r for r in reads if _counts(r, name)}
        for name in (OURS, STAND_IN)
    }
    both = [key for key in told[OURS] if key in told[STAND_IN]]
    pairs = [(told[OURS][key], told[STAND_IN][key]) for key in both]
    counts = np.array([(a.edits, a.length, b.edits, b.length) for a, b in pairs]).reshape(-1, 4)
    total = counts.sum(axis=0)
    if not len(pairs) or not total[1] or not total[2]:  # nothing to divide by
        return {"n": len(pairs), "ratio": None, "ci": None}
    drawn = resampled(counts, [key[0] for key in both])
    below = drawn[:, 1] * drawn[:, 2]  # 0 where the other made no mistake in a draw
    nothing = np.full(len(drawn), np.nan)
    ratios = np.divide(drawn[:, 0] * drawn[:, 3], below, out=nothing, where=below > 0)
    limits = interval(ratios) if len({key[0] for key in both}) > 1 else None
    return {
        "n": len(pairs),
        "ratio": round(float(total[0] / total[1] / (total[2] / total[3])), 3),
        "ci": None if limits is None else [round(limits.low, 3), round(limits.high, 3)],
    }


def _counts(row: ReadRow, system: str) -> bool:
    return row.system == system and row.at_once == 1 and row.heard is not None


def guards(rows: Sequence[WatchRow]) -> Figures:
    """How often each guard fires, and how far from it clauses stay that were said to their end."""
    faults = [row.fault for row in rows if row.fault]
    good = [row for row in rows if not row.fault]
    limits = rows[0].limits
    fired = {name: faults.count(name) for name in ("skipped", "repeated", "stuck", "runaway")}
    return {
        "n": len(rows),
        "fired": fired,
        "by_voice": {
            voice: sum(bool(r.fault) for r in rows if r.voice == voice)
            for voice in dict.fromkeys(row.voice for row in rows)
        },
        "not_stopped": sum(not row.stopped for row in good),
        "margins": {
            name: _spread([float(getattr(row, name)) for row in good]) | {"limit": limit}
            for name, limit in limits.items()
        },
    }


def _spread(values: Sequence[float]) -> Figures:
    if not values:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = np.quantile(values, (0.5, 0.99))
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": max(values)}


def goals(told: Figures) -> list[Figures]:
    """What was asked, what was found, and whether it holds (None: not measured)."""
    ours = told["systems"][OURS]
    alone, pair = ours["time"].get("1", {}), ours["time"].get("2", {})
    ratio = told.get("cer_ratio", {}).get("ratio")
    seams, sound, like = ours["seams"], ours["all"], ours["likeness"]
    low = (seams["stand_out_ci"] or [None])[0]
    starved = _most([alone.get("starved_ms"), pair.get("starved_ms")])
    return [
        _goal("first audio, p50", f"≤ {FIRST_MS:g} ms", alone.get("first_ms_p50"), FIRST_MS),
        _goal("real-time factor, two at once", f"≤ {REAL_TIME}", pair.get("real_time_factor"), 0.5),
        _understood(told, ratio),
        {
            "goal": "least likeness of a voice to itself, and most to another",
            "wanted": "own > other",
            "found": [like["least_own"], like["most_crossed"]],
            "met": like["separate"],
        },
        _goal("samples at full scale, worst reading", "0", sound["clipped"], 0.0),
        {
            "goal": "joins that stand out (5 % would by chance)",
            "wanted": "no more than chance",
            "found": seams["stand_out"],
            "met": None if low is None else low <= seams["expected"],
        },
        _goal("longest wait for a piece while playing", "0 ms", starved, 0.0),
    ]


def _understood(told: Figures, ratio: float | None) -> Figures:
    """Where the stand-in made no mistake at all, none is asked of us."""
    goal = _goal("CER over espeak-ng's", f"≤ {CER_RATIO}", ratio, CER_RATIO)
    rates = [told["systems"][n]["all"]["cer"] for n in (OURS, STAND_IN) if n in told["systems"]]
    if ratio is None and len(rates) == 2 and None not in rates:
        goal |= {"found": f"{rates[0]:.3g} over {rates[1]:.3g}", "met": rates[0] <= rates[1]}
    return goal


def _goal(name: str, wanted: str, found: float | None, most: float) -> Figures:
    return {"goal": name, "wanted": wanted, "found": found, "met": _within(found, most)}


def _within(found: float | None, most: float) -> bool | None:
    return None if found is None else found <= most


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 3) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 2) if known else None
