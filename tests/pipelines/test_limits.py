"""Bad input and limits, each through the real socket: refused or survived, others unharmed."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
import pytest
import websockets

from maata.profile import load_profile
from pipelines.cascade import EMPTY_TURN_SECONDS
from pipelines.engines import Engines
from tests.live import (
    ESPEAK,
    IN_RATE,
    PACKET,
    QUESTION,
    Live,
    audio_bytes,
    calling,
    message_bytes,
    refused,
    serving,
)


@pytest.fixture(scope="module")
def live(starter_profile, engines):
    with serving(starter_profile, engines) as server:
        yield server


@contextmanager
def server_with(engines: Engines, **overrides: Any) -> Iterator[Live]:
    profile = load_profile(
        "starter", ESPEAK | {k.replace("__", "."): v for k, v in overrides.items()}
    )
    with serving(profile, engines) as server:
        yield server


async def is_well(live: Live) -> None:
    """A fresh call is heard and answered."""
    async with calling(live.url) as caller:
        ended = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(ended), 15)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("engine=s2s", "not available"),
        ("engine=warp", "unknown engine"),
        ("voice=hal", "unknown voice"),
        ("emotion=hungry", "unknown emotion"),
    ],
)
async def test_unknown_choices_are_refused(live, query, words):
    code, sentence = await refused(f"{live.url}?{query}")
    assert code == 4400
    assert words in sentence


async def test_a_foreign_page_is_refused(live):
    code, sentence = await refused(live.url, origin="http://evil.example")
    assert code == 4403
    assert "allowed_origins" in sentence


async def test_a_token_protects_the_socket(engines, monkeypatch):
    monkeypatch.setenv("MAATA_TOKEN", "s3cret")
    with server_with(engines) as live:
        assert (await refused(live.url))[0] == 4401
        assert (await refused(f"{live.url}?token=wrong"))[0] == 4401
        async with calling(f"{live.url}?token=s3cret") as caller:
            await caller.until(lambda: "bot-ready" in caller.kinds())
        headers = {"Authorization": "Bearer s3cret"}
        async with calling(live.url, additional_headers=headers) as caller:
            await caller.until(lambda: "bot-ready" in caller.kinds())


async def test_one_caller_too_many_is_told_and_the_others_go_on(engines):
    with server_with(engines, limits__max_calls=1) as live:
        async with calling(live.url) as caller:
            await caller.until(lambda: "bot-ready" in caller.kinds())
            code, sentence = await refused(live.url)
            assert code == 4429
            assert "busy" in sentence
            ended = await caller.speak(QUESTION, quiet=1.0)
            await caller.until(lambda: caller.loud(ended), 15)
        await asyncio.sleep(0.5)
        await is_well(live)  # the line is free again


async def test_nothing_is_answered_before_the_models_are_there(starter_profile):
    empty = Engines(starter_profile)
    empty.load = lambda report=None: None  # type: ignore[assignment]
    with serving(starter_profile, empty) as live:
        code, sentence = await refused(live.url)
    assert code == 4503
    assert "loading" in sentence


async def test_garbage_is_survived_and_reported_once_a_kind(live):
    async with calling(live.url) as caller:
        for _ in range(3):
            await caller.socket.send("text where bytes belong")
            await caller.socket.send(b"\xff\xfe garbage")
            await caller.socket.send(audio_bytes(np.zeros(PACKET, np.int16), rate=44100))
            await caller.socket.send(audio_bytes(np.zeros(PACKET, np.int16), channels=2))
            await caller.socket.send(message_bytes("send-text", {"content": "say this"}))
            await caller.socket.send(message_bytes("client-message", {"t": "no-such", "d": 1}))
        ended = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(ended), 15)
    notices = [n["text"] for n in caller.told("notice")]
    assert sum("not text" in n for n in notices) == 1
    assert sum("16000 Hz mono" in n for n in notices) == 1
    assert "say this" not in str(caller.of("user-transcription"))


async def test_a_caller_of_nothing_but_garbage_is_hung_up(live):
    async with calling(live.url) as caller:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(5000):
                await caller.socket.send(b"\xff\xfe")
                await asyncio.sleep(0.0005)
        assert caller.socket.close_code == 4400
    await is_well(live)


async def test_an_oversized_message_ends_only_its_own_call(live):
    async with calling(live.url) as other:
        async with calling(live.url) as caller:
            await caller.socket.send(b"\0" * (live.server.profile.limits.max_message_kb * 1024 + 1))
            await asyncio.wait_for(caller.socket.wait_closed(), 5)
            assert caller.socket.close_code == 1009
        ended = await other.speak(QUESTION, quiet=1.0)
        await other.until(lambda: other.loud(ended), 15)


@pytest.mark.parametrize("kind", ["silence", "noise", "clipping"])
async def test_sound_without_speech_gets_no_answer_and_no_words(live, kind):
    rng = np.random.default_rng(7)
    seconds = np.zeros(3 * IN_RATE, dtype=np.int16)
    if kind == "noise":
        seconds = rng.normal(0, 3000, 3 * IN_RATE).clip(-32768, 32767).astype(np.int16)
    elif kind == "clipping":
        seconds = np.where(np.arange(3 * IN_RATE) % 80 < 40, 32767, -32768).astype(np.int16)
    async with calling(live.url) as caller:
        await caller.send_audio(seconds)
        await caller.send_audio(np.zeros(IN_RATE, dtype=np.int16))
    assert caller.user_text() == ""
    assert not caller.told("answer")


async def test_a_long_silence_ends_the_call_with_the_reason(engines):
    with server_with(engines, limits__idle_minutes=0.03) as live:
        async with calling(live.url) as caller:
            started = monotonic()
            await caller.until(lambda: caller.of("error"), 10)
            await asyncio.wait_for(caller.socket.wait_closed(), 5)
        assert 1.0 < monotonic() - started < 8
        assert caller.socket.close_code == 4408
        assert "nobody spoke" in caller.of("error")[0]["error"]


async def test_a_call_has_a_longest_length(engines):
    with server_with(engines, limits__max_call_minutes=0.02) as live:
        async with calling(live.url) as caller:
            await asyncio.wait_for(caller.socket.wait_closed(), 10)
        assert caller.socket.close_code == 4408


async def test_a_caller_who_hangs_up_mid_answer_frees_the_line(engines):
    with server_with(engines, limits__max_calls=1) as live:
        async with calling(live.url) as caller:
            ended = await caller.speak("మీరు ఏమేమి చేయగలరు?", quiet=0.6)
            await caller.until(lambda: caller.loud(ended), 15)
            caller.socket.transport.abort()  # no goodbye
        deadline = monotonic() + 5
        while live.server.calls:
            assert monotonic() < deadline
            await asyncio.sleep(0.05)
        await is_well(live)


async def test_a_caller_who_stops_reading_harms_nobody(live):
    async with calling(live.url) as other:
        stuck = await websockets.connect(live.url)
        await stuck.send(message_bytes("client-ready", {"version": "1.2.0"}))
        stuck.transport.pause_reading()  # type: ignore[attr-defined]
        ended = await other.speak(QUESTION, quiet=1.0)
        await other.until(lambda: other.loud(ended), 15)
        stuck.transport.abort()


@pytest.mark.parametrize("part", ["recognizer", "llama", "synthesizer"])
async def test_a_model_that_raises_costs_one_turn_not_the_call(starter_profile, engines, part):
    """The real models, one of which fails on its first use in the call and works afterwards."""
    method = {"recognizer": "transcribe", "llama": "stream", "synthesizer": "stream"}[part]
    faulty = FailsOnce(getattr(engines.cascade, part), method)
    broken = Engines(starter_profile)
    broken.cascade = dataclasses.replace(engines.cascade, **{part: faulty})
    with serving(load_profile("starter", ESPEAK | {"cascade.asr.interim_ms": 0}), broken) as live:
        async with calling(live.url) as caller:
            await caller.speak(QUESTION, quiet=2.0)
            await caller.until(lambda: caller.of("error"), 10)
            if part != "synthesizer":
                await caller.until(lambda: "క్షమించండి" in spoken(caller), 10)
                await caller.until(lambda: "bot-stopped-speaking" in caller.kinds(), 20)
            else:
                await caller.send_audio(np.zeros(4 * IN_RATE, dtype=np.int16))
            ended = await caller.speak(QUESTION, quiet=1.0)
            await caller.until(lambda: caller.loud(ended), 15)
    assert faulty.failures == 1
    assert caller.of("error")[0].get("fatal") in (False, None)


def spoken(caller: Any) -> str:
    return " ".join(d["text"] for d in caller.of("bot-tts-text"))


class FailsOnce:
    """A real model whose first call of one method raises."""

    def __init__(self, model: Any, method: str) -> None:
        self._model = model
        self._method = method
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._model, name)
        if name != self._method:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.failures == 0:
                self.failures += 1
                raise RuntimeError("injected failure")
            return real(*args, **kwargs)

        return call


async def test_a_transcript_later_than_its_turn_is_still_answered(starter_profile, engines):
    """A recogniser slower than the patience with an empty turn must not lose the question."""
    slow = Slow(engines.cascade.recognizer, seconds=EMPTY_TURN_SECONDS + 1.5)
    late = Engines(starter_profile)
    late.cascade = dataclasses.replace(engines.cascade, recognizer=slow)
    profile = load_profile("starter", ESPEAK | {"cascade.asr.interim_ms": 0})
    with serving(profile, late) as live:
        async with calling(live.url) as caller:
            ended = await caller.speak(QUESTION, quiet=1.0)
            await caller.until(lambda: caller.loud(ended), 20)


class Slow:
    """A real recogniser that takes its time."""

    def __init__(self, recognizer: Any, seconds: float) -> None:
        self._recognizer = recognizer
        self._seconds = seconds

    def transcribe(self, pcm: np.ndarray) -> Any:
        time.sleep(self._seconds)
        return self._recognizer.transcribe(pcm)
