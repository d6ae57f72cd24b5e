"""Listens to the answers of a run: what the judge heard of them and how they sound.

Takes rows and their recordings, gives the same rows with `heard_text` and `quality`; what a row
already has stays, so a run that was cut off goes on. What cannot be measured stays None and is
said in a note. Knows nothing of judges' kinds or reports.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np

from benchmarks.dnsmos import RATE, Dnsmos, DnsmosMissing
from benchmarks.error_rates import Score, score
from benchmarks.judge import Judge, JudgeError
from benchmarks.results_words import bot_side, user_side
from benchmarks.rows import Quality, TurnRow
from benchmarks.sound import measure, read_bot
from benchmarks.transcripts import ScoreError, Utterance
from models.audio import AudioError, resample

WORKERS = 2  # recordings at a time; the networks run on one core each
JUDGE_MARGIN_MS = 100  # around the answer: recognisers lose words that begin with the sound
GIVE_UP_AFTER = 3  # answers in a row that the judge failed on

Turn = tuple[str, int, int]  # conversation, repeat, turn: the same for every engine


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
    notes: list[tuple[int, str]] = []
    predictor = _predictor(notes) if quality and todo else None
    chosen = _spread([rows[n] for n in todo], predictions)
    if predictor and len(chosen) < len({_turn(rows[n]) for n in todo}):
        notes.append((-1, f"DNSMOS is of {len(chosen)} turns spread over the run, not of all"))
    bench = _Instruments(_Ears(judge, notes), quality, predictor, chosen, notes)
    finished = 0
    with ThreadPoolExecutor(WORKERS, "listen") as pool:
        jobs = {}
        for name, places in files.items():
            job = pool.submit(_listen, out / name, [(n, rows[n]) for n in places], bench)
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
    for sentence in _merged(notes, rows):
        note(sentence)
    return done


def word_rates(
    rows: Iterable[TurnRow], normalizers: Sequence[str]
) -> dict[str, dict[str, list[Score]]]:
    """`{engine: {"user": scores, "bot": scores}}`, one score a normaliser, warm-up left out.

    `user` is the reference against the recogniser's text, `bot` what was meant against what the
    judge heard, of the same utterances as in the report; intervals by conversation. A side without
    texts, or without any to compare with, is empty.
    """
    engines: dict[str, list[TurnRow]] = {}
    for row in rows:
        if not row.warmup:
            engines.setdefault(row.engine, []).append(row)
    found: dict[str, dict[str, list[Score]]] = {}
    for engine, its in engines.items():
        sides = {"user": user_side(its, ()), "bot": bot_side(its)}
        found[engine] = {side: _scores(said, normalizers) for side, said in sides.items()}
    return found


def _scores(said: Sequence[Utterance], normalizers: Sequence[str]) -> list[Score]:
    try:
        return score(said, normalizers)
    except ScoreError:  # nobody wrote anything, or nothing was meant
        return []


@dataclass(frozen=True)
class _Instruments:
    """What every recording of a run is heard with."""

    ears: "_Ears"
    quality: bool
    predictor: Dnsmos | None
    chosen: frozenset[Turn]  # those it is asked about
    notes: list[tuple[int, str]]  # row and sentence; appending is safe in several threads


def _listen(
    path: Path, rows: list[tuple[int, TurnRow]], bench: _Instruments
) -> list[tuple[int, TurnRow]]:
    """One recording's answers, in a thread of the pool."""
    try:
        track, rate = read_bot(path)
    except AudioError as e:
        unheard = f"an answer was not heard: {_named(e, path)}"
        bench.notes.extend((n, unheard) for n, _ in rows)
        return rows
    found = []
    for n, row in rows:
        if len(_cut(track, rate, row)):
            row = _heard(n, row, track, rate, bench)
        else:
            bench.notes.append((n, f"an answer was not heard: {path.name} ends before it"))
        found.append((n, row))
    return found


def _heard(n: int, row: TurnRow, track: np.ndarray, rate: int, bench: _Instruments) -> TurnRow:
    if row.heard_text is None:
        wide = _cut(track, rate, row, JUDGE_MARGIN_MS)
        row = replace(row, heard_text=bench.ears.hear(n, resample(wide, rate, RATE)))
    if bench.quality and row.quality == Quality():
        predictor = bench.predictor if _turn(row) in bench.chosen else None
        row = replace(row, quality=rate_sound(_cut(track, rate, row), rate, predictor))
    return row


