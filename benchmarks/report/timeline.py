"""The timeline of one turn: both sides' outlines on one clock, the gap between them, its stages.

The page's script moves the playhead (`.head`) by the `data-` attributes. Knows nothing of HTML
around it.
"""

from benchmarks.report.audio import Heard
from benchmarks.report.figures import number
from benchmarks.report.plots import stage_name
from benchmarks.report.sound import BIN_MS
from benchmarks.report.svg import Point, Scale, box, drawing, line, path, text, ticks

_LANE = 46
_LEFT = 52


def timeline(heard: Heard, series: int, width: int, name: str) -> str:
    """One turn; times on its axis are in seconds of the clip."""
    row, piece = heard.row, heard.clip
    length = piece.to_ms - piece.from_ms
    x = Scale((0, length), (_LEFT, width - 8))
    user_y, bot_y, bar_y = 20 + _LANE / 2, 52 + 1.5 * _LANE, 20 + _LANE + 8
    height = int(bot_y + _LANE / 2 + 26)
    parts = [
        text(_LEFT - 8, user_y + 4, "caller", anchor="end"),
        text(_LEFT - 8, bot_y + 4, "bot", anchor="end"),
    ]
    end, start = _within(row.user_end_ms, heard), _within(row.bot_start_ms, heard)
    if end is not None and start is not None:
        kind = "gap" if start >= end else "overlap"
        parts.append(box(x(end), 20, x(start) - x(end), bot_y + _LANE / 2 - 20, kind, 0))
    for side, y, kind in ((piece.user, user_y, "caller"), (piece.bot, bot_y, f"fill s{series}")):
        parts.append(line((_LEFT, y), (width - 8, y), "grid"))
        parts.append(path(_outline(side, x, y), kind, closed=True))
    if end is not None:
        parts.append(line((x(end), 14), (x(end), bot_y + _LANE / 2), "mark"))
    if end is not None and start is not None:
        parts.append(line((x(start), 14), (x(start), bot_y + _LANE / 2), "mark"))
        at = max(_LEFT + 36.0, min((x(end) + x(start)) / 2, width - 44))
        parts.append(text(at, 11, f"{number(row.v2v_ms or 0.0, 'ms')}\u202fms", "ink", "middle"))
        parts += _stage_bar(heard, x, end, bar_y)
    for value in ticks(0, length / 1000, 8 if width > 400 else 4):
        parts.append(text(x(value * 1000), height - 6, f"{value:g}\u202fs", "small", "middle"))
    parts.append(
        f'<line class="head" x1="{_LEFT}" x2="{_LEFT}" y1="14" y2="{bot_y + _LANE / 2:.1f}" '
        f'data-start="{_LEFT}" data-width="{width - 8 - _LEFT}" '
        f'data-seconds="{length / 1000:.3f}"/>'
    )
    title = f"{row.engine}, {row.conversation}, turn {row.turn}"
    if row.v2v_ms is None:
        described = f"No answer: {row.reason or row.status}"
    else:
        described = f"The bot is heard {number(row.v2v_ms, 'ms')} ms after the caller's last sound."
    return drawing(name, width, height, title, described, "".join(parts))


def _within(ms: float | None, heard: Heard) -> float | None:
    """A time of the call on the clip's clock; None where the clip does not show it."""
    if ms is None or not heard.clip.from_ms <= ms <= heard.clip.to_ms:
        return None
    return ms - heard.clip.from_ms


def _outline(side: list[float], x: Scale, y: float) -> list[Point]:
    """A band around `y`; quiet speech is raised, as an ear would."""
    wide = x.end - x.start > 400
    merge = 1 if wide else 2
    heights = [max(side[k : k + merge]) for k in range(0, len(side), merge)]
    size = _LANE / 2 - 2
    upper = [
        (x(k * merge * BIN_MS), y - 0.4 - size * h**0.6 if h > 0.003 else y - 0.4)
        for k, h in enumerate(heights)
    ]
    return upper + [(px, 2 * y - py) for px, py in reversed(upper)]


def _stage_bar(heard: Heard, x: Scale, end: float, y: float) -> list[str]:
    """Stages between the two lanes, one after the other from the caller's end."""
    parts, at = [], end
    for number_, (name, ms) in enumerate(heard.row.stages.items()):
        if ms <= 0:
            at += ms
            continue
        short = name.removesuffix("_ms")
        words = stage_name(short)
        kind = "rest" if short == "residual" else f"stage{number_ % 2}"
        parts.append(
            f"<g><title>{words}: {number(ms, 'ms')} ms</title>"
            + box(x(at), y, x(at + ms) - x(at), 9, kind, 1)
            + "</g>"
        )
        at += ms
    return parts
