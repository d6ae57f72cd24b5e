"""Callers of servers that are not this project's, and callers who talk for a time."""

import asyncio
import time

import numpy as np

from benchmarks.caller.caller import place_call
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import WallClock
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.ruler.recording import Utterance
from tests.benchmarks.scripted_server import Served, conversing, scripted, silence, tone

PLAIN = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=2, without_ready_s=0.3)


def utterance() -> Utterance:
    return Utterance("said", np.concatenate((tone(300, IN_RATE), silence(100, IN_RATE))))


async def test_a_bot_without_rtvi_is_called_all_the_same():
    async def plain(served: Served) -> None:
        await served.socket.recv()  # client-ready, which says nothing to it
        await served.next_user_end()
        await served.answer(tone(300, OUT_RATE))

    async with scripted(plain) as (address, _):
        [turn] = (await place_call(f"ws://{address}/", [utterance()], PLAIN)).recording.turns()
    assert turn.answered


async def test_a_bot_that_greets_is_ready_when_it_is_heard():
    async def greeting(served: Served) -> None:
        await served.socket.recv()
        await served.answer(tone(200, OUT_RATE))
        await served.next_user_end()
        await served.answer(tone(300, OUT_RATE))

    manners = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=2, without_ready_s=30)
    async with scripted(greeting) as (address, _):
        began = time.monotonic()
        call = await place_call(f"ws://{address}/", [utterance()], manners)
    assert time.monotonic() - began < 10
    [turn] = call.recording.turns()
    assert turn.answered
    assert turn.false_starts == 0


async def test_turns_are_repeated_until_a_time():
    async with scripted(conversing(200)) as (address, _):
        manners = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=2)
        until = WallClock().now() + 2.0
        call = await place_call(f"ws://{address}/ws", [utterance()] * 2, manners, until=until)
    turns = call.recording.turns()
    assert len(turns) >= 2
    assert turns[-1].answered  # the last one was begun in time and heard out
    assert call.ended is None


async def test_a_line_that_never_waits():
    """A new turn 300 ms after the last one's end, though the bot goes on and on."""

    async def endless(served: Served) -> None:
        await served.socket.recv()
        await served.say("bot-ready", {})
        await served.answer(tone(4_000, OUT_RATE))

    async with scripted(endless) as (address, _):
        manners = Manners(lead_in_ms=100, rest_ms=300)
        call = await asyncio.wait_for(
            place_call(f"ws://{address}/ws", [utterance()] * 3, manners), 10
        )
    begins = [span.begin / OUT_RATE for span in call.recording.spans]
    gaps = np.diff(begins)
    assert np.all((gaps > 0.45) & (gaps < 1.0)), gaps  # 300 ms of speech, 300 ms of rest
