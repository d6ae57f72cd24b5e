"""Directories of a Moshi: ours read by the library, the library's read by us, bad ones named."""

import copy
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from moshi.conditioners.base import ConditionAttributes
from moshi.models import loaders
from moshi.models.lm import LMModel
from moshi.utils.compile import no_compile
from moshi.utils.quantize import replace_linear_with_qlinear
from safetensors.torch import load_file, save_file

from models import moshi_checkpoint
from models.moshi_checkpoint import (
    WEIGHTS,
    CodecFiles,
    CodecMismatch,
    fingerprint,
    load,
    read,
    require_codec,
    save,
)
from models.moshi_config import (
    CheckpointInvalid,
    Config,
    build,
    published_config,
    with_conditioners,
)
from models.voices import EMOTIONS, VOICES
from models.weights import WeightsMissing
from tests.models.tiny_moshi import CARD, CODEBOOKS, tiny_mimi
from tests.training.words import WORDS
from training.moshi_preset import Shape
from training.moshi_tokenizer import train

SHAPE = Shape(32, 2, 2, 24, 16, 1, 2)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer_spm_1k_te.model"
    path.write_bytes(train([f"{a} {b}" for a in WORDS for b in WORDS], 500))
    return path


@pytest.fixture(scope="module")
def config() -> Config:
    return SHAPE.config(500, CODEBOOKS, CARD)


@pytest.fixture(scope="module")
def lm(config: Config) -> LMModel:
    torch.manual_seed(3)
    return build(config)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> CodecFiles:
    """A codec in the published layout."""
    path = tmp_path_factory.mktemp("codec") / "tokenizer-tiny.safetensors"
    mimi = tiny_mimi()
    save_file(mimi.state_dict(), path)
    return CodecFiles(path, tiny_mimi_config())


def tiny_mimi_config() -> Config:
    config = copy.deepcopy(loaders._mimi_config)
    config["seanet"].update(dimension=16, n_filters=2, ratios=[32, 30])
    config["quantizer"].update(
        dimension=8, n_q=CODEBOOKS, bins=CARD, input_dimension=16, output_dimension=16
    )
    config["transformer"].update(
        d_model=16,
        num_heads=2,
        num_layers=1,
        dim_feedforward=32,
        context=20,
        input_dimension=16,
        output_dimensions=[16],
    )
    return config


@pytest.fixture
def directory(
    lm: LMModel, config: Config, tokenizer: Path, codec: CodecFiles, tmp_path: Path
) -> Path:
    return save(lm, config, tokenizer, tmp_path / "s2s", codec=codec, dtype=torch.float32)


def text_logits(lm: LMModel, voice: str | None = "priya") -> torch.Tensor:
    codes = torch.arange(2 * lm.num_codebooks * 6).reshape(2, -1, 6) % lm.card
    conditions = None
    if lm.condition_provider is not None:
        asked = ConditionAttributes(text={"voice": voice, "emotion": "calm"})
        conditions = lm.condition_provider.prepare_and_provide([asked, asked])
    with torch.no_grad(), no_compile():
        return lm(codes, conditions).text_logits


def test_what_is_saved_is_what_is_loaded(directory: Path, lm: LMModel, tokenizer: Path) -> None:
    info = read(directory)
    again = load(info)
    assert torch.equal(text_logits(again), text_logits(lm))
    assert not again.training
    assert info.tokenizer.read_bytes() == tokenizer.read_bytes()
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.json",
        "mimi_config.json",
        "model.safetensors",
        "tokenizer-tiny.safetensors",
        "tokenizer_spm_1k_te.model",
    ]


