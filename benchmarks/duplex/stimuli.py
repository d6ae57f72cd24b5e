"""What the caller of the duplex suite says: authored Telugu, spoken by espeak-ng, with true labels.

Every piece of speech is trimmed to its first and last audible sample and set to -20 dBFS before
pieces and pauses are put together, so a label is a place in an array, not an estimate. Voices,
speeds and the choice of a condition follow from the set's seed and the stimulus's place in it.
Knows nothing of calls or engines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.caller.wire import IN_RATE
from benchmarks.duplex.authored import the_set
from benchmarks.duplex.rows import (
    BACKCHANNEL,
    ECHO,
    INTERRUPTION,
    NOISE,
    PAUSE,
    SIDE_SPEECH,
    SMOOTH,
    TASKS,
    USER_BACKCHANNEL,
)
from benchmarks.duplex.stimulus import CutIn, Echo, Stimulus
from benchmarks.duplex.voice import PIECE_DBFS, Speaker, speaker, spoken
from models.audio import Stretch, to_int16

PAUSES_MS = (350, 600)  # between the pieces of a story
COMMA_MS = 120  # between the parts of a turn that is not held
NOISE_S = 4  # of noise, repeated
ROBUST = 6  # stimuli of each disturbance


def stimuli(store: Path, limit: int | None = None) -> dict[str, list[Stimulus]]:
    """The set by task, in the order of `TASKS`; at most `limit` of each.

    Args:
        store: a directory in which spoken pieces are kept from run to run.

    Raises:
        SetError: the shipped set was changed.
        EspeakMissing: the synthesizer is not installed.
    """
    makers = {
        PAUSE: _pauses,
        BACKCHANNEL: _stories,
        SMOOTH: _turns,
        INTERRUPTION: _interruptions,
        USER_BACKCHANNEL: _nods,
        ECHO: _echoes,
        SIDE_SPEECH: _asides,
        NOISE: _noises,
    }
    made: dict[str, list[Stimulus]] = {}
    for task in TASKS:
        of_task = makers[task](store)
        made[task] = [one for one, _ in zip(of_task, range(limit or 10_000), strict=False)]
    return made


def _voice(task: str, place: int) -> Speaker:
    return speaker(int(the_set()["seed"]), f"{task}-{place}", place)


@dataclass(frozen=True)
class _Turn:
    text: str
    pcm: np.ndarray
    user: Stretch
    holds: tuple[Stretch, ...]


def _of(condition: str, place: int) -> int:
    return the_set()[condition][place % len(the_set()[condition])]


def _turn(parts: list[str], pauses_ms: list[int], who: Speaker, store: Path) -> _Turn:
    """Pieces with silence between them, and where the silences are."""
    sounds, holds, at = [], [], 0
    for n, text in enumerate(parts):
        piece = spoken(text, who, store)
        sounds.append(piece)
        at += len(piece)
        if n + 1 < len(parts):
            quiet = IN_RATE * pauses_ms[n] // 1000
            sounds.append(np.zeros(quiet, np.int16))
            holds.append(Stretch(at, at + quiet))
            at += quiet
    pcm = np.concatenate(sounds)
    return _Turn(", ".join(parts), pcm, Stretch(0, len(pcm)), tuple(holds))


def _sentence(place: int, pause_ms: int, task: str, store: Path) -> _Turn:
    entry = the_set()["sentence"][place]
    return _turn([entry["before"], entry["after"]], [pause_ms], _voice(task, place), store)


def _pauses(store: Path) -> Iterator[Stimulus]:
    for n, entry in enumerate(the_set()["sentence"]):
        hold = _of("holds_ms", n)
        turn = _sentence(n, hold, SMOOTH, store)  # the same sound as without the hold
        yield Stimulus(
            f"{PAUSE}-{entry['id']}", PAUSE, f"hold {hold} ms", **vars(turn), twin=_twin(entry)
        )


def _turns(store: Path) -> Iterator[Stimulus]:
    for n, entry in enumerate(the_set()["sentence"]):
        turn = _sentence(n, COMMA_MS, SMOOTH, store)
        yield Stimulus(_twin(entry), SMOOTH, "", turn.text, turn.pcm, turn.user)


def _twin(entry: dict[str, Any]) -> str:
    return f"{SMOOTH}-{entry['id']}"


def _stories(store: Path) -> Iterator[Stimulus]:
    for n, entry in enumerate(the_set()["story"]):
        rng = np.random.default_rng([int(the_set()["seed"]), n])
        pauses = [int(ms) for ms in rng.integers(*PAUSES_MS, size=len(entry["parts"]) - 1)]
        turn = _turn(entry["parts"], pauses, _voice(BACKCHANNEL, n), store)
        yield Stimulus(f"{BACKCHANNEL}-{entry['id']}", BACKCHANNEL, "", **vars(turn))


def _into_the_answer(
    task: str, entry: dict[str, Any], says: str, place: int, store: Path
) -> Stimulus:
    who = _voice(task, place)
    turn = _turn([entry["ask"]], [], who, store)
    after = _of("cut_in_ms", place)
    cut_in = CutIn(says, spoken(says, who, store), after)
    condition = f"{'cut-in' if task == INTERRUPTION else 'said'} after {after} ms"
    return Stimulus(
        f"{task}-{entry['id']}", task, condition, turn.text, turn.pcm, turn.user, cut_in=cut_in
    )


def _interruptions(store: Path) -> Iterator[Stimulus]:
    for n, entry in enumerate(the_set()["interruption"]):
        yield _into_the_answer(INTERRUPTION, entry, entry["cut"], n, store)


def _nods(store: Path) -> Iterator[Stimulus]:
    for n, entry in enumerate(the_set()["backchannel"]):
        yield _into_the_answer(USER_BACKCHANNEL, entry, entry["say"], n, store)


def _echoes(store: Path) -> Iterator[Stimulus]:
    for n in range(ROBUST):
        db = _of("echo_db", n)
        echo = Echo(db, the_set()["echo_delay_ms"])
        yield _disturbed(ECHO, n, f"echo {db} dB", store, echo=echo)


def _noises(store: Path) -> Iterator[Stimulus]:
    snr = the_set()["noise_snr_db"]
    rng = np.random.default_rng(int(the_set()["seed"]))
    white = rng.standard_normal(NOISE_S * IN_RATE)
    noise = to_int16((white * 10 ** ((PIECE_DBFS - snr) / 20)).astype(np.float32))
    for n in range(ROBUST):
        yield _disturbed(NOISE, n, f"noise at {snr} dB SNR", store, noise=noise)


def _disturbed(task: str, place: int, condition: str, store: Path, **what: Any) -> Stimulus:
    entry = the_set()["sentence"][place]
    turn = _sentence(place, COMMA_MS, SMOOTH, store)
    id_ = f"{task}-{entry['id']}"
    return Stimulus(id_, task, condition, turn.text, turn.pcm, turn.user, twin=_twin(entry), **what)


def _asides(store: Path) -> Iterator[Stimulus]:
    gap = IN_RATE * the_set()["side_speech_after_ms"] // 1000
    db = the_set()["side_speech_db"]
    for n, aside in enumerate(the_set()["aside"]):
        entry = the_set()["sentence"][n]
        turn = _sentence(n, COMMA_MS, SMOOTH, store)
        other = spoken(aside["say"], _voice(SMOOTH, n).another(), store)
        other = (other * 10 ** (db / 20)).astype(np.int16)
        pcm = np.concatenate((turn.pcm, np.zeros(gap, np.int16), other))
        side = Stretch(turn.user.end + gap, len(pcm))
        yield Stimulus(
            f"{SIDE_SPEECH}-{entry['id']}",
            SIDE_SPEECH,
            f"another voice at {db} dB",
            f"{turn.text} | ({aside['say']})",
            pcm,
            turn.user,
            side=side,
            twin=_twin(entry),
        )
