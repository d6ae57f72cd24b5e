"""Which stimuli of the duplex suite a reader can listen to, in the shape of turns.

Of each engine the cut-in with the median and with the slowest silence, a pause that was taken for
the end, and a backchannel that silenced it. Knows nothing of HTML.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.duplex.rows import DUPLEX, INTERRUPTION, PAUSE, USER_BACKCHANNEL, DuplexRow, read
from benchmarks.report.figures import number
from benchmarks.suite.rows import ANSWERED, TurnRow


def duplex_turns(directory: Path, engines: Sequence[str]) -> list[tuple[str, TurnRow]]:
    """Reasons and turns, the engines in rounds; none where the suite was not run."""
    if not (directory / DUPLEX).is_file():
        return []
    rows = [row for row in read(directory / DUPLEX) if row.audio and row.user]
    chosen = [list(_of([row for row in rows if row.engine == engine])) for engine in engines]
    longest = max(map(len, chosen), default=0)
    rounds = [one[k] for k in range(longest) for one in chosen if k < len(one)]
    return [(why, as_turn(row)) for why, row in rounds]


def _of(rows: Sequence[DuplexRow]) -> Iterator[tuple[str, DuplexRow]]:
    cut = [row for row in rows if row.task == INTERRUPTION and row.stop_ms is not None]
    cut.sort(key=lambda row: (row.stop_ms or 0.0, row.stimulus))
    for at, word in (((len(cut) - 1) // 2, "median"), (len(cut) - 1, "slowest")):
        if cut:
            stop = number(cut[at].stop_ms or 0.0, "ms")
            yield f"cut-in, {word}: silent after {stop} ms", cut[at]
    for row in [row for row in rows if row.task == PAUSE and row.took_turn][:1]:
        yield "took a pause for the end", row
    for row in [r for r in rows if r.task == USER_BACKCHANNEL and r.went_on is False][:1]:
        yield "fell silent at the caller's “mm”", row


def as_turn(row: DuplexRow) -> TurnRow:
    """A stimulus as a turn: it ends where the caller's last utterance does."""
    user = row.user or (0.0, 0.0)
    end = row.second[1] if row.task == INTERRUPTION and row.second else user[1]
    start = None if row.latency_ms is None else end + row.latency_ms
    return TurnRow(
        engine=row.engine,
        suite=row.suite,
        conversation=row.stimulus,
        turn=1,
        repeat=0,
        order=row.order,
        status=row.status if row.status != ANSWERED or row.answered else "silent",
        reason=row.reason or (None if row.answered else "no answer was heard"),
        reference=row.text,
        user_end_ms=end,
        bot_start_ms=start,
        v2v_ms=row.latency_ms,
        audio=row.audio,
        audio_from_ms=user[0] if row.audio_from_ms is None else row.audio_from_ms,
        audio_to_ms=row.audio_to_ms,
    )
