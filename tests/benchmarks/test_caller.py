"""Calls to a real WebSocket server with known times: what is measured is what happened."""

import asyncio
import json
import os

import numpy as np
import pytest

from benchmarks.caller.caller import Call, place_call
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.playback import DEFAULT_JITTER_MS
from benchmarks.caller.wire import IN_RATE, OUT_RATE, encode_audio
from benchmarks.ruler.recording import Utterance
from tests.benchmarks.scripted_server import Served, ready, samples, scripted, silence, tone

QUICK = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=4)


def utterance(ms: int = 300, tail_ms: int = 130) -> Utterance:
    lead = silence(70, IN_RATE)
    pcm = np.concatenate((lead, tone(ms, IN_RATE), silence(tail_ms, IN_RATE)))
    return Utterance(f"{ms}.wav", pcm)


async def call(address: str, turns: int = 1, manners: Manners = QUICK) -> Call:
    return await place_call(f"ws://{address}/ws", [utterance() for _ in range(turns)], manners)


def answering(delay_ms: float, turns: int = 1, ms: int = 300):
    """Answers so many ms after the user's true end; 25 ms of silence lead each answer."""

    async def script(served: Served) -> None:
        await ready(served)
        for _ in range(turns):
            end = await served.next_user_end()
            due = served.origin + end / IN_RATE + delay_ms / 1000
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            lead = silence(25, OUT_RATE)
            await served.answer(np.concatenate((lead, tone(ms, OUT_RATE))))

    return script


async def test_v2v_is_the_true_one():
    """Within 5 ms of the server's own account of when the speech ended and the answer left."""

    async def error_ms(delay_ms: float) -> float:
        async with scripted(answering(delay_ms, turns=2)) as (address, calls):
            turns = (await call(address, turns=2)).recording.turns()
        errors = []
        for n, turn in enumerate(turns):
            true = calls[0].true_v2v_ms(n) + 25 + DEFAULT_JITTER_MS
            assert true >= delay_ms
            assert turn.v2v_ms is not None
            assert turn.user_end_ms is not None
            assert turn.bot_start_ms == pytest.approx(turn.user_end_ms + turn.v2v_ms, abs=0.11)
            errors.append(abs(turn.v2v_ms - true))
        return min(errors)  # a busy machine may stall one packet, hardly two

    errors = await asyncio.gather(*(error_ms(ms) for ms in (250, 333, 600, 1000, 2000)))
    assert max(errors) < 5, errors


async def test_an_answer_before_the_end_is_negative():
    async def early(served: Served) -> None:
        await ready(served)
        async for _packet in served.socket:
            served.arrivals.append(asyncio.get_running_loop().time())
            if len(served.arrivals) == 15:
                break
        await served.answer(tone(600, OUT_RATE))

    async with scripted(early) as (address, _):
        [turn] = (await call(address)).recording.turns()
    assert turn.answered
    assert turn.v2v_ms is not None
    assert turn.v2v_ms < -20


