"""Figures as words: a value with its unit, its interval, its n; no figure without them.

Both the page and the Markdown say figures through these functions. Knows nothing of tables.
"""

import math
from typing import Any

from benchmarks.summary.figure import TOO_SMALL, Figure

MINUS = "−"
NONE = "–"
THIN = "\u202f"  # a narrow space without a break, between number and unit


class ReportError(Exception):
    """What was measured cannot be reported; the sentence names the remedy."""


def value_text(figure: Figure, *, signed: bool = False) -> str:
    """`712 ms`, `97.5 %`, `3.61`; a signed share is in points."""
    if figure.value is None:
        return NONE
    if math.isinf(figure.value):
        return (
            "never"
            if figure.value > 0 and not signed
            else ("+" if figure.value > 0 else MINUS) + "∞"
        )
    unit = {"ms": f"{THIN}ms", "share": f"{THIN}%", "s": f"{THIN}s"}.get(figure.unit, "")
    if signed and figure.unit == "share":
        unit = f"{THIN}points"
    return number(figure.value, figure.unit, signed=signed) + unit


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """The bare number as it is shown in that unit."""
    if math.isinf(value):
        return "never" if value > 0 else f"{MINUS}∞"
    if unit == "ms":
        whole = abs(value) >= 10 or value == round(value)
        shown = f"{value:,.0f}" if whole else f"{value:.1f}"
    elif unit == "share":
        shown = f"{100 * value:.1f}"
    elif unit == "count":
        shown = f"{value:.0f}"
    else:
        shown = f"{value:.2f}"
    if float(shown.replace(",", "")) == 0:
        shown = shown.removeprefix("-")  # no minus before a rounded zero
    elif signed and value > 0:
        shown = f"+{shown}"
    return shown.replace("-", MINUS).replace(",", THIN)


def interval_text(figure: Figure, *, signed: bool = False) -> str:
    """`[650, 790]`, `…` for an open side; the reason where there is no interval."""
    if figure.value is None:
        return figure.note
    if not figure.has_interval:
        return figure.note or TOO_SMALL
    ends = [
        "…" if end is None else number(end, figure.unit, signed=signed)
        for end in (figure.low, figure.high)
    ]
    return f"[{ends[0]}, {ends[1]}]"


def full_text(figure: Figure, *, signed: bool = False) -> str:
    """Value, interval and n in a line."""
    if figure.value is None:
        return f"{NONE} ({figure.note or 'not measured'})"
    return (
        f"{value_text(figure, signed=signed)} {interval_text(figure, signed=signed)}, n {figure.n}"
    )


def excludes_zero(figure: Figure) -> bool:
    """Whether both limits are known and on one side of 0."""
    if figure.low is None or figure.high is None:
        return False
    return figure.low > 0 or figure.high < 0


def error_rate(found: dict[str, Any], which: str) -> Figure:
    """The WER or CER of a normaliser's entry, which must carry all that a rate needs.

    Raises:
        ReportError: no normaliser, no n, or neither interval nor the reason why there is none.
    """
    name, rate = found.get("normalizer"), found.get(which)
    if not name or not isinstance(rate, dict):
        raise ReportError(f"a {which.upper()} without its normaliser says nothing; score it again")
    if not rate.get("n"):
        raise ReportError(f"the {which.upper()} by {name} does not say of how many utterances")
    if rate.get("ci95") is None and not rate.get("note"):
        raise ReportError(f"the {which.upper()} by {name} has no interval and no reason for it")
    return Figure.of(rate)
