"""SVG by small functions: deterministic text, coloured by the page's style sheet.

Colours are classes (`s0`, `s1`, … a series; `grid`, `axis`, `ink`, `soft` the rest), so one drawing
serves light, dark and print. Every drawing has a title and a description for who cannot see it.
Knows nothing of what is drawn.
"""

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]


def drawing(name: str, width: int, height: int, title: str, description: str, body: str) -> str:
    """A whole SVG; `name` is unique on the page."""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(description)}</desc>{body}</svg>'
    )


def text(x: float, y: float, words: str, kind: str = "soft", anchor: str = "start") -> str:
    """Words at a baseline."""
    where = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {where}>{escape(words)}</text>"


def line(start: Point, end: Point, kind: str = "grid") -> str:
    """A straight line."""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'class="{kind}"/>'
    )


def path(points: Sequence[Point], kind: str, *, closed: bool = False) -> str:
    """A polyline, or a polygon."""
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<{"polygon" if closed else "polyline"} points="{told}" class="{kind}"/>'


def steps(points: Sequence[Point], kind: str) -> str:
    """A staircase: each y holds until the next x."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in points[1:]]
    return f'<path d="{"".join(parts)}" class="{kind}"/>'


def box(x: float, y: float, width: float, height: float, kind: str, round_: float = 2) -> str:
    """A rectangle; a negative width is drawn to the left."""
    left, wide = (x, width) if width >= 0 else (x + width, -width)
    return (
        f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(wide, 0.5):.1f}" height="{height:.1f}" '
        f'rx="{round_}" class="{kind}"/>'
    )


def dot(x: float, y: float, kind: str, radius: float = 4) -> str:
    """A disc."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, roughly so many: steps of 1, 2 or 5 times a power."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(s * power for s in (1, 2, 5, 10) if span / (s * power) <= about + 0.5)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def ceiling(value: float, about: int = 5) -> float:
    """The next round number, for the end of an axis from 0."""
    found = ticks(0, value, about)
    step = found[1] - found[0] if len(found) > 1 else value or 1.0
    return math.ceil(value / step - 1e-9) * step


class Scale:
    """From a value to a position; logarithmic if told, where values must be above 0."""

    def __init__(self, values: tuple[float, float], places: tuple[float, float], log: bool = False):
        self.low, self.high = (math.log10(v) for v in values) if log else values
        self.start, self.end = places
        self.log = log

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        share = (at - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(max(share, -0.05), 1.05) * (self.end - self.start)
