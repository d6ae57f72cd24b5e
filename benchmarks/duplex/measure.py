"""From a call of the duplex suite to its rows: places become labels, sound becomes speech.

The only file that knows both the recording and the outcomes. The user's times are the places at
which known samples were sent; the bot's come from its track by the rule of `onsets.py`.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.caller.wire import OUT_RATE
from benchmarks.duplex.behaviour import Labels, Outcome, judge
from benchmarks.duplex.call import DuplexCall, Placed, shifted
from benchmarks.duplex.rows import DuplexRow, Span
from benchmarks.duplex.stimulus import Stimulus
from benchmarks.ruler.onsets import Heard, hear
from benchmarks.ruler.recording import to_out
from benchmarks.suite.rows import ANSWERED, ENDLESS, LOST, REFUSED, SILENT
from models.audio import Stretch

NOTHING_TO_CUT = "the bot did not answer, so there was nothing to speak into"
FELL_SILENT = "the bot had fallen silent by itself before the caller spoke into its answer"
NO_ANSWER = "the bot said nothing in answer within the caller's patience"
NO_END = "the bot went on speaking beyond the caller's patience; the call was ended"


def failed_rows(
    stimuli: Sequence[Stimulus], common: dict[str, Any], status: str, reason: str
) -> list[DuplexRow]:
    """Rows of stimuli that were never said."""
    return [DuplexRow(**common, **_about(s), status=status, reason=reason) for s in stimuli]


def measured_rows(call: DuplexCall, common: dict[str, Any], audio: str) -> list[DuplexRow]:
    """A row for every stimulus that was begun."""
    heard = hear(call.recording.playback.track(), OUT_RATE)
    end = max(call.recording.playback.end, to_out(len(call.user)))
    return [_row(placed, call, heard, end, common, audio) for placed in call.placed]


def _row(
    placed: Placed, call: DuplexCall, heard: Heard, end: int, common: dict[str, Any], audio: str
) -> DuplexRow:
    stimulus = placed.stimulus
    labels = _labels(placed, call, end)
    status, reason = _lost(call) if placed.until is None else (ANSWERED, None)
    outcome = None
    if placed.until is not None and (stimulus.cut_in is None or placed.second is not None):
        outcome = judge(stimulus.task, labels, heard.speech, OUT_RATE)
        if placed.endless:
            status, reason = ENDLESS, NO_END
        elif outcome.latency is None and not outcome.took_turn and not outcome.early_starts:
            status, reason = SILENT, NO_ANSWER
        elif placed.second is not None and outcome.stop is None:
            reason = FELL_SILENT
    elif placed.until is not None:
        status, reason = SILENT, NOTHING_TO_CUT
    within = (placed.begin, labels.until)
    return DuplexRow(
        **common,
        **_about(stimulus),
        status=status,
        reason=reason,
        user=_span(labels.user),
        holds=tuple(_span(hold) for hold in labels.holds),
        second=None if labels.second is None else _span(labels.second),
        bot=_spans(heard.speech, within),
        bot_sounds=_spans(heard.other, within),
        cuts=tuple(_ms(cut) for cut in labels.cuts),
        **({} if outcome is None else _outcome(outcome)),
        underruns=sum(within[0] <= u.at < within[1] for u in call.recording.playback.underruns),
        caller_late_ms=round(call.late_ms, 1),
        audio=audio,
        audio_from_ms=_ms(within[0]),
        audio_to_ms=_ms(within[1]),
    )


def _labels(placed: Placed, call: DuplexCall, end: int) -> Labels:
    stimulus, begin = placed.stimulus, placed.begin
    until = end if placed.until is None else placed.until
    second = None if stimulus.side is None else shifted(stimulus.side, begin)
    if stimulus.cut_in is not None and placed.second is not None:
        second = Stretch(placed.second, placed.second + to_out(len(stimulus.cut_in.pcm)))
    return Labels(
        shifted(stimulus.user, begin),
        tuple(shifted(hold, begin) for hold in stimulus.holds),
        second,
        until,
        tuple(cut for cut in call.recording.cuts if begin <= cut < until),
    )


def _lost(call: DuplexCall) -> tuple[str, str]:
    return REFUSED if call.refused else LOST, call.ended or "the call ended before it was over"


def _about(stimulus: Stimulus) -> dict[str, Any]:
    says = "" if stimulus.cut_in is None else f" | {stimulus.cut_in.text}"
    return {
        "task": stimulus.task,
        "stimulus": stimulus.id,
        "condition": stimulus.condition,
        "text": stimulus.text + says,
        "twin": stimulus.twin,
        "sound_sha256": stimulus.sha256,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "took_turn": outcome.took_turn,
        "early_starts": outcome.early_starts,
        "latency_ms": _maybe_ms(outcome.latency),
        "answer_ms": _maybe_ms(outcome.answer),
        "extra_answers": outcome.extra_answers,
        "backchannels": outcome.backchannels,
        "backchannel_hz": _rounded(outcome.backchannel_hz),
        "backchannel_jsd": _rounded(outcome.backchannel_jsd),
        "stop_ms": _maybe_ms(outcome.stop),
        "stale_ms": _maybe_ms(outcome.stale),
        "overlap_ms": _maybe_ms(outcome.overlap),
        "went_on": outcome.went_on,
    }


def _spans(stretches: list[Stretch], within: tuple[int, int]) -> tuple[Span, ...]:
    start, until = within
    return tuple(_span(s) for s in stretches if s.start < until and s.end > start)


def _span(stretch: Stretch) -> Span:
    return _ms(stretch.start), _ms(stretch.end)


def _maybe_ms(samples: int | None) -> float | None:
    return None if samples is None else _ms(samples)


def _ms(samples: int) -> float:
    return round(samples * 1000 / OUT_RATE, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
