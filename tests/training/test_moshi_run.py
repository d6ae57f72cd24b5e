"""The recipe itself, run with a tiny network: it trains, stops, goes on, exports, adapts."""

import copy
import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
import torch
from moshi.models import loaders

from models import adapters, adapters_lora, codec, moshi_checkpoint
from models.adapters_fit import Base
from models.moshi_checkpoint import CodecMismatch, load, read, save
from models.moshi_config import build
from models.moshi_text import MoshiText
from tests.models.test_moshi_checkpoint import text_logits
from tests.training.runs import rows
from tests.training.tiny_dialogues import write_codec
from training import moshi, moshi_start
from training.dialogues import Composer, intent_numbers
from training.moshi_budget import TextBudgetExceeded
from training.moshi_exam import TESTS
from training.moshi_preset import PRESETS, Lora, Preset
from training.moshi_run import MoshiRecipe
from training.moshi_tokenizer import train
from training.run import Run, carry_out

TINY = PRESETS["tiny"]
pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]  # where every core is taken


def texts(data: Path, seeds: int) -> list[str]:
    """The authored dialogues alone: enough of the language for a tiny model."""
    composer = Composer(0, noise=0.0, prompted=0.0)
    turns = [turn for _ in range(300) for turn in composer.conversation(6).turns]
    return [text for turn in turns for text in (turn.user, turn.reply)]


@pytest.fixture(autouse=True)
def _few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moshi_start, "training_texts", texts)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory and a codec."""
    root = tmp_path_factory.mktemp("place")
    (root / "data" / "text").mkdir(parents=True)
    write_codec(root / "codec")
    return root


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    """The tiny preset, from the command to the export."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moshi_start, "training_texts", texts)
        moshi.main("tiny", place / "data", str(place / "codec"), place / "run", device="cpu")
    return place / "run"


def test_the_recipe_notes_what_it_did(finished: Path) -> None:
    steps = [row["step"] for row in rows(finished) if "total" in row]
    assert steps == [1, 2, 3, 4]
    heard, scores = (row for row in rows(finished) if "total" not in row)
    written = {f"{name}_written_{test}" for name in ("cer", "unfitting") for test in TESTS}
    assert written < set(heard)
    assert (heard["step"], scores["step"]) == (2, 4)  # first it listens, then it speaks too
    spoken = [row["acoustic"] > 0 for row in rows(finished) if "total" in row]
    assert not any(spoken[:2])
    assert any(spoken[2:])  # what is only written has no sound either
    for name in ("cer_text", "cer_speech", "unfitting", "early", "silent"):
        for test in ("seen", "unseen"):
            assert f"{name}_{test}" in scores
    assert (finished / "learning_curve.svg").read_text().count("<polyline") == 8
    settings = json.loads((finished / "run.json").read_text())
    assert settings["preset"]["weights"]["first_codebook"] == 100.0
    assert settings["codec"]["codebooks"] == 8
    assert len(settings["git"]) in (7, 40)


