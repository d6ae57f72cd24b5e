"""The plots of the load suite: time against callers, and cost against callers.

Knows nothing of pages.
"""

from typing import Any

from benchmarks.report.figures import number
from benchmarks.report.svg import Scale, ceiling, dot, drawing, line, path, text, ticks


def load_curves(
    ramps: list[dict[str, Any]], key: str, target: float | None, width: int, name: str
) -> str:
    """`key` of every step against its calls; a hollow point did not hold."""
    height = 310 if width > 400 else 260
    series = [(r, [s for s in r["steps"] if s[key] is not None]) for r in ramps]
    series = [(r, found) for r, found in series if found]
    calls = [s["calls"] for _, found in series for s in found]
    values = [s[key] for _, found in series for s in found]
    top = ceiling(max([*values, target or 0.0]) * 1.02)
    last = max(calls)
    x = Scale((0, last * 1.04), (48, width - 14))
    y = Scale((0, top), (height - 44, 22))
    parts = []
    for value in ticks(0, top, 4):
        parts.append(line((48, y(value)), (width - 14, y(value)), "grid" if value else "axis"))
        parts.append(text(42, y(value) + 4, number(value, "ms"), anchor="end"))
    for value in ticks(0, last, 6 if width > 400 else 4):
        if value == int(value):
            parts.append(text(x(value), y(0) + 18, f"{value:.0f}", anchor="middle"))
    parts.append(text(width - 14, height - 8, "callers at once", anchor="end"))
    parts.append(text(42, 12, "ms", anchor="end"))
    if target is not None:
        parts.append(line((48, y(target)), (width - 14, y(target)), "mark"))
        parts.append(text(54, y(target) - 6, f"target {number(target, 'ms')}\u202fms", "small"))
    for ramp, found in series:
        at = ramp["series"]
        points = [(x(s["calls"]), y(s[key])) for s in found]
        parts.append(path(points, f"curve s{at}"))
        for (px, py), step in zip(points, found, strict=True):
            parts.append(dot(px, py, f"{'fill' if step['holds'] else 'hollow'} s{at}"))
        px, py = points[-1]
        parts.append(text(px - 2, py - 10, ramp["engine"], f"label s{at}", "end"))
    described = "; ".join(
        f"{r['engine']}: "
        + ", ".join(f"{s['calls']} callers {number(s[key], 'ms')} ms" for s in found)
        for r, found in series
    )
    return drawing(
        name, width, height, f"{key.replace('_', ' ')} by callers", described, "".join(parts)
    )


def cost_curves(plan: dict[str, Any], series: dict[str, int], width: int, name: str) -> str:
    """Dollars an hour of one caller against callers, whole GPUs, at the stated blocking."""
    height = 310 if width > 400 else 260
    engines = [e for e in plan["engines"] if e["curve"]]
    usd = [p["usd"] for e in engines for p in e["curve"]]
    callers = [p["callers"] for e in engines for p in e["curve"]]
    top = ceiling(max(usd) * 1.02)
    x = Scale((min(callers), max(callers)), (48, width - 14), log=True)
    y = Scale((0, top), (height - 44, 22))
    parts = []
    for value in ticks(0, top, 4):
        parts.append(line((48, y(value)), (width - 14, y(value)), "grid" if value else "axis"))
        parts.append(text(42, y(value) + 4, f"{value:g}", anchor="end"))
    for value in (1, 10, 100, 1000):
        anchor = "start" if value == 1 else "end" if value == 1000 else "middle"
        parts.append(text(x(value), y(0) + 18, f"{value}", anchor=anchor))
    parts.append(text(width - 14, height - 8, "callers on average", anchor="end"))
    parts.append(text(42, 12, "$", anchor="end"))
    for number_, engine in enumerate(engines):
        at = series.get(engine["engine"], number_)
        points = [(x(p["callers"]), y(p["usd"])) for p in engine["curve"]]
        parts.append(path(points, f"curve s{at}" + " under" * (number_ == 0)))
        px, py = points[-1]
        below = 16 if number_ and abs(py - y(engines[0]["curve"][-1]["usd"])) < 20 else -8
        parts.append(text(px, py + below, engine["engine"], f"label s{at}", "end"))
    described = "; ".join(
        f"{e['engine']}: {e['curve'][0]['usd']:.3g} $ with 1 caller, "
        f"{e['curve'][-1]['usd']:.3g} $ with {e['curve'][-1]['callers']}"
        for e in engines
    )
    title = f"Cost of a caller's hour on {plan['name']}"
    return drawing(name, width, height, title, described, "".join(parts))
