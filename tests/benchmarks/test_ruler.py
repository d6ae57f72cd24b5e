"""The ruler itself: 200 turns with known delays, over the two ways in which engines send sound.

A cascade sends an answer in bursts of 40 ms chunks, one ahead, with silence before its voice; a
speech-to-speech engine sends a line of 80 ms frames that never ends. Both answers are preceded by
hiss that is no speech. The calls are real, over a WebSocket, on a clock that skips what is waited
for; `test_caller.py` repeats a few of them on the machine's.
"""

import asyncio
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from benchmarks.caller.caller import place_call
from benchmarks.caller.manners import Manners
from benchmarks.caller.playback import DEFAULT_JITTER_MS
from benchmarks.caller.wire import IN_RATE, OUT_RATE, encode_audio
from benchmarks.ruler.recording import Turn, Utterance
from models.audio import audible, resample, to_int16
from models.espeak import synthesize, voice_settings
from tests.benchmarks.scripted_server import (
    CHUNK,
    Script,
    Served,
    now,
    ready,
    samples,
    scripted,
    silence,
    tone,
)
from tests.benchmarks.virtual_time import LoopClock, run_virtual

TURNS, A_CALL = 200, 10
SPEECH_MS = 300
FRAME = OUT_RATE * 80 // 1000
MANNERS = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=3)
Delay = float | None  # ms from the true end to the first audible sample at the ear; None: silent


def utterance() -> Utterance:
    """70 ms of silence, speech of known length, more silence."""
    parts = (silence(70, IN_RATE), tone(SPEECH_MS, IN_RATE), silence(130, IN_RATE))
    return Utterance("u", np.concatenate(parts))


@cache
def voice() -> np.ndarray:
    """int16 [T] at OUT_RATE: a spoken word that is audible from its first sample."""
    pcm = synthesize("అవును", voice_settings("priya")[0]).astype(np.float32) / 32768
    pcm = to_int16(resample(2 * pcm, 22_050, OUT_RATE))
    [sound] = audible(pcm, OUT_RATE)
    return pcm[sound.start : sound.end]


def answer(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Sound of an answer, and where its voice begins in it: hiss, silence, voice."""
    hiss = np.clip(rng.normal(0, 0.05, OUT_RATE * 80 // 1000), -1, 1)
    quiet = silence(int(rng.integers(60, 130)), OUT_RATE)
    lead = np.concatenate(((hiss * 32767).astype(np.int16), quiet))
    lead = lead[int(rng.integers(0, 100)) :]  # ends anywhere in a packet
    return np.concatenate((lead, voice())), len(lead)


async def next_due(served: Served, delay_ms: float) -> float:
    """Waits for the caller's onset; when the answer's voice is to be heard, on the loop's clock."""
    async for data in served.socket:
        pcm = samples(data)
        start = len(served.arrivals) * len(pcm)
        served.arrivals.append(now())
        loud = np.flatnonzero(np.abs(pcm.astype(int)) > 1000)
        if len(loud) and start >= sum(served.user_ends[-1:]):
            end = start + int(loud[0]) + IN_RATE * SPEECH_MS // 1000
            served.user_ends.append(end)
            return served.origin + end / IN_RATE + delay_ms / 1000
    raise EOFError


def bursts(delays: list[Delay], seed: int) -> Script:
    """The cascade's way."""
    rng = np.random.default_rng(seed)

    async def script(served: Served) -> None:
        await ready(served)
        for delay in delays:
            due = await next_due(served, delay or 0)
            if delay is None:
                continue
            pcm, lead = answer(rng)
            first = due - DEFAULT_JITTER_MS / 1000 - lead / OUT_RATE
            await asyncio.sleep(first - now())
            for n, at in enumerate(range(0, len(pcm), CHUNK)):
                late = float(rng.uniform(0, 0.03)) if n else 0.0
                await asyncio.sleep(first + max(0, n - 1) * 0.04 + late - now())
                await served.socket.send(encode_audio(pcm[at : at + CHUNK], OUT_RATE))

    return script


def frames(delays: list[Delay], seed: int) -> Script:
    """The speech-to-speech engine's way."""
    rng = np.random.default_rng(seed)

    async def script(served: Served) -> None:
        await ready(served)
        line = (rng.normal(0, 0.0008, OUT_RATE * 60) * 32767).astype(np.int16)  # -62 dBFS
        began = now() + 0.08

        async def speak() -> None:
            for n in range(len(line) // FRAME):
                late = float(rng.uniform(0, 0.03)) if n else 0.0
                await asyncio.sleep(began + n * 0.08 + late - now())
                await served.socket.send(encode_audio(line[n * FRAME : (n + 1) * FRAME], OUT_RATE))

        speaking = asyncio.create_task(speak())
        try:
            for delay in delays:
                due = await next_due(served, delay or 0)
                if delay is not None:
                    pcm, lead = answer(rng)
                    heard_from = began + DEFAULT_JITTER_MS / 1000
                    at = round((due - heard_from) * OUT_RATE) - lead
                    line[at : at + len(pcm)] = pcm
            async for _ in served.socket:
                pass
        finally:
            speaking.cancel()

    return script


async def measured(make: Callable[[list[Delay], int], Script], delays: list[Delay]) -> list[Turn]:
    """Every turn that was scheduled, as the caller measured it; the calls run side by side."""

    async def call(at: int) -> list[Turn]:
        part = delays[at : at + A_CALL]
        async with scripted(make(part, at)) as (address, _):
            turns = [utterance() for _ in part]
            done = await place_call(f"ws://{address}/ws", turns, MANNERS, clock=LoopClock())
        assert done.ended is None
        return done.recording.turns()

    calls = await asyncio.gather(*(call(at) for at in range(0, len(delays), A_CALL)))
    return [turn for turns in calls for turn in turns]


@pytest.fixture(scope="module")
def errors() -> dict[str, np.ndarray]:
    """measured - true, ms, of 100 turns each way with the same delays of 0 to 2000 ms."""
    rng = np.random.default_rng(0)
    delays: list[Delay] = list(rng.permutation(np.linspace(0, 2000, TURNS // 2)))
    found = {}
    for name, make in (("cascade", bursts), ("s2s", frames)):
        turns = run_virtual(measured(make, delays))
        assert len(turns) == len(delays), "a scheduled turn was not measured"
        assert all(turn.answered for turn in turns)
        pairs = zip(turns, delays, strict=True)
        found[name] = np.array([turn.v2v_ms - delay for turn, delay in pairs])  # type: ignore[operator]
    return found


def test_the_error_of_200_turns(errors):
    all_errors = np.abs(np.concatenate([errors["cascade"], errors["s2s"]]))
    assert len(all_errors) == TURNS
    assert np.quantile(all_errors, 0.95) <= 5, np.sort(all_errors)[-20:]


def test_no_way_of_sending_is_favoured(errors):
    bias = errors["s2s"].mean() - errors["cascade"].mean()
    assert abs(bias) <= 2, {name: values.mean() for name, values in errors.items()}


@pytest.mark.parametrize("make", [bursts, frames])
def test_silent_turns_are_measured_as_missing(make):
    delays: list[Delay] = [200.0, None, 900.0, None]
    turns = run_virtual(measured(make, delays))
    assert [turn.v2v_ms is None for turn in turns] == [delay is None for delay in delays]
    assert turns[2].v2v_ms == pytest.approx(900, abs=1)
