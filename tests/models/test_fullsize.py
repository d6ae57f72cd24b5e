"""What a plan times is what is served: same tokens, same ages, same greedy choices."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig
from transformers import WhisperForConditionalGeneration as Whisper
from transformers.cache_utils import EncoderDecoderCache, StaticCache

from models.duplex import DuplexEngine
from models.duplex_batch import Sampling
from models.fullsize import Worker
from models.fullsize_cascade import Decoding
from models.fullsize_clock import Clock, bandwidth, figures
from models.fullsize_moshi import Moshi, soak, sweep_point
from models.fullsize_shapes import tiny

SEED, FRAMES = 7, 12


@pytest.fixture(scope="module")
def moshi() -> Moshi:
    torch.set_num_threads(1)
    return Moshi(tiny(), device="cpu", dtype="float32", seed=3)


def speech(frame: int) -> np.ndarray:
    """float32 [FRAMES, 2, 1, frame]"""
    return np.random.default_rng(5).normal(0, 0.3, (FRAMES, 2, 1, frame)).astype(np.float32)


def test_a_tick_is_the_engines(moshi):
    pcm = speech(moshi.mimi.frame_size)
    tokens, sound = [], []
    with moshi.open(2, moshi.context, seed=SEED) as sessions:
        for frame in pcm:
            answers = sessions.tick(frame)
            tokens.append(answers.tokens)
            sound.append(answers.pcm)
    engine = DuplexEngine(moshi.mimi, moshi.lm, slots=2, sampling=Sampling(seed=SEED))
    calls = [engine.join(), engine.join()]
    for number, frame in enumerate(pcm):
        for call, samples in zip(calls, frame[:, 0], strict=True):
            if number:  # a call's first step hears nothing
                call.push(samples)
        engine.tick()
    for slot, call in enumerate(calls):
        given = call.take()
        delay = engine.delay
        assert len(given) == FRAMES - 1
        assert [f.text_token for f in given[delay:]] == [int(t[slot]) for t in tokens[1 + delay :]]
        for served, timed in zip(given[delay:], sound[1 + delay :], strict=True):
            np.testing.assert_array_equal(served.pcm, timed[slot])
        assert len({f.text_token for f in given}) > 2
    engine.close()


def test_another_seed_gives_other_tokens(moshi):
    """Else the test above could not fail."""
    said = []
    for seed in (1, 2):
        with moshi.open(2, moshi.context, seed=seed) as sessions:
            said.append([sessions.tick().tokens.tolist() for _ in range(FRAMES)])
    assert said[0] != said[1]


@pytest.mark.parametrize("frames", [5, 30])  # before and after the cache goes round
def test_ageing_is_what_stepping_does_to_the_counters(moshi, frames):
    def counters(sessions) -> dict[str, list[int]]:
        found = {"lm": sessions._batch.gen._streaming_state.offsets.tolist()}
        for name, part in moshi.lm.get_streaming_state().items():
            for key in ("offset", "offsets"):
                if isinstance(value := getattr(part, key, None), torch.Tensor):
                    found[f"{name}.{key}"] = value.tolist()
            if (kv := getattr(part, "kv_cache", None)) is not None:
                found[f"{name}.kv"] = kv.end_offset.tolist()
        return found

    with moshi.open(2, moshi.context) as sessions:
        for _ in range(frames):
            sessions.tick()
        stepped = counters(sessions)
    with moshi.open(2, moshi.context) as sessions:
        sessions.tick()
        sessions.age(frames)
        assert counters(sessions) == stepped
        assert len(stepped) > 4
        sessions.tick()
        assert not sessions.bad


def test_a_point_has_every_age_and_every_part(moshi):
    rows = list(
        sweep_point(
            moshi, Clock("cpu"), batch=2, context=12, histories={0: 20, 12: 20}, seconds=0.05
        )
    )
    assert [r["history"] for r in rows if r["stage"] == "tick"] == [0, 12]
    parts = {r["stage"]: r for r in rows}
    assert {"encode", "lm", "temporal", "depformer", "decode"} < parts.keys()
    weights = moshi.read_bytes()
    assert weights["lm"] == weights["temporal"] + weights["depformer"]
    # 2 layers x keys and values x 32 numbers of 4 bytes, 12 frames, 2 calls
    assert parts["tick"]["cached_bytes"] == 2 * 2 * 32 * 4 * 12 * 2
    assert parts["temporal"]["p50_ms"] + parts["depformer"]["p50_ms"] < parts["lm"]["max_ms"]
    assert moshi.lm.transformer.layers[0].self_attn.context == moshi.context


def test_weights_of_a_step_are_all_but_the_embeddings(moshi):
    gathered = [*moshi.lm.emb, moshi.lm.text_emb, *moshi.lm.depformer_emb]
    gathered.append(moshi.lm.depformer_text_emb)
    skipped = sum(p.numel() for module in gathered for p in module.parameters())
    everything = sum(p.numel() for p in moshi.lm.parameters())
    assert moshi.read_bytes()["lm"] == 4 * (everything - skipped)


class Watch:
    """A clock that moves when slept on or worked for."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 0.001
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_a_soak_counts_the_deadlines_it_misses(moshi):
    watch = Watch()
    slow = dataclasses.replace(Clock("cpu"), now=watch)
    rows = list(soak(moshi, slow, batch=1, context=24, seconds=0.8, window=0.4, sleep=watch.sleep))
    assert [r["stage"] for r in rows] == ["window", "window", "soak"]
    assert rows[-1]["n"] == 10
    assert rows[-1]["missed"] == 0

    def stall(seconds: float) -> None:
        watch.sleep(seconds + (0.1 if 0.25 < watch.at - began < 0.35 else 0.0))

    began = watch.at
    rows = list(soak(moshi, slow, batch=1, context=24, seconds=0.8, window=0.4, sleep=stall))
    assert rows[-1]["missed"] >= 1
    assert rows[-1]["late_ms"] > 0