def test_the_export_is_a_moshi_that_calls_can_use(finished: Path, place: Path) -> None:
    info = read(finished / "export")
    mimi = codec.load(place / "codec")
    moshi_checkpoint.require_codec(
        info,
        codebooks=mimi.num_codebooks,
        cardinality=mimi.cardinality,
        codec_id=moshi_checkpoint.fingerprint(place / "codec" / codec.WEIGHTS),
    )
    with pytest.raises(CodecMismatch):
        moshi_checkpoint.require_codec(
            info, codebooks=8, cardinality=mimi.cardinality, codec_id="another codec"
        )
    lm = load(info)
    names = {name for name, _ in lm.named_parameters()}
    assert not any("head" in name for name in names)  # the training's own are gone
    text = MoshiText.load(info.tokenizer)
    assert text.card == lm.text_card
    assert list(text.intents) == list(intent_numbers())
    stock = loaders.get_moshi_lm(
        info.moshi_weights, copy.deepcopy(info.lm_config), dtype=torch.float32
    )
    for (name, ours), theirs in zip(
        lm.state_dict().items(), stock.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def quiet(_: object) -> None:
    pass


def begin(place: Path, out: Path, preset: Preset = TINY, codec: str = "codec") -> MoshiRecipe:
    return MoshiRecipe(preset, place / "data", place / codec, out, say=quiet)


def test_a_killed_run_goes_on_with_the_same_losses(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = dataclasses.replace(TINY, steps=5, eval_every=100, accumulate=1)
    preset = dataclasses.replace(preset, set_size=3, sets=2, repeats=1, frames_per_batch=160)
    # Five steps of it are not worth being examined.
    monkeypatch.setattr(MoshiRecipe, "evaluate", lambda self: {})
    whole, parts, again = (
        begin(place, tmp_path / name, preset) for name in ("whole", "parts", "parts")
    )
    carry_out(whole, preset, tmp_path / "whole")
    run = carry_out(parts, preset, tmp_path / "parts", stop_after=2)
    run.recipe.step(next(run.recipe.batches(2)), 2, 1e-3)  # lost with the kill: it is not saved
    run = carry_out(again, preset, tmp_path / "parts", resume=True)
    assert (run.step, again.epoch, again.batch) == (5, whole.epoch, whole.batch)
    by_step = [
        {row["step"]: row["total"] for row in rows(recipe.out) if "total" in row}
        for recipe in (whole, again)
    ]
    assert sorted(by_step[0]) == [1, 2, 3, 4, 5]
    assert by_step[0] == by_step[1]
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, again.average.state_dict()[name]), name


def test_a_checkpoint_of_another_shape_or_codec_is_refused(place: Path, finished: Path) -> None:
    other = dataclasses.replace(TINY, shape=dataclasses.replace(TINY.shape, dim=64))
    copied = place / "other"
    shutil.copytree(finished, copied)
    with pytest.raises(ValueError, match="another preset"):
        Run(begin(place, copied, other), other, copied).load()
    write_codec(place / "codec2", seed=5)
    with pytest.raises(ValueError, match="another codec"):
        Run(begin(place, copied, codec="codec2"), TINY, copied).load()


def test_it_does_not_trample_on_a_run(place: Path, finished: Path) -> None:
    data, tiny = place / "data", str(place / "codec")
    with pytest.raises(ValueError, match="no checkpoint"):
        moshi.main("tiny", data, tiny, place / "nothing", resume=True)
    with pytest.raises(ValueError, match="--resume"):
        moshi.main("tiny", data, tiny, finished)
    with pytest.raises(ValueError, match="starter"):
        moshi.main("enormous", data, tiny, place / "nothing")


@pytest.fixture(scope="module")
def english_base(place: Path) -> Path:
    """A published Moshi in small: an English tokenizer, no voices, the project's codec."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["how can I help you today", "it rains in the morning"]),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        byte_fallback=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        minloglevel=2,
    )
    tokenizer = place / "tokenizer_spm_32k_3.model"
    tokenizer.write_bytes(model.getvalue())
    config = TINY.shape.config(MoshiText.load(tokenizer).card, 8, 16)
    del config["conditioners"], config["fuser"]
    torch.manual_seed(7)
    return save(build(config), config, tokenizer, place / "base", dtype=torch.float32)


def test_lora_on_a_base_with_a_new_vocabulary(
    place: Path, english_base: Path, tmp_path: Path
) -> None:
    """The hub preset's way in small: gate, swap, voices, adapters, training, export, loading."""
    preset = dataclasses.replace(
        TINY, base=str(english_base), lora=Lora(4, 2.0), learning_rate=1e-2, eval_every=100
    )
    said: list[str] = []
    recipe = MoshiRecipe(preset, place / "data", place / "codec", tmp_path, say=said.append)
    recipe.exam.sit = lambda *_, **__: {}
    assert any("own tokenizer does not do" in line for line in said)
    lm = recipe.start.lm
    base = load(read(tmp_path / "base"))
    assert base.text_card == lm.text_card == recipe.text.card > 1_000
    lm.eval()
    assert torch.equal(text_logits(lm), text_logits(base))  # a fresh adapter changes nothing
    lm.train()
    trained = {n for n, p in recipe.network.named_parameters() if p.requires_grad}
    assert {"lm.text_emb.weight", "lm.depformer_text_emb.weight"} < trained
    assert "lm.text_linear.weight" in trained
    assert not any("text_linear.lora" in name for name in trained)
    assert any(name.startswith("lm.condition_provider.") for name in trained)
    assert any("transformer.layers.0.self_attn.in_projs.0.lora_A" in name for name in trained)
    assert not any("transformer" in name and "frozen_W" in name for name in trained)
    frozen = {n: p.detach().clone() for n, p in lm.named_parameters() if not p.requires_grad}
    carry_out(recipe, preset, tmp_path)
    exported = recipe.export()
    for name, parameter in lm.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), name
    adapter = adapters.read(str(exported))
    assert adapter.card.base.address == str(tmp_path / "base")
    assert MoshiText.load(next(exported.glob("tokenizer_spm_*"))).card == lm.text_card
    lm.eval()
    with recipe.average.applied():
        trained_logits = text_logits(lm)
    assert not torch.allclose(trained_logits, text_logits(base), atol=1e-2)
    assert adapter.card.base.shape == Base.of(base).shape
    adapters_lora.fuse(base, adapter)
    torch.testing.assert_close(text_logits(base), trained_logits, atol=1e-4, rtol=1e-4)