@pytest.mark.slow  # the library's way to load imports torch's compiler
def test_stock_loaders_read_the_directory(
    directory: Path, lm: LMModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it lay on the hub: the library asks for files by the names config.json gives."""
    monkeypatch.setattr(
        loaders, "hf_hub_download", lambda repo, name, revision=None: str(directory / name)
    )
    info = loaders.CheckpointInfo.from_hf_repo("maata/s2s-te")
    stock = info.get_moshi(dtype=torch.float32)
    assert torch.equal(text_logits(stock), text_logits(lm))
    mimi = info.get_mimi()
    pcm = torch.randn(1, 1, 1920 * 3)
    with torch.no_grad(), no_compile():
        assert torch.equal(mimi.encode(pcm), tiny_mimi().encode(pcm))
    assert info.get_text_tokenizer().id_to_piece(3) == "<pad>"
    assert info.model_type == "moshi"


def test_the_published_layout_is_read_without_a_config(
    directory: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older repositories have no config.json and keep attention's projections in one tensor."""
    config = published_config() | {"dim": 32, "num_heads": 2, "num_layers": 2, "text_card": 40}
    config |= {"depformer_dim": 16, "depformer_dim_feedforward": 32, "depformer_num_heads": 2}
    config |= {"depformer_num_layers": 1, "card": CARD, "context": 20}
    torch.manual_seed(5)
    published = build(config)
    old: dict[str, torch.Tensor] = {}
    steps: dict[str, list[torch.Tensor]] = {}
    for name, value in published.state_dict().items():
        prefix, marked, rest = name.partition("_projs.")
        if marked:  # of every depformer step, joined as they were stored
            stored = f"{prefix}_proj{'_weight' if prefix.endswith('in') else '.weight'}"
            steps.setdefault(stored, []).append(value)
        else:
            old[name] = value
    old |= {name: torch.cat(values) for name, values in steps.items()}
    folder = tmp_path / "moshiko"
    folder.mkdir()
    save_file(
        {name: value.contiguous() for name, value in old.items()}, folder / "model.safetensors"
    )
    shutil.copyfile(tokenizer, folder / "tokenizer_spm_32k_3.model")
    monkeypatch.setattr("models.moshi_checkpoint.published_config", lambda: copy.deepcopy(config))
    info = read(folder)
    assert info.mimi_weights.name == "tokenizer-e351c8d8-checkpoint125.safetensors"
    again = load(info)
    for (name, ours), theirs in zip(
        again.state_dict().items(), published.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_half_precision_keeps_conditioners_whole(
    lm: LMModel, config: Config, tokenizer: Path, tmp_path: Path
) -> None:
    folder = save(lm, config, tokenizer, tmp_path / "half")
    stored = load_file(folder / "model.safetensors")
    assert {v.dtype for n, v in stored.items() if n.startswith("condition_provider.")} == {
        torch.float32
    }
    assert stored["text_emb.weight"].dtype == torch.float16
    torch.testing.assert_close(text_logits(load(read(folder))), text_logits(lm), atol=0.02, rtol=0)


def test_eight_bits_say_nearly_the_same_in_half_the_bytes(
    lm: LMModel, config: Config, tokenizer: Path, tmp_path: Path
) -> None:
    half = save(lm, config, tokenizer, tmp_path / "half")
    folder = save(lm, config, tokenizer, tmp_path / "int8", int8=True)
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, half)]
    assert sizes[0] < 0.8 * sizes[1]  # the tiny model's small matrices stay as they are
    again = load(read(folder))
    for name, value in lm.state_dict().items():
        if value.ndim > 1:  # half a step of the row's own scale
            limit = value.flatten(1).abs().amax(1).max() / 127 * 0.51 + 1e-3
            assert (again.state_dict()[name] - value).abs().max() <= limit, name
    torch.testing.assert_close(text_logits(again), text_logits(lm), atol=0.05, rtol=0)


def test_eight_bits_with_lora_are_refused(directory: Path, lm: LMModel) -> None:
    raw = json.loads((directory / "config.json").read_text())
    raw |= {"stored": "int8-rows", "lora_name": "lora.safetensors"}
    (directory / "config.json").write_text(json.dumps(raw))
    save_file({"x": torch.zeros(1)}, directory / "lora.safetensors")
    with pytest.raises(CheckpointInvalid, match="8 bits.* store it in 16"):
        load(read(directory))


def rows_in_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
    """What bitsandbytes computes, which needs its own GPU kernels: int8 rows, their maxima."""
    scales = weight.float().abs().amax(1)
    return (weight / scales[:, None] * 127).round().to(torch.int8), scales, None