def rate_sound(pcm: np.ndarray, rate: int, predictor: Dnsmos | None) -> Quality:
    """The sound of one answer, float32 `[T]` at its recorded rate; rounded for a row."""
    sound = measure(pcm, rate)
    predicted = predictor.predict(resample(pcm, rate, RATE)) if predictor else None
    return Quality(
        dnsmos_sig=predicted and round(predicted.sig, 4),
        dnsmos_bak=predicted and round(predicted.bak, 4),
        dnsmos_ovrl=predicted and round(predicted.ovrl, 4),
        dnsmos_p808=predicted and round(predicted.p808, 4),
        clipped=None if sound.clipped is None else round(sound.clipped, 6),
        peak_dbfs=None if sound.peak_dbfs is None else round(sound.peak_dbfs, 2),
        longest_gap_ms=None if sound.longest_gap_ms is None else round(sound.longest_gap_ms, 1),
    )


class _Ears:
    """The judge, asked until it fails several times in a row; safe in several threads."""

    def __init__(self, judge: Judge | None, notes: list[tuple[int, str]]) -> None:
        self._judge, self._notes = judge, notes
        self._lock, self._failures = Lock(), 0

    def hear(self, n: int, pcm: np.ndarray) -> str | None:
        if self._judge is None:
            return None
        if self._failures >= GIVE_UP_AFTER:
            self._notes.append((n, "an answer was not judged: the judge had failed too often"))
            return None
        try:
            text = self._judge.hear(pcm)
        except JudgeError as e:
            with self._lock:
                self._failures += 1
            self._notes.append((n, f"an answer was not judged: {e}"))
            return None
        with self._lock:
            self._failures = 0 if self._failures < GIVE_UP_AFTER else self._failures
        return text


def _to_hear(row: TurnRow, judge: Judge | None, quality: bool) -> bool:
    if row.warmup:  # its figures are not used
        return False
    missing = (judge and row.heard_text is None) or (quality and row.quality == Quality())
    return bool(missing and row.answered and row.audio and row.bot_start_ms is not None)


def _turn(row: TurnRow) -> Turn:
    return row.conversation, row.repeat, row.turn


def _spread(rows: Iterable[TurnRow], most: int | None) -> frozenset[Turn]:
    """At most so many turns, evenly spread; chosen by turn, so that engines stay paired."""
    turns = list(dict.fromkeys(_turn(row) for row in rows))
    if most is None or len(turns) <= most:
        return frozenset(turns)
    return frozenset(turns[at * len(turns) // most] for at in range(most))


def _predictor(notes: list[tuple[int, str]]) -> Dnsmos | None:
    try:
        return Dnsmos.load()
    except DnsmosMissing as e:
        notes.append((-1, str(e)))
        return None


def _cut(track: np.ndarray, rate: int, row: TurnRow, margin_ms: float = 0) -> np.ndarray:
    """The answer's samples; an answer without an end is heard until the turn's."""
    end = row.bot_end_ms if row.bot_end_ms is not None else row.audio_to_ms
    first = round(((row.bot_start_ms or 0.0) - margin_ms) * rate / 1000)
    last = len(track) if end is None else round((end + margin_ms) * rate / 1000)
    return track[max(0, first) : max(0, last)]


def _named(error: AudioError, path: Path) -> str:
    """Without the directory, which is another one on every machine."""
    return str(error).replace(str(path), path.name)


def _merged(notes: list[tuple[int, str]], rows: Sequence[TurnRow]) -> Iterator[str]:
    """Each sentence once, with how often and where first; in the order of the rows."""
    ordered = sorted(notes)
    times = Counter(sentence for _, sentence in ordered)
    for sentence in dict.fromkeys(sentence for _, sentence in ordered):
        n = next(at for at, said in ordered if said == sentence)
        if n < 0:
            yield sentence
            continue
        row, more = rows[n], times[sentence] - 1
        place = f"{row.engine}, {row.conversation}, turn {row.turn}"
        yield f"{place}{f' and {more} more' if more else ''}: {sentence}"