def whole(model, ids: torch.Tensor, tokens: int, **more) -> list[list[int]]:
    """Greedy tokens by running everything again for each of them; [tokens][B]"""
    found = []
    name = "decoder_input_ids" if more else "input_ids"
    for _ in range(tokens):
        with torch.inference_mode():
            logits = model(**{name: ids}, **more, use_cache=False).logits
        best = logits[:, -1].argmax(-1, keepdim=True)
        found.append(best[:, 0].tolist())
        ids = torch.cat([ids, best], 1)
    return found


def decoded(decoding: Decoding, ids: torch.Tensor, tokens: int) -> list[list[int]]:
    decoding.prefill(ids)
    return [decoding.first(), *(decoding.step() for _ in range(tokens - 1))]


def test_llamas_static_cache_changes_no_token():
    torch.manual_seed(0)
    (config,) = tiny().llama.values()
    model = LlamaForCausalLM(LlamaConfig(**config, initializer_range=0.5)).eval()
    cache = StaticCache(config=model.config, max_cache_len=24)
    decoding = Decoding(model, cache, batch=2, clock=Clock("cpu"), positions="position_ids")
    for _ in range(2):  # a second turn on the same caches
        ids = torch.randint(3, 64, (2, 9))
        want = whole(model, ids, 8)
        assert decoded(decoding, ids, 8) == want
        assert len({t for step in want for t in step}) > 3


