"""What a bot did in a duplex task: from who was heard when to outcomes; nothing else goes in.

Pure functions on stretches of speech in samples on one clock. No words are recognised, so no
recogniser's weakness in Telugu colours a score; times are signed and never clamped.

Source of the tasks: Lin et al., "Full-Duplex-Bench" (2503.04721) and v1.5 (2507.23159). Changed
here: a turn counts as taken by one second of speech, not by the number of recognised words;
negative latencies stay negative; the place of backchannels is compared with the places that the
story's author left for them, not with a corpus of another language. By voice activity alone a false
start of under a second inside a long turn is a backchannel, as it is there.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.duplex.rows import (
    BACKCHANNEL,
    INTERRUPTION,
    PAUSE,
    USER_BACKCHANNEL,
)
from benchmarks.ruler.measure import (
    ANSWER_GAP_MS,
    QUIET_MS,
    find_answer,
    silence_after,
    stale_samples,
)
from models.audio import Stretch

TAKEN_MS = 1000  # of bot speech inside the window
GO_ON_MS = 1000  # after the caller's backchannel
AGAIN_MS = 1000  # of silence; speech after it is another answer
BIN_MS = 200
NOD_MS = 300  # a listener may still nod so long after a pause


@dataclass(frozen=True)
class Labels:
    """What is known of the caller, in samples; `second` is what was said into the answer."""

    user: Stretch
    holds: tuple[Stretch, ...] = ()
    second: Stretch | None = None
    until: int = 0  # where the stimulus is over
    cuts: tuple[int, ...] = ()  # the server's flush marks


@dataclass(frozen=True)
class Outcome:
    """What came of it: times in samples, None where there is nothing to tell."""

    took_turn: bool
    early_starts: int
    latency: int | None
    answer: int | None
    extra_answers: int
    backchannels: int
    backchannel_hz: float | None = None
    backchannel_jsd: float | None = None
    stop: int | None = None
    stale: int | None = None
    overlap: int | None = None
    went_on: bool | None = None


def judge(task: str, labels: Labels, bot: Sequence[Stretch], rate: int) -> Outcome:
    """The outcome of one stimulus.

    Args:
        bot: speech of the bot on the same clock, in order.
        rate: samples a second.
    """
    pieces = join(bot, rate * ANSWER_GAP_MS // 1000)
    user, until = labels.user, labels.until
    old = _interrupted(pieces, labels, rate) if task == INTERRUPTION else None
    asked = user if labels.second is None or task != INTERRUPTION else labels.second
    heard = [p for p in pieces if old is None or p.start >= old]
    found = find_answer(heard, (asked.start, asked.end), until, list(labels.cuts), rate)
    mine = [s for s in bot if user.start <= s.start < until]  # not the tail of an older answer
    backs = _backchannels(mine, user, rate)
    spoken_into = _spoken_into(task, labels, pieces, found.start, rate)
    spoken = None
    if found.start is not None:
        spoken = sum(s.end - s.start for s in mine if s.start >= found.start)
    return Outcome(
        took_turn=took_turn(
            [s for s in mine if old is None or s.start >= old], _window(task, labels), rate
        ),
        early_starts=sum(user.start <= p.start < user.end for p in pieces),
        latency=None if found.start is None else found.start - asked.end,
        answer=spoken,
        extra_answers=_extra(mine, found.start, rate),
        backchannels=len(backs),
        backchannel_hz=len(backs) * rate / (user.end - user.start) if task == BACKCHANNEL else None,
        backchannel_jsd=_places(backs, labels, rate) if task == BACKCHANNEL else None,
        stop=spoken_into.stop,
        stale=spoken_into.stale,
        overlap=spoken_into.overlap,
        went_on=spoken_into.went_on,
    )


def _window(task: str, labels: Labels) -> Stretch:
    """Where a second of bot speech takes the turn."""
    if task == PAUSE:
        return Stretch(labels.holds[0].start, labels.user.end)
    if task == BACKCHANNEL:
        return labels.user
    if task == INTERRUPTION and labels.second is not None:
        return Stretch(labels.second.start, labels.until)
    return Stretch(labels.user.end, labels.until)


def took_turn(bot: Iterable[Stretch], window: Stretch, rate: int) -> bool:
    """Whether one segment (pauses under 500 ms in it) has a second of speech in the window."""
    longest = spoken = 0
    last = None
    for s in bot:
        spoken = 0 if last is None or s.start - last >= rate * QUIET_MS // 1000 else spoken
        spoken += max(0, min(s.end, window.end) - max(s.start, window.start))
        longest, last = max(longest, spoken), s.end
    return longest >= rate * TAKEN_MS // 1000


def join(stretches: Iterable[Stretch], gap: int) -> list[Stretch]:
    """Stretches less than `gap` samples apart as one."""
    joined: list[Stretch] = []
    for s in stretches:
        if joined and s.start - joined[-1].end < gap:
            joined[-1] = Stretch(joined[-1].start, max(joined[-1].end, s.end))
        else:
            joined.append(s)
    return joined


def _interrupted(pieces: list[Stretch], labels: Labels, rate: int) -> int | None:
    """Where the interrupted answer ends: its last sample before 500 ms of silence."""
    if labels.second is None:
        return None
    left = silence_after(pieces, labels.second.start, labels.until, rate)
    return None if left is None else labels.second.start + left


@dataclass(frozen=True)
class _SpokenInto:
    """What the bot did when the caller spoke into its answer."""

    stop: int | None = None
    stale: int | None = None
    overlap: int | None = None
    went_on: bool | None = None


def _spoken_into(
    task: str, labels: Labels, pieces: list[Stretch], fresh: int | None, rate: int
) -> _SpokenInto:
    second = labels.second
    if second is None or task not in (INTERRUPTION, USER_BACKCHANNEL):
        return _SpokenInto()
    stop = silence_after(pieces, second.start, labels.until, rate)
    over = sum(max(0, min(p.end, second.end) - max(p.start, second.start)) for p in pieces)
    if task == USER_BACKCHANNEL:
        lasts = second.end - second.start + rate * GO_ON_MS // 1000
        went_on = None if stop is None else stop >= lasts
        return _SpokenInto(stop=stop, overlap=over, went_on=went_on)
    until = labels.until if fresh is None else max(fresh, second.start)
    cut = next((c for c in labels.cuts if second.start <= c < until), None)
    stale = None if cut is None else stale_samples(pieces, cut, until)
    return _SpokenInto(stop, stale, over)


def _backchannels(bot: list[Stretch], user: Stretch, rate: int) -> list[Stretch]:
    segments = join(bot, rate * QUIET_MS // 1000)
    short = rate * TAKEN_MS // 1000
    return [s for s in segments if s.start < user.end and s.end - s.start < short]


def _extra(bot: list[Stretch], answer: int | None, rate: int) -> int:
    """How often it began again after its answer was over."""
    if answer is None:
        return 0
    return len(join([s for s in bot if s.start >= answer], rate * AGAIN_MS // 1000)) - 1


def _places(backs: list[Stretch], labels: Labels, rate: int) -> float:
    """Distance of the backchannels from the places left for them; 1 where there are none."""
    nods = [Stretch(h.start, h.end + rate * NOD_MS // 1000) for h in labels.holds]
    return jensen_shannon(_histogram(backs, labels.user, rate), _histogram(nods, labels.user, rate))


def _histogram(stretches: list[Stretch], user: Stretch, rate: int) -> np.ndarray:
    """Samples of the stretches in each 200 ms of the caller's turn, float64 `[bins]`."""
    width = rate * BIN_MS // 1000
    edges = user.start + width * np.arange(math.ceil((user.end - user.start) / width) + 1)
    found = np.zeros(len(edges) - 1)
    for s in stretches:
        found += np.clip(np.minimum(s.end, edges[1:]) - np.maximum(s.start, edges[:-1]), 0, None)
    return found


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Divergence of two histograms in bits, 0 .. 1; 1 where one of them is empty (as in FDB)."""
    if p.sum() == 0 or q.sum() == 0:
        return 1.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def from_middle(x: np.ndarray) -> float:
        there = x > 0
        return float(np.sum(x[there] * np.log2(x[there] / middle[there])))

    return (from_middle(p) + from_middle(q)) / 2