def test_scales_of_a_quantised_moshi_stay_whole(
    directory: Path, lm: LMModel, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published 8-bit layout in bfloat16: matrices in int8, a float32 scale for each row."""
    library, functional = ModuleType("bitsandbytes"), ModuleType("bitsandbytes.functional")
    functional.int8_vectorwise_quant = rows_in_int8  # pyright: ignore[reportAttributeAccessIssue]
    library.functional = functional  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "bitsandbytes", library)
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", functional)
    monkeypatch.setattr(moshi_checkpoint, "_SMALL", 0)  # as a large one is loaded
    quantised = copy.deepcopy(lm)
    replace_linear_with_qlinear(quantised)
    scales = {k: v for k, v in quantised.state_dict().items() if k.endswith("weight_scb")}
    assert len(scales) > 10
    save_file({k: v.contiguous() for k, v in quantised.state_dict().items()}, directory / WEIGHTS)
    raw = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(raw | {"quantize": True}))
    found = load(read(directory), dtype=torch.bfloat16).state_dict()
    assert found["text_emb.weight"].dtype == torch.bfloat16
    for name, value in scales.items():
        assert found[name].dtype == torch.float32, name
        assert torch.equal(found[name], value), name


def test_voices_and_emotions_are_the_projects(config: Config, lm: LMModel) -> None:
    kinds = config["conditioners"]
    assert kinds["voice"]["lut"]["possible_values"] == [voice.id for voice in VOICES]
    assert kinds["emotion"]["lut"]["possible_values"] == list(EMOTIONS)
    heard = {str(text_logits(lm, v)[0, 0, 0, :3]) for v in ("arjun", "ravi", "priya", None)}
    assert len(heard) == 4
    assert with_conditioners(config) == config  # and building left the config alone


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_spm_1k_te.model"])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(WeightsMissing, match=f"{name} is missing .*fetch the directory again"):
        read(directory)


def test_weights_of_another_shape_are_refused(directory: Path) -> None:
    written = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(written | {"text_card": 700}))
    with pytest.raises(CheckpointInvalid, match=r"size mismatch.*text.*one revision"):
        load(read(directory))


def test_a_damaged_file_is_refused(directory: Path) -> None:
    whole = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointInvalid, match=r"model\.safetensors"):
        load(read(directory))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "no JSON"), ("[1]", "names no text_card"), ('{"dim": 3}', "names no text_card")],
)
def test_a_config_that_is_none_is_refused(directory: Path, text: str, reason: str) -> None:
    (directory / "config.json").write_text(text)
    with pytest.raises(CheckpointInvalid, match=reason):
        read(directory)


def test_an_unknown_setting_is_named(directory: Path) -> None:
    written = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(written | {"antennas": 2}))
    with pytest.raises(CheckpointInvalid, match="antennas"):
        load(read(directory))


def test_a_missing_tensor_is_refused(directory: Path) -> None:
    stored = load_file(directory / "model.safetensors")
    stored.pop("text_linear.weight")
    save_file(stored, directory / "model.safetensors")
    with pytest.raises(CheckpointInvalid, match=r"text_linear\.weight"):
        load(read(directory))


def test_another_codec_is_refused(directory: Path, codec: CodecFiles) -> None:
    info = read(directory)
    own = fingerprint(codec.weights)
    require_codec(info, codebooks=CODEBOOKS, cardinality=CARD, codec_id=own)
    require_codec(info, codebooks=CODEBOOKS, cardinality=CARD)  # nobody knows which
    with pytest.raises(CodecMismatch, match="8 codebooks of 32 entries"):
        require_codec(info, codebooks=8, cardinality=CARD)
    with pytest.raises(CodecMismatch, match=f"trained on the codes of {own}"):
        require_codec(info, codebooks=CODEBOOKS, cardinality=CARD, codec_id="0" * 16)


def test_the_config_of_another_model_is_not_written(
    lm: LMModel, config: Config, tokenizer: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointInvalid):
        save(lm, config | {"text_card": 9}, tokenizer, tmp_path / "s2s")
    assert not (tmp_path / "s2s").exists()


def test_a_shape_that_cannot_be_is_refused(config: Config) -> None:
    with pytest.raises(CheckpointInvalid, match="delays"):
        build(config | {"delays": [0, 1]})