async def test_underruns_are_counted_where_they_are():
    async def stutter(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        await served.answer(tone(600, OUT_RATE), gaps={5: 0.3, 10: 0.4})

    async with scripted(stutter) as (address, _):
        recording = (await call(address, manners=Manners(answer_over_ms=600))).recording
    lengths = [1000 * u.length / OUT_RATE for u in recording.playback.underruns]
    assert len(lengths) == 2
    assert 200 < lengths[0] < 350
    assert 300 < lengths[1] < 450
    assert sum(e["event"] == "underrun" for e in recording.events) == 2


async def test_a_steady_answer_has_no_underrun():
    async with scripted(answering(300, ms=2000)) as (address, _):
        assert (await call(address)).recording.playback.underruns == []


async def test_barge_in_is_silent_at_the_ear():
    """The server goes on until 150 ms after the onset and interrupts; then it answers."""

    async def interrupted(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        talking = asyncio.create_task(served.answer(tone(5_000, OUT_RATE)))
        heard = 0
        async for data in served.socket:
            pcm = samples(data)
            heard += bool(len(pcm) and np.abs(pcm).max() > 1000)
            if heard == 8:  # packets: the first one is heard 20 ms after its onset at the latest
                break
        talking.cancel()
        await served.interrupt()
        await served.next_user_end()
        await served.answer(tone(300, OUT_RATE))

    manners = Manners(lead_in_ms=100, answer_over_ms=600, answer_timeout_s=4, barge_in_after_ms=400)
    async with scripted(interrupted) as (address, _):
        recording = (await call(address, turns=2, manners=manners)).recording
    first, second = recording.turns()
    assert first.silence_ms is None
    assert second.silence_ms is not None
    assert 130 < second.silence_ms < 260
    assert second.stale_ms == 0
    assert second.answered
    assert second.false_starts == 0
    [cut] = [e for e in recording.events if e["event"] == "interrupted"]
    assert cut["dropped_ms"] > 20


async def test_a_server_that_ignores_the_barge_in_is_not_silent():
    async def deaf(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        await served.answer(tone(2_000, OUT_RATE))

    manners = Manners(lead_in_ms=100, answer_over_ms=600, answer_timeout_s=1, barge_in_after_ms=300)
    async with scripted(deaf) as (address, _):
        second = (await call(address, turns=2, manners=manners)).recording.turns()[1]
    assert second.silence_ms is not None
    assert second.silence_ms > 1_000
    assert not second.answered


@pytest.mark.parametrize("code", [4400, 4401, 4403, 4408, 4429, 4503])
async def test_a_refusal_is_one_sentence(code):
    async def refuse(served: Served) -> None:
        await served.socket.close(code, "because")

    async with scripted(refuse) as (address, _):
        with pytest.raises(Refused, match=rf"because \({code}\)"):
            await call(address)


async def test_a_fatal_error_before_ready_is_the_reason():
    async def refuse(served: Served) -> None:
        await served.say("error", {"error": "all 4 lines are busy", "fatal": True})
        await served.socket.close(4429, "busy")

    async with scripted(refuse) as (address, _):
        with pytest.raises(Refused, match="all 4 lines are busy"):
            await call(address)


async def test_nobody_there_and_nobody_ready():
    with pytest.raises(Refused, match="nobody answers there"):
        await call("127.0.0.1:9")

    async def never(served: Served) -> None:
        await served.socket.recv()

    async with scripted(never) as (address, _):
        with pytest.raises(Refused, match="did not get ready in 0.2 s"):
            await call(address, manners=Manners(ready_timeout_s=0.2))


async def test_a_limit_reached_mid_call_keeps_the_recording():
    async def limit(served: Served) -> None:
        await answering(300)(served)
        await served.say("error", {"error": "calls end after 10 minutes", "fatal": True})
        await served.socket.close(4408, "limit")

    async with scripted(limit) as (address, _):
        result = await call(address, turns=2)
    assert result.refused
    assert "calls end after 10 minutes" in (result.ended or "")
    assert result.recording.turns()[0].answered


async def test_a_server_that_dies_mid_answer_is_reported():
    async def die(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        await served.answer(tone(200, OUT_RATE))
        served.socket.transport.abort()

    async with scripted(die) as (address, _):
        result = await call(address, turns=2)
    assert not result.refused
    assert "connection broke" in (result.ended or "")
    assert result.recording.turns()[0].answered
    assert len(result.user) > IN_RATE // 2


async def test_malformed_frames_are_counted_and_survived():
    async def rude(served: Served) -> None:
        await served.socket.recv()
        for nonsense in (b"\xff\xff", "text", b"", encode_audio(tone(20, IN_RATE), IN_RATE)):
            await served.socket.send(nonsense)
        await served.say("bot-ready", {})
        await served.socket.send(os.urandom(64) + b"\xff")
        await served.next_user_end()
        await served.answer(tone(300, OUT_RATE))

    async with scripted(rude) as (address, _):
        result = await call(address)
    assert result.malformed == 5
    assert result.recording.turns()[0].answered


async def test_no_answer_is_no_latency():
    async def mute(served: Served) -> None:
        await ready(served)
        await served.answer(silence(500, OUT_RATE))  # sound nobody can hear is no answer

    async with scripted(mute) as (address, _):
        [turn] = (await call(address, manners=Manners(answer_timeout_s=0.5))).recording.turns()
    assert not turn.answered
    assert turn.bot_start_ms is None


async def test_texts_and_stages_belong_to_their_turns():
    async def talk(served: Served) -> None:
        await ready(served)
        for n in (1, 2):
            await served.next_user_end()
            await served.say("user-transcription", {"text": "ఒ", "final": False})
            await served.say("user-transcription", {"text": f"ప్రశ్న {n}", "final": True})
            await served.say("bot-llm-started", {})
            for piece in ("జవా", "బు ", str(n)):
                await served.say("bot-llm-text", {"text": piece})
            stages = {"asr_ms": 10.0 * n, "total_ms": 1}
            await served.say(
                "server-message",
                {"type": "latency", "turn": n, "stages": stages, "total_ms": 300.0},
            )
            await served.answer(tone(300, OUT_RATE))

    async with scripted(talk) as (address, _):
        turns = (await call(address, turns=2)).recording.turns()
    assert [t.user_text for t in turns] == ["ప్రశ్న 1", "ప్రశ్న 2"]
    assert [t.bot_text for t in turns] == ["జవాబు 1", "జవాబు 2"]
    assert [t.stages["asr_ms"] for t in turns] == [10.0, 20.0]
    assert turns[0].stages["total_ms"] == 300.0


async def test_four_calls_at_once_keep_their_schedule():
    async with scripted(answering(400, turns=2, ms=1000)) as (address, _):
        calls = await asyncio.gather(*(call(address, turns=2) for _ in range(4)))
    for one in calls:
        assert all(t.answered for t in one.recording.turns())
        assert one.recording.playback.underruns == []
        assert min(one.late_ms[-50:]) < 5  # late at times on a busy machine, but not adrift
        json.dumps(one.recording.events)