def test_a_base_whose_tokenizer_does_is_left_as_it_is(
    place: Path, finished: Path, tmp_path: Path
) -> None:
    """An exported model is a base like any other; adapters then belong to its own address."""
    preset = dataclasses.replace(TINY, base=str(finished / "export"), lora=Lora(2, 2.0))
    recipe = begin(place, tmp_path, preset)
    assert recipe.start.base == str(finished / "export")
    assert not (tmp_path / "base").exists()
    own = MoshiText.load(read(finished / "export").tokenizer)
    assert recipe.text.pieces == own.pieces


def test_a_model_goes_on_from_its_export_once_its_heads_are_taught(
    place: Path, finished: Path, tmp_path: Path
) -> None:
    """What `starter-more` does with the shipped weights: no adapter, all of it trains."""
    base = str(finished / "export")
    preset = dataclasses.replace(TINY, base=base, heads_first=2, eval_every=100, warmup=1)
    recipe = begin(place, tmp_path, preset)
    given = {n: p.detach().clone() for n, p in recipe.network.named_parameters()}
    loaded = load(read(finished / "export"))
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, given[f"lm.{name}"]), name
    batches = recipe.batches(0)
    for number, batch in zip(range(3), batches, strict=False):
        recipe.step(batch, number, 1e-3)
        moved = {n for n, p in recipe.network.named_parameters() if not torch.equal(p, given[n])}
        heads = {name for name in given if not name.startswith("lm.")}
        assert heads <= moved
        assert (moved == heads) == (number < 2)
    batches.close()
    recipe.exam.sit = lambda *_, **__: {}
    exported = recipe.export()
    assert read(exported).tokenizer.read_bytes() == read(finished / "export").tokenizer.read_bytes()


def test_a_base_of_another_codec_is_refused(place: Path, finished: Path, tmp_path: Path) -> None:
    write_codec(place / "codec3", seed=9)
    preset = dataclasses.replace(TINY, base=str(finished / "export"), lora=Lora(2, 2.0))
    with pytest.raises(CodecMismatch, match="trained on the codes of"):
        begin(place, tmp_path, preset, "codec3")


def test_a_vocabulary_too_small_does_not_train(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moshi_start, "train", lambda texts, pieces, _: train(["నమస్కారం అండి"], 500))
    with pytest.raises(TextBudgetExceeded, match="would be dropped"):
        begin(place, tmp_path)
