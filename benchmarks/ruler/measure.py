"""Times of a turn, read off the two tracks of a recording and nothing else.

Works on audible stretches (`models.audio`) and sample positions at 24 kHz on one clock. Figures are
signed and never clamped; a missing one is None, never zero.
"""

from dataclasses import dataclass

from models.audio import Stretch

ANSWER_GAP_MS = 200  # stretches of the bot closer than this are one piece of speech
QUIET_MS = 500  # silence of the bot that ends an interrupted answer


@dataclass(frozen=True)
class Answer:
    """The piece of bot speech that answers a turn, and the false starts before it."""

    start: int | None  # first audible sample
    end: int | None  # the sample after its last audible one
    false_starts: int


def find_answer(
    bot: list[Stretch], user: tuple[int, int], until: int, cuts: list[int], rate: int
) -> Answer:
    """What the bot said to a turn whose audible samples lie in `user = [start, end)`.

    The answer is the first piece that begins after the user did and still sounds at the user's end
    or begins later (so it may start before the end: a negative latency). Pieces that fell silent
    while the user was speaking, or that an interruption cut off after they had begun too early, are
    false starts: the bot took a pause for the end.

    Args:
        bot: audible stretches of the bot's track, merged over `ANSWER_GAP_MS`.
        user: the turn's first audible sample and the one after its last.
        until: where the next turn begins, or the recording ends.
        cuts: the samples at which the bot was interrupted.
        rate: samples a second.
    """
    user_start, user_end = user
    slack = rate * ANSWER_GAP_MS // 1000
    false_starts, start, end = 0, None, None
    for piece in bot:
        if not user_start <= piece.start < until:
            continue
        cut_off = any(piece.end - slack // 20 <= cut < piece.end + slack for cut in cuts)
        if start is None and piece.start < user_end and (piece.end < user_end or cut_off):
            false_starts += 1
            continue
        start, end = (piece.start if start is None else start), piece.end
    return Answer(start, end, false_starts)


def silence_after(bot: list[Stretch], onset: int, until: int, rate: int) -> int | None:
    """Samples from a barge-in's onset until the bot is silent for `QUIET_MS`.

    None if the bot was not speaking at the onset (nothing to interrupt). `until` is where the
    answer to the barge-in begins, or the end of the recording.
    """
    gap = rate * QUIET_MS // 1000
    if not any(piece.start <= onset < piece.end for piece in bot):
        return None
    last = onset
    for piece in bot:
        if piece.end > onset and piece.start < until and piece.start - last < gap:
            last = max(last, piece.end)
    return last - onset


def stale_samples(bot: list[Stretch], cut: int, until: int) -> int:
    """Audible samples of the bot after it was cut off at `cut` and before `until`."""
    return sum(
        max(0, min(piece.end, until) - max(piece.start, cut)) for piece in bot if piece.end > cut
    )
