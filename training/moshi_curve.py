"""The learning curve of a Moshi run as an SVG: error rates of streaming answers over time.

Reads `metrics.jsonl`; knows nothing of how it came about.
"""

import json
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 720, 400, 48
COLOURS = ("#1b6ca8", "#c2571a", "#5b8c2a", "#8a4fa3", "#b0313f", "#4c6a6e")
DRAWN = ("cer_text", "cer_speech", "unfitting")


def draw_curve(metrics: Path, target: Path) -> None:
    """Draws every column that begins with a name of DRAWN (0 to 100 %) against minutes."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    names = sorted({key for row in rows for key in row if key.startswith(DRAWN)})
    last = max((row["seconds"] / 60 for row in rows), default=0.0) or 1.0

    def place(minutes: float, rate: float) -> tuple[float, float]:
        across = MARGIN + minutes / last * (WIDTH - 2 * MARGIN)
        return across, HEIGHT - MARGIN - min(rate, 1.0) * (HEIGHT - 2 * MARGIN)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for percent in range(0, 101, 20):
        _, y = place(0.0, percent / 100)
        parts.append(
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    for number, name in enumerate(names):
        points = [(row["seconds"] / 60, row[name]) for row in rows if name in row]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDTH - MARGIN - 200}" y="{MARGIN + 16 * number}" fill="{colour}">'
            f"{name} {points[-1][1]:.1%}</text>"
        )
    parts.append(
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 16}" text-anchor="end">{last:.0f} min</text>'
    )
    body = "\n".join(parts)
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n',
        encoding="utf-8",
    )
