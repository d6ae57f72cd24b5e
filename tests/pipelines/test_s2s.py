"""Calls on the speech-to-speech engine through the real socket, on a tiny real model in a process.

The model is random: it babbles. What is tested is everything around it.
"""

import asyncio
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets

from maata.profile import Profile, load_profile
from models.host import EngineSpec
from pipelines.engine_checks import EngineError
from pipelines.engines import Engines
from tests.live import (
    ESPEAK,
    QUESTION,
    Caller,
    Live,
    audio_bytes,
    calling,
    message_bytes,
    refused,
    serving,
)
from tests.models import tiny_directory

pytestmark = pytest.mark.timeout(300)
START = 120.0  # seconds a host may take to load where every core is taken
BUSY = 60.0  # and what a few of its steps may take there


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_directory.write(tmp_path_factory.mktemp("s2s"))


def profile_with(weights: tuple[Path, Path], **overrides: Any) -> Profile:
    model, codec = weights
    settings = {
        "engines": ["cascade", "s2s"],
        "s2s.model": str(model),
        "s2s.codec": str(codec),
        "s2s.slots": 2,
        "s2s.threads": 1,
        "s2s.budget_ms": 80,
    }
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_profile("starter", {**ESPEAK, **settings, **given})


def ready(live: Live) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{live.http}/ready", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def scrape(live: Live) -> str:
    with urllib.request.urlopen(f"{live.http}/metrics", timeout=5) as answer:
        return answer.read().decode()


def wait_ready(live: Live, seconds: float = START) -> None:
    deadline = time.monotonic() + seconds
    while ready(live)[0] != 200:
        assert not live.server.engines.error, live.server.engines.error
        assert time.monotonic() < deadline, ready(live)
        time.sleep(0.1)


def load(both: Engines, shared: Engines | None = None) -> None:
    """Loads without the cascade's models, and lets steps take what a busy machine needs."""
    if shared is not None:
        both.cascade = shared.cascade
    both.load()
    assert both.s2s_models is not None
    spec = both.s2s_models.spec
    assert isinstance(spec, EngineSpec)
    patient = EngineSpec(spec.factory, {**spec.options, "budget": 60.0})
    both.s2s_models = replace(both.s2s_models, spec=patient)


@contextmanager
def server(weights: tuple[Path, Path], engines: Engines, **overrides: Any) -> Iterator[Live]:
    """A server of both engines; the cascade's models are the shared ones."""
    both = Engines(profile_with(weights, **overrides))
    both.check()
    load(both, engines)
    with serving(both.profile, both) as live:
        wait_ready(live)
        yield live


@pytest.fixture(scope="module")
def live(weights: tuple[Path, Path], engines: Engines) -> Iterator[Live]:
    with server(weights, engines) as running:
        yield running


def s2s(live: Live, **query: str) -> str:
    return live.url + "?" + "&".join(f"{k}={v}" for k, v in {"engine": "s2s", **query}.items())


async def test_a_call_is_heard_while_the_model_speaks(live: Live) -> None:
    async with calling(s2s(live)) as caller:
        started = time.monotonic()
        await caller.speak(QUESTION, quiet=1.5)
        heard = lambda: caller.user_text() and caller.loud() and len(caller.packets) >= 8  # noqa: E731
        await caller.until(heard, BUSY)
        elapsed = time.monotonic() - started
    # One packet a frame of the codec, never ahead of the clock (behind it on a busy machine).
    assert {f.shape for _, f in caller.packets} == {(1920,)}
    frames = [at for at, _ in caller.packets if at > started]
    assert 8 <= len(frames) <= elapsed * 12.5 + 3
    assert {"user-started-speaking", "user-stopped-speaking", "bot-started-speaking"} <= set(
        caller.kinds()
    )
    assert caller.told("engine") == [{"type": "engine", "id": "s2s", "reason": ""}]
    assert not caller.interruptions  # they would cut a continuous stream
    # The side recogniser hears the starter's own domain.
    assert set(caller.user_text().split()) & {"ఇప్పుడు", "టైం", "ఎంత", "అయింది"}


