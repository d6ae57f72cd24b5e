"""The plots of turns: the latency curve of every engine and the waterfall of its stages.

A drawing is a function of parts of `results.json` and of a width, since a phone gets drawings of
its own rather than shrunken ones. Knows nothing of pages.
"""

import math
from typing import Any

from benchmarks.report.figures import number, value_text
from benchmarks.report.svg import Point, Scale, box, dot, drawing, line, path, steps, text, ticks
from benchmarks.summary.figure import Figure

HUMAN_MS = 200  # median gap between people: Stivers et al., PNAS 2009
BEYOND = 1.04  # the axis ends a little after the slowest p98
EARLY = 0.3  # of that at most is shown before 0
STAGE_NAMES = {
    "endpointing": "end of turn",
    "asr": "transcription",
    "llm_first_token": "model, first token",
    "first_clause": "model, first clause",
    "tts_first_audio": "speech, first audio",
    "answer": "model answers",
    "opus": "codec of the wire",
    "playback": "jitter buffer",
    "leading_silence": "leading silence",
    "residual": "network, unexplained",
}


def latency_curves(found: dict[str, Any], engines: list[str], width: int, name: str) -> str:
    """Share of the scheduled turns that were answered within so many ms, one line an engine.

    Turns without an answer keep a line below 100 %; the end of each line says how far it comes.
    """
    told = {e: found[e] for e in engines if "latency" in found.get(e, {})}
    curves = {e: one["latency"]["curve"] for e, one in told.items()}
    values = [v for curve in curves.values() for v in curve]
    height = 390 if width > 400 else 290
    if not values:
        body = text(width / 2, height / 2, "no turn was answered", anchor="middle")
        return drawing(name, width, height, "Latency", "No turn was answered.", body)
    last = max((_nearly_all(curve) for curve in curves.values() if curve), default=1.0) * BEYOND
    last, first = max(last, 400.0), min(0.0, *values)
    x = Scale((max(first, -EARLY * last), last), (40, width - 8))
    y = Scale((0, 1), (height - 44, 24))
    parts = [_frame(x, y, width, height, last, first)]
    legend = 40.0
    for at, (engine, curve) in enumerate(curves.items()):
        parts.append(_curve(at, curve, told[engine]["n"], x, y))
        parts.append(text(legend, 11, engine, f"label s{at}"))
        legend += 8.5 * len(engine) + 16
    described = "; ".join(
        f"{e}: {value_text(Figure.of(one['latency']['v2v']['p50']))} in the median, "
        f"{value_text(Figure.of(one['latency']['answered']))} answered, n {one['n']}"
        for e, one in told.items()
    )
    title = "Share of turns answered within a time, voice to voice"
    return drawing(name, width, height, title, described, "".join(parts))


def _nearly_all(curve: list[float]) -> float:
    return curve[min(len(curve) - 1, int(0.98 * len(curve)))]


def _frame(x: Scale, y: Scale, width: int, height: int, last: float, first: float) -> str:
    parts = []
    for percent in (0, 25, 50, 75, 100):
        at = y(percent / 100)
        parts.append(line((40, at), (width - 8, at), "axis" if percent == 0 else "grid"))
        parts.append(text(34, at + 4, f"{percent}", anchor="end"))
    parts.append(text(34, 12, "%", anchor="end"))
    for value in ticks(max(first, -EARLY * last), last, 6 if width > 400 else 4):
        parts.append(line((x(value), y(0)), (x(value), y(0) + 4), "axis"))
        parts.append(text(x(value), y(0) + 18, number(value, "ms"), anchor="middle"))
    parts.append(text(width - 8, height - 8, "ms from the caller's last sound", anchor="end"))
    if first < 0:
        parts.append(box(x.start, y(1), x(0) - x.start, y(0) - y(1), "early", 0))
        parts.append(line((x(0), y(1)), (x(0), y(0)), "axis"))
    parts.append(line((x(HUMAN_MS), y(1)), (x(HUMAN_MS), y(0)), "mark"))
    parts.append(text(x(HUMAN_MS) + 5, y(1) + 14, "people: 200 ms", "small"))
    return "".join(parts)


