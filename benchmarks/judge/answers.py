"""Listens to the answers of a run: what the judge heard of them and how they sound.

Takes rows and their recordings, gives the same rows with `heard_text` and `quality`; what a row
already has stays, so a run that was cut off goes on. What cannot be measured stays None and is
said in a note. Knows nothing of judges' kinds or reports.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmarks.judge.asking import Asking, Note, merged
from benchmarks.judge.instruments import Instruments, Turn, turn_of
from benchmarks.judge.judge import Judge
from benchmarks.sound.dnsmos import Dnsmos, DnsmosMissing
from benchmarks.sound.voice import VoiceMissing, Voices
from benchmarks.suite.rows import Quality, TurnRow

WORKERS = 2  # recordings at a time; the networks run on one core each


def annotate(
    out: Path,
    rows: Sequence[TurnRow],
    judge: Judge | None,
    *,
    quality: bool = True,
    predictions: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    note: Callable[[str], None] = lambda sentence: None,
) -> list[TurnRow]:
    """The rows in their order, with what is heard in the recordings below `out`.

    Args:
        out: the run's directory.
        rows: of the run; those of the warm-up, without an answer or without a recording come back
            as they are.
        judge: None to leave `heard_text` alone.
        quality: whether to fill `quality`.
        predictions: DNSMOS of at most so many turns, about 0.8 s of one core an answer; the same
            turns of every engine, spread over the run. None: of all.
        progress: called with recordings' rows done and in all, from the calling thread.
        note: called with each sentence for the run's notes, at the end.
    """
    done = list(rows)
    todo = [n for n, row in enumerate(rows) if _to_hear(row, judge, quality)]
    files: dict[str, list[int]] = {}
    for n in todo:
        files.setdefault(str(rows[n].audio), []).append(n)
    first = _first_answers(rows)
    several = any(rows[n] is not first[str(rows[n].audio)] for n in todo)
    notes: list[Note] = []
    rated = quality and any(rows[n].quality == Quality() for n in todo)
    chosen = _spread([rows[n] for n in todo], predictions)
    bench = Instruments(
        judge,
        Asking(notes),
        quality,
        _predictor(notes) if rated else None,
        chosen,
        _voices(notes) if rated and several else None,
        notes,
    )
    if bench.predictor and len(chosen) < len({turn_of(rows[n]) for n in todo}):
        notes.append((-1, f"DNSMOS is of {len(chosen)} turns spread over the run, not of all"))
    finished = 0
    with ThreadPoolExecutor(WORKERS, "listen") as pool:
        jobs = {}
        for name, places in files.items():
            placed = [(n, rows[n]) for n in places]
            job = pool.submit(bench.listen, out / name, placed, first[name])
            jobs[job] = len(places)
        try:
            for job in as_completed(jobs):
                for n, row in job.result():
                    done[n] = row
                finished += jobs[job]
                progress(finished, len(todo))
        except BaseException:  # Ctrl-C: what runs is finished, what waits is not begun
            pool.shutdown(cancel_futures=True)
            raise
    for sentence in merged(notes, rows):
        note(sentence)
    return done


def _to_hear(row: TurnRow, judge: Judge | None, quality: bool) -> bool:
    missing = (judge and row.heard_text is None) or (quality and row.quality == Quality())
    return bool(missing) and _can_be_heard(row)


def _first_answers(rows: Sequence[TurnRow]) -> dict[str, TurnRow]:
    """Of each recording, the answer that its voice is known by."""
    first: dict[str, TurnRow] = {}
    for row in rows:
        if _can_be_heard(row):
            first.setdefault(str(row.audio), row)
    return first


def _can_be_heard(row: TurnRow) -> bool:
    """An answer on a recording; of the warm-up no figure is made."""
    there = row.answered and row.audio and row.bot_start_ms is not None
    return bool(there) and not row.warmup


def _spread(rows: Iterable[TurnRow], most: int | None) -> frozenset[Turn]:
    """At most so many turns, evenly spread; chosen by turn, so that engines stay paired."""
    turns = list(dict.fromkeys(turn_of(row) for row in rows))
    if most is None or len(turns) <= most:
        return frozenset(turns)
    return frozenset(turns[at * len(turns) // most] for at in range(most))


def _predictor(notes: list[Note]) -> Dnsmos | None:
    try:
        return Dnsmos.load()
    except DnsmosMissing as e:
        notes.append((-1, str(e)))
        return None


def _voices(notes: list[Note]) -> Voices | None:
    try:
        return Voices.load()
    except VoiceMissing as e:
        notes.append((-1, str(e)))
        return None
