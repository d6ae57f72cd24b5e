"""The learning curve of a run as an SVG: error rates over training time.

Reads `metrics.jsonl`; knows nothing of how it came about.
"""

import json
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 720, 400, 48
COLOURS = ("#1b6ca8", "#c2571a", "#5b8c2a", "#8a4fa3", "#b0313f", "#4c6a6e")


def draw_curve(metrics: Path, target: Path, columns: tuple[str, ...] = ("wer_",)) -> None:
    """Draws the columns of `metrics` that begin with one of `columns` against minutes of training.

    The axis goes from 0 to 100 %; nats share it, 1 where 100 % is.
    """
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    names = sorted({key for row in rows for key in row if key.startswith(columns)})
    told = columns[0] if len(columns) == 1 else ""  # what all have in common is not repeated
    minutes = max((row["seconds"] / 60 for row in rows), default=1.0) or 1.0
    parts = [_frame(minutes)]
    for number, name in enumerate(names):
        points = [(row["seconds"] / 60, row[name]) for row in rows if name in row]
        parts.append(
            _line(points, minutes, COLOURS[number % len(COLOURS)], name.removeprefix(told), number)
        )
    body = "\n".join(parts)
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _x(minutes: float, last: float) -> float:
    return MARGIN + minutes / last * (WIDTH - 2 * MARGIN)


def _y(rate: float) -> float:
    return HEIGHT - MARGIN - min(rate, 1.0) * (HEIGHT - 2 * MARGIN)


def _frame(minutes: float) -> str:
    lines = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        lines.append(
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    lines.append(
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 16}" text-anchor="end">{minutes:.0f} min</text>'
    )
    return "\n".join(lines)


def _line(
    points: list[tuple[float, float]], last: float, colour: str, name: str, number: int
) -> str:
    path = " ".join(f"{_x(at, last):.1f},{_y(rate):.1f}" for at, rate in points)
    label = f"{name} {points[-1][1]:.1%}" if points else name
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{WIDTH - MARGIN - 180}" y="{MARGIN + 16 * number}" '
        f'fill="{colour}">{label}</text>'
    )
