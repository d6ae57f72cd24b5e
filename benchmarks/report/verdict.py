"""The verdict in plain words, by rule from the figures; nothing is said that no interval carries.

A metric counts for or against an engine only where the interval of the paired difference excludes
0. Otherwise it is named among those without a shown difference. Knows nothing of pages.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.report.figures import (
    THIN,
    excludes_zero,
    full_text,
    interval_text,
    number,
    value_text,
)
from benchmarks.report.load_tables import knees
from benchmarks.summary.figure import Figure
from benchmarks.summary.metrics import METRICS

# How a difference reads where it is good, and where it is bad, for the engine that is spoken of.
PHRASES = {
    "answered": ("answers more of the turns", "leaves more turns unanswered"),
    "early": (
        "starts less often before the caller has ended",
        "starts more often before the caller has ended",
    ),
    "false_starts": ("makes fewer false starts", "makes more false starts"),
    "user_wer": ("understands the caller better", "understands the caller less well"),
    "bot_wer": ("is understood better by the judge", "is understood less well by the judge"),
    "dnsmos_ovrl": (
        "sounds cleaner to the predictor DNSMOS",
        "sounds less clean to the predictor DNSMOS",
    ),
    "fits": ("gives a fitting answer more often", "gives a fitting answer less often"),
    "underrun": ("breaks up less often in playback", "breaks up more often in playback"),
}
LOWER_IS_BETTER = {metric.key: metric.lower_is_better for metric in METRICS}
LABELS = {metric.key: metric.label for metric in METRICS}
PLAIN_LABELS = {
    "answered": "turns answered",
    "early": "starting too early",
    "bot_wer": "how well it is understood",
    "user_wer": "how well it understands",
    "dnsmos_ovrl": "DNSMOS",
    "fits": "fitting answers",
}


def verdict(found: dict[str, Any]) -> list[str]:
    """Sentences, the first of which says the most; `found` is `results.json`."""
    said = [
        f"{engine} answered none of its {told['n']} turns."
        for engine, told in found["turns"].items()
        if told["n"] and told["latency"]["answered"]["value"] == 0
    ]
    if found["pair"]:
        said += compared(found["pair"])
    else:
        said += [alone(engine, told) for engine, told in found["turns"].items() if told["n"]]
    if not said:
        said = [*_behaviour(found.get("duplex")), *knees(found.get("load") or {"ramps": []})]
    if not said:
        said = ["No turn of this run counts, so nothing can be said about latency or words."]
    if found["run"].get("starter"):
        said.append(
            "The models are starter models, small ones for trying out: full-size models will come "
            "out differently."
        )
    if not found["run"].get("complete", True):
        said.append("The run is partial.")
    return said


def _behaviour(duplex: dict[str, Any] | None) -> list[str]:
    """The headlines of the duplex suite, for a run that has nothing else."""
    said = []
    for one in duplex["behaviours"] if duplex else ():
        if one["headline"]:
            shown = {engine: Figure.of(figure) for engine, figure in one["engines"].items()}
            parts = [f"{engine} {full_text(figure)}" for engine, figure in shown.items()]
            said.append(f"{one['label']}: {'; '.join(parts)}.")
    return said


def compared(pair: dict[str, Any]) -> list[str]:
    """What the paired differences show."""
    ours, theirs = pair["ours"], pair["theirs"]
    figures = {key: Figure.of(one) for key, one in pair["metrics"].items()}
    sooner, first = _latency(ours, theirs, figures["v2v_p50"], pair["n"])
    good, bad, even = [], [], []
    for key, (better, worse) in PHRASES.items():
        one = figures[key]
        if one.value is None or not one.has_interval:
            continue
        if not excludes_zero(one):
            even.append(PLAIN_LABELS.get(key, LABELS[key][0].lower() + LABELS[key][1:]))
        elif (one.value < 0) == LOWER_IS_BETTER[key]:
            good.append(f"{better} ({value_text(one, signed=True)})")
        else:
            bad.append(f"{worse} ({value_text(one, signed=True)})")
    contrary, alike = (bad, good) if sooner else (good, bad)
    if sooner is None:
        contrary, alike = bad, good
    sentences = [first + (f", but it {_listed(contrary)}." if contrary else ".")]
    if alike:
        sentences.append(f"It also {_listed(alike)}.")
    if even:
        sentences.append(f"No difference was shown in {_listed(even)}.")
    return [*sentences, *_tail(ours, figures)]


def _latency(ours: str, theirs: str, one: Figure, n: int) -> tuple[bool | None, str]:
    """Whether ours is sooner (None: not shown), and the sentence's beginning."""
    if one.value is None or not one.has_interval:
        return None, f"{n} turns that both had are too few to tell {ours} and {theirs} apart"
    if not excludes_zero(one):
        return None, (
            f"Over {n} turns that both had, no difference in latency between {ours} and {theirs} "
            f"was shown ({interval_text(one, signed=True)})"
        )
    low, high = (abs(end) for end in (one.low or 0.0, one.high or 0.0))
    ends = sorted((low, high))
    span = f"[{number(ends[0], 'ms')}, {number(ends[1], 'ms')}]"
    way = "sooner" if one.value < 0 else "later"
    return one.value < 0, (
        f"{ours} answers {number(abs(one.value), 'ms')}{THIN}ms {way} than {theirs} in the median "
        f"{span}, over the {n} turns that both had"
    )


def _tail(ours: str, figures: dict[str, Figure]) -> list[str]:
    """A p95 that says the opposite of the median."""
    middle, late = figures["v2v_p50"], figures["v2v_p95"]
    if middle.value is None or late.value is None:
        return []
    if not (excludes_zero(middle) and excludes_zero(late)) or middle.value * late.value > 0:
        return []
    way = "sooner" if late.value < 0 else "later"
    return [
        f"Its slowest turns go the other way: at p95 {ours} is {value_text(late, signed=True)} "
        f"{way} {interval_text(late, signed=True)}."
    ]


def alone(engine: str, told: dict[str, Any]) -> str:
    """What one engine does, with nothing beside it."""
    answered = Figure.of(told["latency"]["answered"])
    middle = Figure.of(told["latency"]["v2v"]["p50"])
    early = Figure.of(told["latency"]["early"])
    return (
        f"{engine} answered {value_text(answered)} of {told['n']} turns{_span(answered)}, in the "
        f"median after {value_text(middle)}{_span(middle)}, and started before the caller had "
        f"ended in {value_text(early)}{_span(early)}."
    )


def _span(one: Figure) -> str:
    """The interval behind a figure, or that there is none."""
    return f" {interval_text(one)}" if one.has_interval else f" (no interval: {one.note})"


def _listed(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]
