"""The duplex engine on tiny real models: isolation, accounting, long calls, broken numbers.

`MAATA_SOAK_MINUTES=30` makes the long call as long as the promise.
"""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from moshi.conditioners.base import ConditionAttributes
from moshi.models.lm import LMGen
from moshi.utils.compile import no_compile

from models.adapters_bank import AdapterBusy, UnknownAdapter
from models.adapters_lora import TEXT_PARTS
from models.adapters_room import Room
from models.admission import Admission
from models.duplex import DuplexEngine, EngineMismatch, Sampling, SlotsFull
from models.duplex_call import FINISHED, LEFT, NOT_FINITE, NOT_TAKEN, OUTPUT_FRAMES, Call, Frame
from models.duplex_conditions import UnknownCondition
from models.duplex_memory import set_condition, streaming_bytes
from models.duplex_streams import DuplexStreams, measure
from tests.models.tiny_adapters import base, tiny_adapter
from tests.models.tiny_moshi import CONTEXT, tiny_lm, tiny_mimi

SLOTS = 3
FRAME = 1920
SOAK_FRAMES = int(float(os.environ.get("MAATA_SOAK_MINUTES", "0.2")) * 60 * 12.5)
GREEDY = Sampling(greedy=True)

# 30 s of work, but this may run where all cores are taken.
pytestmark = pytest.mark.timeout(600 + SOAK_FRAMES // 5)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def engine() -> Iterator[DuplexEngine]:
    """One engine for the module: every test leaves it as it found it, which is itself the point.

    Adapter `text` brings text embeddings and a head, `plain` LoRA pairs only; one place is free.
    """
    room = Room(places=3, rank=4, full=frozenset(TEXT_PARTS))
    made = DuplexEngine(tiny_mimi(), base(), slots=SLOTS, sampling=GREEDY, adapters=room)
    assert made.adapters is not None
    made.adapters.load(tiny_adapter("text", full=TEXT_PARTS))
    made.adapters.load(tiny_adapter("plain", rank=2))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _hang_up(engine: DuplexEngine) -> Iterator[None]:
    yield
    for call in engine.calls:
        call.leave()


def speech(rng: np.random.Generator, samples: int = FRAME) -> np.ndarray:
    return rng.normal(0, 0.2, samples).astype(np.float32)


def same(a: list[Frame], b: list[Frame]) -> bool:
    return len(a) == len(b) and all(
        x.text_token == y.text_token and np.array_equal(x.pcm, y.pcm)
        for x, y in zip(a, b, strict=True)
    )


@dataclass
class Script:
    """What one caller does: where it sits, and what it pushes before each of its ticks."""

    slot: int
    voice: str | None
    adapter: str | None = None
    pushes: list[list[np.ndarray]] = field(default_factory=list)
    heard: list[Frame] = field(default_factory=list)


def alone(engine: DuplexEngine, script: Script) -> list[Frame]:
    """The same caller with every other slot empty."""
    places = [engine.join(script.voice, adapter=script.adapter) for _ in range(script.slot + 1)]
    for other in places[:-1]:
        other.leave()
    call, heard = places[-1], []
    assert call.slot == script.slot
    for pushes in script.pushes:
        for pcm in pushes:
            call.push(pcm)
        engine.tick()
        heard += call.take()
    call.leave()
    return heard


def random_schedule(engine: DuplexEngine, seed: int, ticks: int) -> list[Script]:
    """Callers come and go, stall, burst, push odd sizes; what each did and heard is kept."""
    rng = np.random.default_rng(seed)
    done: list[Script] = []
    live: list[tuple[Call, Script]] = []
    for _ in range(ticks):
        if len(live) < SLOTS and rng.random() < 0.5:
            voice = (None, "a", "b")[rng.integers(3)]
            adapter = (None, "text", "plain")[rng.integers(3)]
            call = engine.join(voice, adapter=adapter)
            live.append((call, Script(call.slot, voice, adapter)))
        for call, script in live:
            stalled = rng.random() < 0.25
            sizes = [] if stalled else rng.integers(1, 2 * FRAME, size=rng.integers(1, 3))
            pushes = [speech(rng, int(n)) for n in sizes]
            for pcm in pushes:
                call.push(pcm)
            script.pushes.append(pushes)
        engine.tick()
        for call, script in live:
            script.heard += call.take()
        for pair in [pair for pair in live if rng.random() < 0.1]:
            live.remove(pair)
            pair[0].leave()
            done.append(pair[1])
    for call, script in live:
        call.leave()
        done.append(script)
    return done


@pytest.mark.parametrize("seed", range(5))
def test_other_callers_change_no_bit_of_a_call(engine: DuplexEngine, seed: int) -> None:
    scripts = random_schedule(engine, seed, ticks=24)
    assert len(scripts) >= 3
    for script in scripts:
        assert same(script.heard, alone(engine, script))


def test_adapters_come_and_go_without_a_bit_of_change_in_a_call(engine: DuplexEngine) -> None:
    """Another thread loads and unloads throughout, into the place beside those in use."""
    bank, rng = engine.adapters, np.random.default_rng(12)
    assert bank is not None
    scripts = [
        Script(slot, "a", adapter, [[speech(rng)] for _ in range(20)])
        for slot, adapter in enumerate(["text", "plain", None])
    ]
    undisturbed = [alone(engine, script) for script in scripts]
    coming = [tiny_adapter(f"coming {i}", full=TEXT_PARTS) for i in range(2)]
    over, cycles = threading.Event(), 0

    def come_and_go() -> None:
        nonlocal cycles
        while not over.is_set():
            bank.load(coming[cycles % 2], "third")
            bank.unload("third")
            cycles += 1

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        heard: list[list[Frame]] = [[], [], []]
        calls = [engine.join(script.voice, adapter=script.adapter) for script in scripts]
        for i in range(20):
            for call, script, frames in zip(calls, scripts, heard, strict=True):
                call.push(script.pushes[i][0])
                frames += call.take()
            engine.tick()
    finally:
        over.set()
        thread.join()
    for call, frames, expected in zip(calls, heard, undisturbed, strict=True):
        frames += call.take()
        assert same(frames, expected)
    assert cycles >= 2
    assert bank.names == ["plain", "text"]
    assert len({tuple(frame.text_token for frame in frames) for frames in heard}) == 3


def test_an_adapter_in_use_stays(engine: DuplexEngine) -> None:
    bank = engine.adapters
    assert bank is not None
    call = engine.join(adapter="plain")
    assert call.adapter == "plain"
    with pytest.raises(AdapterBusy, match="used by 1 calls"):
        bank.unload("plain")
    call.leave()
    bank.unload("plain")
    with pytest.raises(UnknownAdapter, match="'plain' here; known: text"):
        engine.join(adapter="plain")
    assert engine.calls == []
    bank.load(tiny_adapter("plain", rank=2))
    with pytest.raises(UnknownAdapter, match="one model for all calls"):
        DuplexEngine(tiny_mimi(), tiny_lm(), slots=1).join(adapter="plain")


def test_a_stream_chooses_its_adapter_by_name(engine: DuplexEngine) -> None:
    streams = DuplexStreams(
        engine, Admission(measure(engine, ticks=3), budget=60.0, slots=engine.slots)
    )
    streams.open({"voice": "a", "adapter": "text"})
    assert [call.adapter for call in engine.calls] == ["text"]
    with pytest.raises(ValueError, match="no adapter 'tex' here; known: plain, text"):
        streams.open({"adapter": "tex"})
    with pytest.raises(ValueError, match="an adapter is a name"):
        streams.open({"adapter": 3.0})
    assert len(engine.calls) == 1


def test_isolation_holds_with_moshis_own_codebooks_and_with_sampling() -> None:
    """Noise has the batch's shape, so the same ticks draw the same noise for a row."""

    def talk(crowd: bool) -> list[Frame]:
        engine = DuplexEngine(
            tiny_mimi(codebooks=8), tiny_lm(codebooks=8), slots=2, sampling=Sampling(seed=5)
        )
        rng, noise = np.random.default_rng(0), np.random.default_rng(9)
        call, heard = engine.join(), []
        other: Call | None = None
        for i in range(16):
            if crowd and i % 5 == 2:
                other = engine.join()
            if other is not None:
                other.push(speech(noise))
                if i % 5 == 4:
                    other.leave()
                    other = None
            call.push(speech(rng))
            engine.tick()
            heard += call.take()
        return heard

    apart = talk(crowd=False)
    assert len({frame.text_token for frame in apart}) > 3
    assert same(talk(crowd=True), apart)


def test_a_call_is_what_moshis_own_server_would_have_said(engine: DuplexEngine) -> None:
    """The procedure of `moshi/server.py`: encode, reset the codec after frame one, step, decode."""
    rng = np.random.default_rng(3)
    frames = [speech(rng) for _ in range(12)]
    call = engine.join("a", "calm")
    given = []
    for frame in frames:
        call.push(frame)
        engine.tick()
        given += call.take()

    mimi, lm = tiny_mimi(), tiny_lm(voices=["a", "b"], emotions=["calm"])
    assert lm.condition_provider is not None
    conditions = lm.condition_provider.prepare_and_provide(
        [ConditionAttributes(text={"voice": "a", "emotion": "calm"})] * SLOTS
    )
    gen = LMGen(lm, use_sampling=False, condition_tensors=conditions)
    expected: list[tuple[int, np.ndarray]] = []
    with torch.no_grad(), no_compile(), mimi.streaming(SLOTS), gen.streaming(SLOTS):
        for i, frame in enumerate([np.zeros(FRAME, np.float32), *frames[:-1]]):
            pcm = torch.from_numpy(frame).expand(SLOTS, 1, -1)
            codes = mimi.encode(pcm)
            if i == 0:
                mimi.reset_streaming()
            tokens = gen.step(codes)
            if tokens is not None:
                audio = mimi.decode(tokens[:, 1:])
                expected.append((int(tokens[0, 0, 0]), audio[0, 0].numpy()))
    assert len(expected) == len(given) == 11
    assert [text for text, _ in expected] == [frame.text_token for frame in given]
    for (_, audio), frame in zip(expected, given, strict=True):
        np.testing.assert_allclose(frame.pcm, audio, atol=1e-5)


@pytest.mark.parametrize("chunks", [(1,) * 8, (3, 1, 4)])
def test_the_codec_streams_what_it_does_at_once(chunks: tuple[int, ...]) -> None:
    mimi = tiny_mimi()
    pcm = torch.from_numpy(speech(np.random.default_rng(4), 8 * FRAME)).view(1, 1, -1)
    with torch.no_grad(), no_compile():
        codes = mimi.encode(pcm)  # [1, K, 8]
        audio = mimi.decode(codes)
        with mimi.streaming(1):
            pieces = pcm.split([n * FRAME for n in chunks], dim=-1)
            streamed = torch.cat([mimi.encode(piece) for piece in pieces], dim=-1)
            steps = codes.split(list(chunks), dim=-1)
            spoken = torch.cat([mimi.decode(step) for step in steps], dim=-1)
    assert len(codes.unique()) > 8
    assert torch.equal(streamed, codes)
    torch.testing.assert_close(spoken, audio[..., : spoken.shape[-1]], atol=1e-5, rtol=1e-4)


def test_a_long_call_neither_drifts_nor_grows(engine: DuplexEngine) -> None:
    """Packets of 20 ms with jitter, far past the context: frames in are frames out, always."""
    rng = np.random.default_rng(6)
    call, neighbour = engine.join(), engine.join()
    engine.tick()
    held = streaming_bytes(engine._batch.mimi, engine._batch.gen)
    packets = [speech(rng, 480) for _ in range(16)]
    late, given = 0, 0
    for i in range(SOAK_FRAMES):
        due = 4 + late
        late = int(rng.integers(0, 3)) if i < SOAK_FRAMES - 1 else 0  # packets not yet here
        for k in range(due - late):
            call.push(packets[(i + k) % 16])
        engine.tick()
        neighbour.take()
        frames = call.take()
        given += len(frames)
        assert all(np.isfinite(frame.pcm).all() for frame in frames)
        assert all(len(frame.pcm) == FRAME for frame in frames)
    box = call.input
    assert SOAK_FRAMES > 4 * CONTEXT
    assert given == call.counters.given == call.counters.fed == SOAK_FRAMES
    assert box.received == SOAK_FRAMES * FRAME
    assert box.dropped == 0
    assert box.received + box.silence * FRAME == given * FRAME + box.waiting
    assert box.silence <= 1  # one frame of patience absorbs this jitter for good
    assert streaming_bytes(engine._batch.mimi, engine._batch.gen) == held


def test_output_never_reaches_the_next_caller_of_the_slot(engine: DuplexEngine) -> None:
    first = engine.join()
    for _ in range(4):
        first.push(speech(np.random.default_rng(1)))
        engine.tick()
    first.leave()
    second = engine.join()
    assert second.slot == first.slot
    assert second.generation > first.generation
    first.push(speech(np.random.default_rng(1)))
    first.leave()
    engine.release(first, LEFT)  # late news of the old call does not end the new one
    assert second.ended is None
    engine.tick()
    assert (first.take(), second.take()) == ([], [])
    engine.tick()
    assert first.take() == []
    assert len(second.take()) == 1


def test_nothing_a_caller_said_stays_in_memory(engine: DuplexEngine) -> None:
    call = engine.join()
    for _ in range(3):
        call.push(speech(np.random.default_rng(2)))
        engine.tick()
    states = {
        **engine._batch.mimi.get_streaming_state(),
        **engine._batch.gen.lm_model.get_streaming_state(),
    }
    caches = [s.kv_cache.cache for s in states.values() if getattr(s, "kv_cache", None)]
    assert len(caches) == 4
    assert all(cache[:, call.slot].any() for cache in caches)
    call.leave()
    assert not any(cache[:, call.slot].any() for cache in caches)


def test_numbers_that_break_end_one_call_only(engine: DuplexEngine) -> None:
    rng = np.random.default_rng(7)
    script = Script(1, "a", None, [[speech(rng)] for _ in range(10)])
    undisturbed = alone(engine, script)
    broken, healthy = engine.join("b"), engine.join("a")
    heard: list[Frame] = []
    after = healthy
    for i, pushes in enumerate(script.pushes):
        if i == 4:
            set_condition(engine._batch.gen, broken.slot, torch.full((1, 1, 32), float("nan")))
        healthy.push(pushes[0])
        engine.tick()
        heard += healthy.take()
        if i == 4:
            assert broken.ended == NOT_FINITE
            assert len(broken.take()) == 3  # what was said before stays; nothing of the broken tick
            # The poisoned slot goes to a new caller, who is as well as anyone.
            after = engine.join("a")
            assert after.slot == broken.slot
    assert after is not healthy
    assert healthy.ended is None
    assert after.ended is None
    assert same(heard, undisturbed)
    fresh = Script(0, "a", None, [[] for _ in range(5)])
    assert same(after.take(), alone_after_leaving(engine, [healthy, after], fresh))


def alone_after_leaving(engine: DuplexEngine, calls: list[Call], script: Script) -> list[Frame]:
    for call in calls:
        call.leave()
    return alone(engine, script)


def test_finishing_plays_out_the_acoustic_delay(engine: DuplexEngine) -> None:
    rng = np.random.default_rng(8)
    call = engine.join()
    call.push(speech(rng, 2 * FRAME + 100))
    call.finish()
    call.finish()
    with pytest.raises(ValueError, match="after the end"):
        call.push(speech(rng))
    ticks = 0
    while call.ended is None:
        engine.tick()
        ticks += 1
    assert call.ended == FINISHED
    assert ticks == 1 + 3 + engine.delay  # the model's start, three frames heard, the tail
    assert len(call.take()) == 3 + engine.delay
    assert engine.tick() == 0


def test_slots_and_names_are_refused_in_words(engine: DuplexEngine) -> None:
    with pytest.raises(UnknownCondition, match="robot"):
        engine.join("robot")
    with pytest.raises(UnknownCondition, match="positive"):
        engine.join({"a": 0.0})
    assert engine.calls == []
    for _ in range(SLOTS):
        engine.join()
    with pytest.raises(SlotsFull, match="all 3 slots"):
        engine.join()


def test_voices_differ_and_mix(engine: DuplexEngine) -> None:
    rng = np.random.default_rng(10)
    pushes = [[speech(rng)] for _ in range(12)]

    def heard(voice) -> list[Frame]:
        call, frames = engine.join(voice), []
        for push in pushes:
            call.push(push[0])
            engine.tick()
            frames += call.take()
        call.leave()
        return frames

    a, b, mixed = heard("a"), heard("b"), heard({"a": 3, "b": 1})
    assert not same(a, b)
    assert not same(mixed, a)
    assert not same(mixed, b)
    assert same(heard({"a": 2.0}), a)


def test_a_caller_who_does_not_listen_is_let_go(engine: DuplexEngine) -> None:
    deaf = engine.join()
    for _ in range(OUTPUT_FRAMES + 2):
        engine.tick()
    assert deaf.ended == NOT_TAKEN
    assert deaf.take() == []
    assert engine.calls == []


def test_missed_deadlines_are_counted_in_the_calls_that_suffered() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.03
        return now[0]

    engine = DuplexEngine(tiny_mimi(), tiny_lm(), slots=2, sampling=GREEDY, clock=clock)
    early = engine.join()
    engine.tick(deadline=now[0] + 1.0)
    late = engine.join()
    engine.tick(deadline=now[0] + 0.01)
    engine.count_missed(2)
    assert engine.last_tick == pytest.approx(0.03)
    assert (early.counters.missed, late.counters.missed) == (3, 3)
    late.leave()
    engine.tick(deadline=now[0] + 0.01)
    assert (early.counters.missed, late.counters.missed) == (4, 3)


def test_warming_up_leaves_no_trace(engine: DuplexEngine) -> None:
    rng = np.random.default_rng(11)
    script = Script(0, "a", None, [[speech(rng)] for _ in range(6)])
    undisturbed = alone(engine, script)
    call, heard = engine.join("a"), []
    for pushes in script.pushes:
        call.push(pushes[0])
        engine.warm_up(1)
        engine.tick()
        heard += call.take()
    assert same(heard, undisturbed)


def test_a_codec_of_another_model_is_refused() -> None:
    with pytest.raises(EngineMismatch, match="8 codebooks"):
        DuplexEngine(tiny_mimi(codebooks=8), tiny_lm(), slots=1)


def test_a_model_with_one_voice_says_so() -> None:
    engine = DuplexEngine(tiny_mimi(), tiny_lm(), slots=1, sampling=GREEDY)
    with pytest.raises(UnknownCondition, match="one voice only"):
        engine.join("a")
    assert engine.join().ended is None


def test_closing_gives_the_models_back() -> None:
    mimi, lm = tiny_mimi(), tiny_lm()
    first = DuplexEngine(mimi, lm, slots=1, sampling=GREEDY)
    call = first.join()
    first.close()
    assert call.ended == LEFT
    second = DuplexEngine(mimi, lm, slots=2, sampling=GREEDY)
    second.join()
    assert second.tick() == 1
