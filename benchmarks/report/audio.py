"""Which turns of a run a reader can listen to, and their sound.

Chosen by rule, so that nobody picks the pretty ones: of each engine the median, the quickest and
the slowest turn, early and false starts, silence, the worst understood and the worst sounding; and
the same turn of both engines side by side. Knows nothing of HTML.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.report.duplex import duplex_turns
from benchmarks.report.sound import Clip, clip
from benchmarks.suite.rows import TurnRow
from benchmarks.summary.metrics import bot_counts
from benchmarks.summary.paired import key_of, paired
from benchmarks.summary.results import Run
from models.audio import AudioError

CAP_BYTES = 6_000_000  # of base64 on the page
BEFORE_MS = 300
AFTER_MS = 300
EACH = 2  # turns of a kind, of those that can be many


@dataclass(frozen=True)
class Heard:
    """A turn that can be listened to, and why it was chosen."""

    row: TurnRow
    why: list[str]
    clip: Clip

    @property
    def base64(self) -> str:
        return base64.b64encode(self.clip.mp3).decode("ascii")


@dataclass
class Choice:
    """The chosen turns; `faults`: recordings that cannot be used; `left_out`: what the cap cut."""

    heard: list[Heard] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    left_out: int = 0


def chosen(run: Run, cap: int = CAP_BYTES) -> Choice:
    """The turns of a run to listen to, most telling first, within `cap` bytes of base64."""
    wanted: dict[int, tuple[TurnRow, list[str]]] = {}
    by_engine = {e: [r for r in run.counted(e) if r.audio] for e in run.engines}
    for why, row in [*_in_order(by_engine), *duplex_turns(run.directory, run.engines)]:
        wanted.setdefault(id(row), (row, []))[1].append(why)
    choice, used = Choice(), 0
    for row, why in wanted.values():
        try:
            found = clip(run.directory / (row.audio or ""), *_span(row))
        except AudioError as e:
            choice.faults.append(f"{row.engine}, {row.conversation}, turn {row.turn}: {e}")
            continue
        size = 4 * -(-len(found.mp3) // 3)
        if used + size > cap:
            choice.left_out += 1
            continue
        used += size
        choice.heard.append(Heard(row, why, found))
    return choice


def _span(row: TurnRow) -> tuple[float, float]:
    """What is cut out: from before the caller's turn until after the answer."""
    end = row.user_end_ms or 0.0
    start = end - 3_000 if row.audio_from_ms is None else row.audio_from_ms
    last = row.audio_to_ms if row.audio_to_ms is not None else (row.bot_end_ms or end + 5_000)
    if row.bot_end_ms is not None:
        last = min(last, row.bot_end_ms + 3 * AFTER_MS)
    return start - BEFORE_MS, last + AFTER_MS


def _in_order(by_engine: dict[str, list[TurnRow]]) -> list[tuple[str, TurnRow]]:
    """Reasons and rows, in rounds over the engines, so that a cap cuts both alike."""
    found: list[tuple[str, TurnRow]] = []
    engines = [e for e, rows in by_engine.items() if rows]
    if len(engines) == 2:
        found += _side_by_side(*(by_engine[e] for e in engines))
    for why, choose in KINDS:
        for engine in engines:
            found += [(why, row) for row in choose(by_engine[engine])]
    return found


def _side_by_side(ours: Sequence[TurnRow], theirs: Sequence[TurnRow]) -> list[tuple[str, TurnRow]]:
    """The turn both answered whose difference in latency is the median one."""
    pairs = [
        (a.v2v_ms - b.v2v_ms, key_of(a), a, b)
        for a, b in zip(*paired(ours, theirs), strict=True)
        if a.v2v_ms is not None and b.v2v_ms is not None
    ]
    if not pairs:
        return []
    _, _, a, b = sorted(pairs, key=lambda pair: pair[:2])[(len(pairs) - 1) // 2]
    return [("side by side: the same turn", a), ("side by side: the same turn", b)]


def _timely(rows: Sequence[TurnRow]) -> list[TurnRow]:
    timed = [row for row in rows if row.v2v_ms is not None and row.v2v_ms >= 0]
    return sorted(timed, key=lambda row: (row.v2v_ms or 0.0, key_of(row)))


def _median(rows: Sequence[TurnRow]) -> list[TurnRow]:
    timed = [row for row in rows if row.v2v_ms is not None]
    timed.sort(key=lambda row: (row.v2v_ms or 0.0, key_of(row)))
    return timed[(len(timed) - 1) // 2 :][:1]


def _misunderstood(rows: Sequence[TurnRow]) -> list[TurnRow]:
    judged = [row for row in rows if row.heard_text is not None]
    edits = bot_counts(0)(judged)[:, 0] if judged else []
    order = sorted(zip(edits, judged, strict=True), key=lambda pair: (-pair[0], key_of(pair[1])))
    return [row for count, row in order[:1] if count]


def _worst_sound(rows: Sequence[TurnRow]) -> list[TurnRow]:
    scored = [row for row in rows if row.quality.dnsmos_ovrl is not None]
    return sorted(scored, key=lambda row: (row.quality.dnsmos_ovrl or 0.0, key_of(row)))[:1]


KINDS: tuple[tuple[str, Callable[[Sequence[TurnRow]], list[TurnRow]]], ...] = (
    ("median latency", _median),
    ("slowest", lambda rows: _timely(rows)[-1:]),
    ("quickest after the caller's end", lambda rows: _timely(rows)[:1]),
    ("starts before the caller ends", lambda rows: [r for r in rows if (r.v2v_ms or 0) < 0][:EACH]),
    ("false start", lambda rows: [r for r in rows if r.false_starts][:EACH]),
    ("no answer", lambda rows: [r for r in rows if not r.answered][:EACH]),
    ("least understood by the judge", _misunderstood),
    ("lowest DNSMOS OVRL (predicted)", _worst_sound),
    ("gap in playback", lambda rows: [r for r in rows if r.underruns][:1]),
)
