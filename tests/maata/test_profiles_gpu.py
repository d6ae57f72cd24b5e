"""The GPU profiles: they parse, name real places, and promise no more than the cards allow."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.plan.floors import GOOD_KERNELS, PRECISIONS, shape_of
from benchmarks.plan.gpus import load_gpus
from maata.doctor_capacity import cascade_calls, precision_of
from maata.fetch import wanted
from maata.profile import PROFILES, load_profile
from models.base_language import notice
from models.weights import parse_hub

GPUS = ("l4", "a40", "h100")
# Of the card, where both engines lie on it; as the profiles tell vLLM.
VLLM_SHARE = {"l4": 0.0, "a40": 0.2, "h100": 0.12}
WHISPER_GB = 3.1  # 1.55e9 parameters of large-v2 in float16


@pytest.mark.parametrize("name", GPUS)
def test_they_parse_and_run_on_the_gpu(name: str):
    profile = load_profile(name)
    assert (profile.name, profile.engine) == (name, "cascade")
    assert profile.cascade.asr.device == profile.s2s.device == "cuda"
    assert profile.cascade.llm.backend == "openai"
    assert profile.s2s.captions == profile.cascade.asr.model  # one recogniser for both engines


@pytest.mark.parametrize("name", GPUS)
def test_slots_and_calls_stay_below_the_floors(name: str):
    profile, gpu = load_profile(name), load_gpus().get(name)
    shape = shape_of(profile.s2s.model)
    assert shape is not None
    precision = PRECISIONS[precision_of(profile.s2s)]
    assert profile.s2s.slots <= shape.calls_in_time(precision, gpu, GOOD_KERNELS)
    weights = shape.parameters * precision.weight
    histories = profile.s2s.slots * shape.context * shape.cached_per_frame * precision.cached
    beside = WHISPER_GB * 1e9 + VLLM_SHARE[name] * gpu.memory_gb * 1e9
    assert weights + histories + beside < gpu.memory_gb * 1e9
    calls = cascade_calls(profile, gpu)
    assert profile.limits.max_calls <= calls


def test_an_l4_cannot_hold_a_step_in_bf16():
    """Why its profile is the only one with 8-bit weights."""
    shape, l4 = shape_of("moshiko"), load_gpus().get("l4")
    assert shape is not None
    assert shape.calls_in_time(PRECISIONS["bf16"], l4, GOOD_KERNELS) == 0
    assert "q8" in load_profile("l4").s2s.model
    assert load_profile("l4").s2s.adapters == {}  # LoRA and 8-bit weights exclude each other


@pytest.mark.parametrize("name", GPUS)
def test_what_is_pinned_is_a_whole_commit_and_the_rest_says_so(name: str):
    text = (PROFILES / f"{name}.toml").read_text(encoding="utf-8")
    for line, before in _addresses(text):
        _, revision = parse_hub(line)
        if revision is None:
            assert "Unpinned" in before, line
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", revision), line
    assert "predicted" in text
    assert "Trained on English alone" in text


def _addresses(text: str) -> list[tuple[str, str]]:
    """Every address of a `model`, and the comment above it."""
    found, comment = [], ""
    for line in text.splitlines():
        if line.startswith("#"):
            comment += line
        elif match := re.match(r'model = "(hf://[^"]+)"', line):
            found.append((match[1], comment))
        else:
            comment = ""
    return found


@pytest.mark.parametrize("name", GPUS)
def test_fetch_finds_all_of_it_and_the_model_of_vllm(name: str):
    addresses = [w.address for w in wanted(load_profile(name))]
    assert "hf://meta-llama/Llama-3.2-1B-Instruct" in addresses
    assert any("moshiko" in a for a in addresses)
    assert len(addresses) == 3


@pytest.mark.parametrize("name", GPUS)
def test_base_moshi_is_said_to_answer_in_english(name: str):
    s2s = load_profile(name).s2s
    assert "it answers in English; the cascade answers in Telugu" in notice(s2s.model, s2s.adapters)


def test_the_notice_is_only_for_who_needs_it():
    assert notice("starter/s2s") == ""
    assert notice("hf://kyutai/moshiko-pytorch-bf16", {"telugu": "x"}) == ""
    assert "in Hindi" in notice("hf://JoshTalksAI/Human-1")


def test_no_profile_holds_a_key_or_the_name_of_a_registry():
    for path in Path(PROFILES).glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        assert not re.search(r"hf_[A-Za-z0-9]{8,}|https?://(?!127\.0\.0\.1)", text), path
