"""The figures of a voice's run as Markdown. Computes nothing: see `figures`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Figures = dict[str, Any]
_NAMES = {"speecht5": "SpeechT5", "espeak": "espeak-ng"}


def render(told: Figures) -> str:
    """`voice.md`. `told` are the figures and what `run` wrote beside them."""
    return "\n".join(_lines(told)).rstrip() + "\n"


def _lines(told: Figures) -> Iterator[str]:
    yield f"# The voice {told['model']}"
    yield ""
    yield (
        f"{told['texts']} sentences of `{told['set']}` read aloud, {told['hardware']}, commit "
        f"{told['commit'] or 'unknown'}; judge {told['judge'] or 'none'}. Load average at the "
        f"start {told['load']:.1f}: anything else that ran makes the times longer than they are."
    )
    yield ""
    if goals := told.get("goals"):
        yield "## What was asked of it"
        yield ""
        rows = [(g["goal"], g["wanted"], _text(g["found"]), _met(g["met"])) for g in goals]
        yield from _table(("goal", "asked", "found", "holds"), rows)
    yield from _heard(told)
    yield from _likeness(told)
    yield from _time(told)
    yield from _guards(told)


def _heard(told: Figures) -> Iterator[str]:
    yield "## Understood, and rated"
    yield ""
    yield (
        "CER of the judge's transcript (te-std, pooled; 95 % by a bootstrap over texts). DNSMOS is "
        "a predictor trained on English, no listener's opinion. `broken` readings lost their place "
        "(when served, espeak-ng says their rest)."
    )
    yield ""
    head = ("system", "voice", "n", "broken", "retries", "CER", "DNSMOS", "SIG", "P.808", "peak")
    rows = []
    for name, system in told["systems"].items():
        for voice, f in (*system["voices"].items(), ("all", system["all"])):
            rated = (_text(f[k]) for k in ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_p808"))
            rate = _percent(f["cer"], f["cer_ci"])
            peak = "–" if f["peak_dbfs"] is None else f"{f['peak_dbfs']:.1f} dBFS"
            row = (_NAMES.get(name, name), voice, f["n"], f["broken"], f["retries"], rate)
            rows.append((*row, *rated, peak))
    yield from _table(head, rows)
    if ratio := told.get("cer_ratio"):
        between = "" if not ratio["ci"] else f" [{ratio['ci'][0]:.2f}, {ratio['ci'][1]:.2f}]"
        yield f"SpeechT5's CER over espeak-ng's, same texts: {_text(ratio['ratio'])}{between}."
        yield ""


def _likeness(told: Figures) -> Iterator[str]:
    yield "## Told apart"
    yield ""
    yield (
        "Mean cosine between readings of different texts, by a published speaker encoder (GE2E). "
        "Voices separate when each is more like itself than any two are like each other."
    )
    yield ""
    for name, system in told["systems"].items():
        found = system["likeness"]
        voices = list(found["matrix"])
        if not voices:
            yield f"{_NAMES.get(name, name)}: not measured."
            yield ""
            continue
        rows = [(a, *(_text(found["matrix"][a][b]) for b in voices)) for a in voices]
        yield from _table((_NAMES.get(name, name), *voices), rows)
        least, most = _text(found["least_own"]), _text(found["most_crossed"])
        verb = "separate" if found["separate"] else "do not separate"
        yield f"Least like itself {least}, most like another {most}: they {verb}."
        yield ""


def _time(told: Figures) -> Iterator[str]:
    yield "## Quick, and in one piece"
    yield ""
    yield (
        "From the asking (the clause is ready) to the first piece of sound; seconds of work for a "
        "second of sound; the longest that playback would have waited for a piece. Joins: how many "
        "stand out of all places as one in twenty does."
    )
    yield ""
    head = ("system", "at once", "n", "first p50", "first p95", "RTF", "RTF max", "waited")
    rows = []
    for name, system in told["systems"].items():
        for at_once, f in system["time"].items():
            first = (_ms(f["first_ms_p50"]), _ms(f["first_ms_p95"]))
            paces = (_text(f["real_time_factor"]), _text(f["real_time_factor_max"]))
            row = (_NAMES.get(name, name), at_once, f["n"], *first, *paces, _ms(f["starved_ms"]))
            rows.append(row)
    yield from _table(head, rows)
    rows = []
    for name, system in told["systems"].items():
        f = system["seams"]
        rate = _percent(f["stand_out"], f["stand_out_ci"])
        rows.append((_NAMES.get(name, name), f["joins"], rate, _text(f["median_rank"])))
    yield from _table(("system", "joins in sound", "stand out", "median rank"), rows)


def _guards(told: Figures) -> Iterator[str]:
    found = told.get("guards")
    if not found:
        return
    yield "## The guards"
    yield ""
    fired = ", ".join(f"{name} {count}" for name, count in found["fired"].items())
    voices = ", ".join(f"{voice} {count}" for voice, count in found["by_voice"].items())
    yield (
        f"Of {found['n']} clauses, first attempts: {fired}. By voice: {voices}. Of those said to "
        f"their end, {found['not_stopped']} never said that they were over and were taken to be."
    )
    yield ""
    yield "How near the clauses that were said to their end came to each limit:"
    yield ""
    rows = [
        (_SEEN[name], *(_text(m[k]) for k in ("p50", "p99", "max", "limit")))
        for name, m in found["margins"].items()
    ]
    yield from _table(("seen", "p50", "p99", "max", "limit"), rows)


_SEEN = {
    "leap": "characters forward in a step",
    "back": "characters back",
    "stayed": "steps without progress",
    "used": "share of the steps allowed",
}


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(map(str, head)) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"
    yield ""


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _ms(value: float | None) -> str:
    return "–" if value is None else "never" if value == float("inf") else f"{value:.0f} ms"


def _met(value: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "not measured"}[value]


def _percent(rate: float | None, limits: Sequence[float] | None) -> str:
    if rate is None:
        return "–"
    between = f" [{100 * limits[0]:.1f}, {100 * limits[1]:.1f}]" if limits else ""
    return f"{100 * rate:.1f} %{between}"