def test_whispers_static_caches_change_no_token():
    torch.manual_seed(1)
    (config,) = tiny().whisper.values()
    model = Whisper(WhisperConfig(**config, init_std=0.5)).eval()
    length = model.config.max_source_positions
    heard = torch.zeros(2, length, model.config.d_model)

    def forward(ids: torch.Tensor, **rest):
        return model(decoder_input_ids=ids, encoder_outputs=(heard,), **rest)

    cache = EncoderDecoderCache(
        StaticCache(config=model.config, max_cache_len=16),
        StaticCache(config=model.config, max_cache_len=length),
    )
    decoding = Decoding(
        forward, cache, batch=2, clock=Clock("cpu"), positions="decoder_position_ids"
    )
    ids = torch.randint(3, 64, (2, 4))
    seen = []
    for _ in range(2):  # another utterance on the same caches
        with torch.inference_mode():
            heard.copy_(model.get_encoder()(torch.randn(2, 8, 2 * length)).last_hidden_state)
        seen.append(decoded(decoding, ids, 8))
        assert seen[-1] == whole(model, ids, 8, encoder_outputs=(heard,))
    assert seen[0] != seen[1]


def test_percentiles_are_measurements():
    row = figures([float(n) for n in range(1, 101)])
    assert (row["n"], row["p50_ms"], row["p99_ms"], row["max_ms"]) == (100, 51.0, 100.0, 100.0)
    assert figures([3.0])["p99_ms"] == 3.0


def test_bandwidth_counts_what_was_moved():
    # Large enough that a time is many of the tenths of a microsecond to which rows are rounded.
    copy, read = bandwidth(Clock("cpu"), 2**25, 5, 0.5)
    assert copy["read_bytes"] == 2 * read["read_bytes"] == 2 * 2**25
    fastest = copy["read_bytes"] / (min(copy["ms"]) * 1e6)
    assert 0 < copy["gb_s"] <= fastest * 1.01


def test_the_codec_of_a_plan_has_codes(moshi):
    """With the library's own codebooks, all zero, every code would be 0."""
    with torch.no_grad():
        codes = moshi.mimi.encode(torch.randn(1, 1, 4 * moshi.mimi.frame_size))
    assert len(codes.unique()) > 1


@pytest.mark.parametrize(
    ("point", "stages"),
    [
        (
            {"part": "whisper", "shape": "whisper-tiny-test", "tokens": 4, "dtype": "float32"},
            {"encode": 1, "prompt": 1, "token": 3, "turn": 1},
        ),
        (
            {"part": "llama", "shape": "llama-tiny-test", "prompt": 8, "tokens": 4}
            | {"dtype": "float32"},
            {"prompt": 1, "token": 3, "turn": 1},
        ),
        ({"part": "speecht5", "steps": 4}, {"encode": 1, "step": 4, "vocoder": 1, "turn": 1}),
    ],
)
def test_a_turn_is_its_stages(point, stages):
    worker = Worker(tiny=True)
    rows = list(worker.run({"batches": [1, 2], "seconds": 0.01} | point))
    for batch in (1, 2):
        found = {r["stage"]: r for r in rows if r["batch"] == batch}
        assert found.keys() == stages.keys()
        turns = found["turn"]["n"]
        assert {name: row["n"] / turns for name, row in found.items()} == stages
        spent = [sum(row["ms"]) for name, row in found.items() if name != "turn"]
        assert sum(found["turn"]["ms"]) == pytest.approx(sum(spent), abs=0.01)


def test_a_spoilt_process_does_no_other_point():
    """After a CUDA graph that could not be captured, random numbers fail in the process."""
    code = (
        "import sys, models.fullsize as f\n"
        "def spoil(self, point):\n"
        "    self.clock.spoilt = True\n"
        "    yield {'stage': 'tick'}\n"
        "f.Worker.run = spoil\n"
        "sys.argv = ['fullsize', '--tiny']\n"
        "sys.exit(f.main())"
    )
    told = json.dumps({"part": "moshi"}) + "\n"
    said = subprocess.run(
        [sys.executable, "-c", code], input=told * 2, capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert answers == [{"row": {"stage": "tick"}}, {"done": True, "over": True}]


def test_a_worker_names_what_it_can_time():
    with pytest.raises(ValueError, match="no part 'nonsense': bandwidth, moshi"):
        list(Worker(tiny=True).run({"part": "nonsense"}))