def _curve(at: int, curve: list[float], n: int, x: Scale, y: Scale) -> str:
    if not curve:
        return ""
    points: list[Point] = [(x(min(0.0, curve[0])), y(0))]
    points += [(x(value), y((rank + 1) / n)) for rank, value in enumerate(curve)]
    share = len(curve) / n
    points.append((x.end, y(share)))
    parts = [steps(points, f"curve s{at}")]
    middle = (n + 1) // 2  # rank of the median among all turns
    if middle <= len(curve):
        px, py = x(curve[middle - 1]), y(0.5)
        parts.append(dot(px, py, f"fill s{at}"))
        side, anchor = (-9, "end") if at == 0 else (9, "start")
        label = f"{number(curve[middle - 1], 'ms')}\u202fms"
        parts.append(text(px + side, py - 7 if at == 0 else py + 16, label, f"label s{at}", anchor))
    return "".join(parts)


def stage_name(name: str) -> str:
    """A stage as people call it."""
    return STAGE_NAMES.get(name, name.replace("_", " "))


def waterfall(found: dict[str, Any], engine: str, at: int, width: int, name: str) -> str:
    """Mean time of every stage, each beginning where the one before ends; last of all the sum."""
    told = found["stages"]
    rows = [(stage_name(s["name"]), s["mean"]) for s in told]
    means = [float(mean["value"]) for _, mean in rows]
    total = float(found["v2v"]["value"])
    ends = [sum(means[: k + 1]) for k in range(len(means))]
    low, high = min(0.0, *ends), max(total, *ends) * 1.02
    label = 148 if width > 400 else 132
    x = Scale((low, high), (label + 8, width - 70))
    row, top = 26, 8
    height = top + row * (len(rows) + 1) + 12
    parts, start = [], 0.0
    for number_, ((words, _), mean) in enumerate(zip(rows, means, strict=True)):
        y = top + row * number_
        rest = told[number_]["name"] == "residual"
        parts.append(text(label, y + 16, words, anchor="end"))
        parts.append(
            box(x(start), y + 4, x(start + mean) - x(start), 17, "rest" if rest else f"fill s{at}")
        )
        edge = max(x(start), x(start + mean))
        parts.append(text(edge + 6, y + 17, number(mean, "ms"), "ink"))
        start += mean
        parts.append(line((x(start), y + 21), (x(start), y + row + 4), "thread"))
    y = top + row * len(rows)
    parts.append(text(label, y + 16, "voice to voice", "ink", anchor="end"))
    parts.append(box(x(0), y + 4, x(total) - x(0), 17, f"whole s{at}"))
    parts.append(text(x(total) + 6, y + 17, f"{number(total, 'ms')}\u202fms", "ink"))
    described = ", ".join(
        f"{w} {number(m, 'ms')} ms" for (w, _), m in zip(rows, means, strict=True)
    )
    title = f"{engine}: mean time by stage, sum {number(total, 'ms')} ms, n {found['n']}"
    return drawing(name, width, height, title, described, "".join(parts))


def radar(
    axes: list[str], sides: list[tuple[str, list[float | None]]], width: int, name: str
) -> str:
    """Shares 0..1 on spokes, 1 outside; a side without a value on an axis has a gap there."""
    height = int(width * 0.74)
    cx, cy = width / 2, height / 2
    radius = min(height / 2 - 28, width / 2 - 88)
    angles = [2 * math.pi * k / len(axes) - math.pi / 2 for k in range(len(axes))]

    def at(angle: float, share: float) -> Point:
        return cx + radius * share * math.cos(angle), cy + radius * share * math.sin(angle)

    parts = []
    for share in (0.25, 0.5, 0.75, 1.0):
        parts.append(path([at(a, share) for a in angles], "web", closed=True))
    for angle, label in zip(angles, axes, strict=True):
        parts.append(line((cx, cy), at(angle, 1)))
        px, py = at(angle, 1.09)
        side = math.cos(angle)
        anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
        parts.append(text(px, py + 4 + 8 * (math.sin(angle) > 0.9), label, anchor=anchor))
    for number_, (_, values) in enumerate(sides):
        known = [at(a, v) for a, v in zip(angles, values, strict=True) if v is not None]
        if len(known) > 2:
            parts.append(path(known, f"area s{number_}", closed=True))
        parts += [dot(px, py, f"fill s{number_}", 3.5) for px, py in known]
    described = "; ".join(
        f"{engine}: "
        + ", ".join(
            f"{axis} {'not measured' if v is None else number(v, 'share') + ' %'}"
            for axis, v in zip(axes, values, strict=True)
        )
        for engine, values in sides
    )
    return drawing(
        name, width, height, "Duplex behaviour, outside is better", described, "".join(parts)
    )
