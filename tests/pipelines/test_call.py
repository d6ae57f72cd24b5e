"""A call through the real socket on the starter models: heard, answered, interrupted."""

import asyncio
import urllib.request
from time import monotonic

import numpy as np
import pytest

from tests.live import QUESTION, Live, calling, message_bytes, serving


@pytest.fixture(scope="module")
def live(starter_profile, engines):
    with serving(starter_profile, engines) as server:
        yield server


def scrape(live: Live, name: str) -> float:
    text = urllib.request.urlopen(f"{live.http}/metrics", timeout=5).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def test_a_question_is_heard_and_answered_in_telugu(live):
    async with calling(live.url) as caller:
        ended = await caller.speak(QUESTION, quiet=1.5)
        await caller.until(lambda: caller.loud(ended) and caller.told("latency"))
        await caller.until(lambda: "bot-stopped-speaking" in caller.kinds(), 20)
    heard = set(caller.user_text().split())
    assert len(heard & {"ఇప్పుడు", "టైం", "ఎంత", "అయింది"}) >= 3
    spoken = " ".join(d["text"] for d in caller.of("bot-tts-text"))
    assert any("\u0c00" <= c <= "\u0c7f" for c in spoken)
    assert {f.shape for _, f in caller.packets} <= {(960,)}  # 40 ms at 24 kHz
    (latency,) = caller.told("latency")
    assert sum(latency["stages"].values()) == pytest.approx(latency["total_ms"], abs=0.11)
    assert caller.told("answer") == [{"type": "answer", "id": 1}]


async def test_live_transcripts_come_while_the_user_speaks(live):
    async with calling(live.url) as caller:
        sentence = f"{QUESTION} {QUESTION}"
        ended = await caller.speak(sentence, quiet=1.0)
        await caller.until(lambda: caller.user_text())
    finals = [m for m in caller.of("user-transcription") if m.get("final")]
    interims = [m for m in caller.of("user-transcription") if not m.get("final")]
    assert interims
    assert finals
    assert ended


async def test_a_barge_in_silences_the_old_answer_and_is_remembered_as_spoken(live):
    async with calling(live.url) as caller:
        ended = await caller.speak("మీరు ఏమేమి చేయగలరు?", quiet=0.6)
        await caller.until(lambda: caller.loud(ended))
        onset = monotonic()
        await caller.speak("ఆగండి, ధన్యవాదాలు.", quiet=0.2)
        await caller.until(lambda: len(caller.told("interrupted")) > 0)
        interruption = next(t for t in caller.interruptions if t > onset)
        await caller.until(lambda: len(caller.told("answer")) >= 2)
        # Between the interruption and the next answer nothing is heard.
        later = [at for at, _ in caller.packets if at > interruption]
        assert min(later, default=interruption + 1) - interruption > 0.1
    (cut,) = caller.told("interrupted")[:1]
    full = " ".join(d["text"] for d in caller.of("bot-llm-text"))
    assert len(cut["spoken"]) < len(full)
    assert interruption - onset < 1.0


async def test_the_voice_can_change_between_answers(live):
    async with calling(f"{live.url}?voice=ravi") as caller:
        ended = await caller.speak(QUESTION, quiet=1.2)
        await caller.until(lambda: caller.loud(ended))
        await caller.until(lambda: "bot-stopped-speaking" in caller.kinds(), 20)
        low = caller.heard(ended)
        await caller.socket.send(
            message_bytes("client-message", {"t": "set-voice", "d": {"voice": "priya"}})
        )
        again = await caller.speak(QUESTION, quiet=1.2)
        await caller.until(lambda: caller.loud(again))
        await caller.until(lambda: caller.kinds().count("bot-stopped-speaking") == 2, 20)
        high = caller.heard(again)
    assert median_pitch(high) > 1.3 * median_pitch(low)


def median_pitch(pcm: np.ndarray, rate: int = 24000) -> float:
    """Median F0 of the voiced 40 ms frames, by autocorrelation between 60 and 400 Hz."""
    found = []
    for frame in np.split(pcm[: len(pcm) // 960 * 960].astype(np.float64), len(pcm) // 960):
        if np.sqrt(np.mean(frame**2)) < 500:
            continue
        correlation = np.correlate(frame, frame, "full")[959:]
        lags = slice(rate // 400, rate // 60)
        if correlation[lags].max() > 0.4 * correlation[0]:
            found.append(rate / (rate // 400 + int(correlation[lags].argmax())))
    return float(np.median(found))


async def test_two_calls_at_once_share_the_models(live):
    async def one() -> str:
        async with calling(live.url) as caller:
            ended = await caller.speak(QUESTION, quiet=1.0)
            await caller.until(lambda: caller.loud(ended), 15)
            return caller.user_text()

    assert all(await asyncio.gather(one(), one()))


async def test_metrics_count_calls_and_turns(live):
    before = scrape(live, "maata_turn_seconds_count")
    async with calling(live.url) as caller:
        ended = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(ended) and caller.told("latency"))
        assert scrape(live, "maata_calls_active") == 1
    await asyncio.sleep(0.5)
    assert scrape(live, "maata_turn_seconds_count") == before + 1
    assert scrape(live, "maata_calls_active") == 0


async def test_nothing_blocks_the_event_loop(live):
    """A small request is answered at once while the models work for a caller."""

    def ping() -> float:
        start = monotonic()
        urllib.request.urlopen(f"{live.http}/health", timeout=5).read()
        return monotonic() - start

    async with calling(live.url) as caller:
        talking = asyncio.create_task(caller.speak("మీరు ఏమేమి చేయగలరు?", quiet=2.0))
        delays = []
        while not talking.done():
            delays.append(await asyncio.to_thread(ping))
            await asyncio.sleep(0.02)
    # A blocked loop would show as one long wait: recogniser, language model or voice.
    assert len(delays) > 40
    assert float(np.percentile(delays, 95)) < 0.1
