"""When the caller speaks again: after silence, or sooner where the bot says it has finished."""

import pytest

from benchmarks.caller.caller import place_call
from benchmarks.caller.floor import CUT, Floor
from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.ruler.recording import Recording, Utterance
from tests.benchmarks.scripted_server import Served, ready, scripted, tone
from tests.benchmarks.virtual_time import LoopClock, run_virtual

WORD = Utterance("word", tone(300, IN_RATE))


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ((), False),
        (("bot-started-speaking",), False),
        (("bot-started-speaking", "bot-stopped-speaking"), True),
        (("bot-stopped-speaking", "bot-started-speaking"), False),
        (("bot-tts-started", "bot-stopped-speaking"), False),  # a pause between two clauses
        (("bot-tts-started", "bot-stopped-speaking", "bot-tts-stopped"), True),
        (("bot-tts-started", CUT, "bot-stopped-speaking"), True),
    ],
)
def test_the_bots_word(said, given):
    floor = Floor()
    for kind in said:
        floor.hear(kind)
    assert floor.given is given


@pytest.mark.parametrize(
    ("told_ms", "says", "rest_ms"),
    [
        (None, ("bot-stopped-speaking",), 900),
        (300, (), 900),
        (300, ("bot-stopped-speaking",), 300),
        (300, ("bot-tts-started", "bot-stopped-speaking"), 900),
    ],
)
def test_the_rest_before_the_next_turn(told_ms, says, rest_ms):
    async def script(served: Served) -> None:
        await ready(served)
        for _ in range(2):
            await served.next_user_end()
            await served.answer(tone(455, OUT_RATE))
            for kind in says:
                await served.say(kind, {})

    async def called() -> Recording:
        manners = Manners(
            lead_in_ms=100, answer_over_ms=900, told_over_ms=told_ms, answer_timeout_s=2
        )
        async with scripted(script) as (address, _):
            placed = await place_call(
                f"ws://{address}/ws", [WORD, WORD], manners, clock=LoopClock()
            )
        return placed.recording

    recording = run_virtual(called())
    first, _ = recording.turns()
    assert first.bot_end_ms is not None
    rest = recording.spans[1].begin * 1000 / OUT_RATE - first.bot_end_ms
    assert rest == pytest.approx(rest_ms, abs=60)  # packets are judged whole
