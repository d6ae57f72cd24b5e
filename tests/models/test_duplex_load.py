"""The engine from directories: what belongs together is loaded, what does not is refused."""

from pathlib import Path

import numpy as np
import pytest

from models import codec, duplex_load, moshi_checkpoint
from models.adapters import AdapterMissing
from models.adapters_bank import UnknownAdapter
from models.admission import TickCurve
from models.codec import CodecError
from models.duplex import DuplexEngine
from models.duplex_load import load, slot_bytes
from models.duplex_streams import DuplexStreams
from models.host_engine import OpenRefused
from models.host_messages import Chunk
from models.moshi_checkpoint import CodecMismatch
from models.weights import WeightsMissing
from tests.models import tiny_directory
from tests.models.tiny_moshi import tiny_mimi, tiny_mimi_config

PATIENT = 60.0  # seconds a step may take where every core is taken
GREEDY = {"temperature": 0.0, "temperature_text": 0.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_directory.write(tmp_path_factory.mktemp("load"))


def made(weights: tuple[Path, Path], **options: object) -> DuplexStreams:
    settings = {"slots": 1, "threads": 1, "budget": PATIENT, **GREEDY, **options}
    return load(str(weights[0]), str(weights[1]), **settings)  # pyright: ignore[reportArgumentType]


def answer(streams: DuplexStreams, **options: str) -> list[tuple[int, ...]]:
    """The text tokens of a call that hears one second of noise."""
    stream = streams.open(dict(options))
    pcm = np.random.default_rng(0).integers(-9000, 9000, 24_000).astype("<i2")
    stream.push(Chunk(pcm=pcm.tobytes()))
    tokens = []
    for _ in range(12):
        streams.tick(None)
        tokens += [chunk.tokens for chunk in stream.take()]
    stream.close()
    return tokens


def test_a_directory_is_served(weights: tuple[Path, Path]) -> None:
    streams = made(weights)
    assert streams.health()["slots"] == 1
    assert len(answer(streams, voice="ravi", emotion="sad")) == 11
    with pytest.raises(ValueError, match="hal"):
        streams.open({"voice": "hal"})
    streams.open({"voice": "ravi"})
    with pytest.raises(OpenRefused, match="1 places"):
        streams.open({"voice": "ravi"})


def test_adapters_change_the_answer_fused_or_by_name(
    weights: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter = str(tiny_directory.write_adapter(tmp_path, weights[0], "doctor"))
    plain = answer(made(weights), voice="priya")
    served = made(weights, adapters={"doctor": adapter})
    assert answer(served, voice="priya") == plain
    changed = answer(served, voice="priya", adapter="doctor")
    assert changed != plain
    fused = made(weights, adapters={"doctor": adapter}, fuse="doctor")
    assert answer(fused, voice="priya") == changed
    with pytest.raises(UnknownAdapter):
        fused.open({"adapter": "doctor"})


@pytest.mark.parametrize(("budget", "slots"), [(0.095, 8), (0.094, 4), (0.025, 2), (0.001, 1)])
def test_a_slow_machine_gets_as_many_slots_as_let_one_call_keep_time(
    weights: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budget: float,
    slots: int,
) -> None:
    """Ten milliseconds a slot, whoever is in it: what an idle slot costs on a CPU. Of the
    budget 85 % may be taken before anybody else shares the machine."""

    def slow(engine: DuplexEngine, *, enough: float) -> TickCurve:
        assert enough == budget
        return TickCurve({1: 0.01 * engine.slots})

    adapter = str(tiny_directory.write_adapter(tmp_path, weights[0], "doctor"))
    told = answer(made(weights, adapters={"doctor": adapter}), adapter="doctor")
    monkeypatch.setattr(duplex_load, "measure", slow)
    streams = made(weights, slots=8, budget=budget, adapters={"doctor": adapter})
    assert streams.health()["slots"] == slots
    if 0.01 * slots > budget:
        with pytest.raises(OpenRefused, match="10 ms"):
            streams.open({})
    else:
        assert answer(streams, adapter="doctor") == told  # it was taken apart and put together


def test_what_is_missing_or_foreign_is_refused_with_the_remedy(
    weights: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissing, match="fetch"):
        load(str(tmp_path), str(weights[1]))
    with pytest.raises(CodecError, match=r"config\.json"):
        load(str(weights[0]), str(tmp_path))
    with pytest.raises(AdapterMissing, match="nothing"):
        made(weights, adapters={"nothing": str(tmp_path / "nothing")})
    other = codec.save(tiny_mimi(seed=9), {**tiny_mimi_config(), "codebooks": 4}, tmp_path / "c")
    with pytest.raises(CodecMismatch, match="trained on the codes of"):
        load(str(weights[0]), str(other))


def test_a_slot_s_memory_is_predicted(weights: tuple[Path, Path]) -> None:
    lm = moshi_checkpoint.load(moshi_checkpoint.read(weights[0]))
    with lm.streaming(3):
        caches = [
            part.kv_cache.cache
            for part in lm.get_streaming_state().values()
            if getattr(part, "kv_cache", None) is not None
        ]
        held = max(c.numel() * c.element_size() for c in caches) * len(lm.transformer.layers)
    assert slot_bytes(lm, caches[0].dtype) == held // 3