async def test_captions_never_show_half_a_letter(live: Live) -> None:
    async with calling(s2s(live, voice="ravi", emotion="calm")) as caller:
        await caller.until(lambda: len(caller.of("bot-llm-text")) > 20, BUSY)
    shown = "".join(d["text"] for d in caller.of("bot-llm-text"))
    assert "<0x" not in shown
    assert "\ufffd" not in shown
    for piece in (d["text"] for d in caller.of("bot-llm-text")):
        assert piece  # a token that shows nothing is not sent
    words = "".join(d["text"] for d in caller.of("bot-tts-text"))
    assert shown.replace(" ", "").startswith(words)
    assert not shown.startswith(tuple("ాిీుూెేైొోౌ్"))


async def place(calls: AsyncExitStack, live: Live) -> Caller:
    """A call on a slot; the one who had it before may just have hung up."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            return await calls.enter_async_context(calling(s2s(live)))
        except websockets.ConnectionClosedError as full:
            if not full.rcvd or full.rcvd.code != 4429 or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def test_slots_are_shared_out_and_come_back(live: Live) -> None:
    async with AsyncExitStack() as calls:
        await place(calls, live)
        await place(calls, live)
        before = live.server.metrics.refused.labels("slots")._value.get()
        code, sentence = await refused(s2s(live))
        assert code == 4429
        assert "2 places" in sentence
        assert "try again in" in sentence
        assert live.server.metrics.refused.labels("slots")._value.get() == before + 1
    async with AsyncExitStack() as calls:
        caller = await place(calls, live)
        await caller.until(lambda: caller.packets, BUSY)


async def test_the_cascade_takes_the_calls_that_have_no_slot(
    weights: tuple[Path, Path], engines: Engines
) -> None:
    with server(weights, engines, s2s__slots=1, s2s__fallback="cascade") as live:
        async with calling(s2s(live)), calling(s2s(live)) as second:
            ended = await second.speak(QUESTION, quiet=1.0)
            await second.until(lambda: second.loud(ended), 20)
        (told,) = second.told("engine")
    assert told["id"] == "cascade"
    assert "1 places" in told["reason"]


async def test_a_model_without_voices_is_called_all_the_same(tmp_path: Path) -> None:
    plain = tiny_directory.write(tmp_path, conditioned=False)
    alone = Engines(profile_with(plain, engines=["s2s"], engine="s2s", s2s__captions=""))
    load(alone)
    with serving(alone.profile, alone) as live:
        await asyncio.to_thread(wait_ready, live)
        async with calling(f"{live.url}?voice=ravi&emotion=sad") as caller:
            await caller.until(lambda: caller.packets, BUSY)


async def test_operators_see_how_the_engine_fares(live: Live) -> None:
    async with calling(s2s(live)) as caller:
        await caller.until(lambda: len(caller.packets) > 5, BUSY)
        await asyncio.sleep(1.5)  # the host tells once a second
    text = await asyncio.to_thread(scrape, live)
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("maata_en"))
    assert float(figures["maata_engine_up"]) == 1
    assert float(figures["maata_engine_slots"]) == 2
    assert float(figures["maata_engine_step_p50_seconds"]) > 0
    assert float(figures["maata_engine_step_p50_seconds"]) <= float(
        figures["maata_engine_step_p99_seconds"]
    )


async def test_another_voice_is_for_the_next_call(live: Live) -> None:
    async with calling(s2s(live)) as caller:
        change = {"t": "set-voice", "d": {"voice": "priya"}}
        await caller.socket.send(message_bytes("client-message", change))
        await caller.until(lambda: caller.told("notice"))
        assert "next call" in caller.told("notice")[0]["text"]


@pytest.mark.parametrize(
    "bad", [b"\xff\xfe nonsense", b"", audio_bytes(np.zeros(160, np.int16), rate=44100)]
)
async def test_bad_messages_are_survived(live: Live, bad: bytes) -> None:
    async with calling(s2s(live)) as caller:
        await caller.socket.send(bad)
        await caller.socket.send("text")
        before = len(caller.packets)
        await caller.until(lambda: len(caller.packets) > before + 5, BUSY)
        assert caller.told("notice")


async def test_a_caller_who_sends_nothing_is_answered_with_sound_all_the_same(live: Live) -> None:
    async with calling(s2s(live)) as caller:
        before = len(caller.packets)
        for _ in range(int(BUSY / 0.5)):
            await asyncio.sleep(0.5)  # no packet goes out in this time
            if len(caller.packets) - before >= 5:
                break
        assert len(caller.packets) - before >= 5
    await asyncio.sleep(0.5)
    assert live.server.metrics.starved.labels("s2s")._value.get() >= 5


async def test_a_host_that_dies_ends_its_calls_alone(
    weights: tuple[Path, Path], engines: Engines
) -> None:
    with server(weights, engines) as live:
        engine = live.server.engines.s2s
        assert engine is not None
        async with calling(s2s(live)) as victim, calling(live.url) as other:
            await victim.until(lambda: victim.packets, BUSY)
            pid = engine.health.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await victim.until(lambda: victim.of("error"))
            assert "ended" in victim.of("error")[0]["error"]
            assert victim.of("error")[0]["fatal"] is True
            status, body = ready(live)
            assert status == 503
            assert body["s2s"]["state"] == "starting"
            code, sentence = await refused(s2s(live))
            assert code == 4503
            assert "restarting" in sentence
            ended = await other.speak(QUESTION, quiet=1.0)
            await other.until(lambda: other.loud(ended), 20)
        await asyncio.to_thread(wait_ready, live)
        assert ready(live)[1]["s2s"]["restarts"] >= 1
        async with calling(s2s(live)) as again:
            await again.until(lambda: again.packets, BUSY)


async def test_adapters_are_chosen_by_name(
    weights: tuple[Path, Path], engines: Engines, tmp_path: Path
) -> None:
    adapter = str(tiny_directory.write_adapter(tmp_path, weights[0], "doctor"))
    with server(weights, engines, s2s__adapters={"doctor": adapter}) as live:
        async with calling(s2s(live, adapter="doctor")) as one, calling(s2s(live)) as other:
            await one.until(lambda: one.packets and other.packets, BUSY)
        code, sentence = await refused(s2s(live, adapter="lawyer"))
    assert code == 4400
    assert "choose one of doctor" in sentence


async def test_moshi_s_own_clients_may_call_too(live: Live) -> None:
    address = live.url.replace("/ws", "/api/chat")
    async with websockets.connect(address) as socket:
        assert await asyncio.wait_for(socket.recv(), BUSY) == b"\0"
        kinds = {(await asyncio.wait_for(socket.recv(), BUSY))[0] for _ in range(4)}
        assert live.server.active == 1
    assert 1 in kinds  # Opus
    async with websockets.connect(f"{address}?voice=hal") as socket:
        await asyncio.wait_for(socket.wait_closed(), BUSY)
        assert socket.close_code == 4400


def test_what_is_missing_is_said_before_anything_is_loaded(weights: tuple[Path, Path]) -> None:
    from models.weights import WeightsMissing

    with pytest.raises(WeightsMissing, match="nowhere"):
        Engines(profile_with(weights, s2s__model="nowhere")).check()
    with pytest.raises(EngineError, match=r"s2s\.adapters"):
        Engines(profile_with(weights, s2s__adapter="doctor")).check()
    with pytest.raises(EngineError, match="engines"):
        Engines(
            profile_with(weights, engines=["s2s"], engine="s2s", s2s__fallback="cascade")
        ).check()


async def test_a_server_may_have_this_engine_alone(weights: tuple[Path, Path]) -> None:
    alone = Engines(profile_with(weights, engines=["s2s"], engine="s2s", s2s__captions=""))
    alone.check()
    load(alone)
    with serving(alone.profile, alone) as live:
        await asyncio.to_thread(wait_ready, live)
        async with calling(live.url) as caller:
            await caller.until(lambda: caller.packets, BUSY)
        code, sentence = await refused(f"{live.url}?engine=cascade")
        assert code == 4400
        assert "available: s2s" in sentence
