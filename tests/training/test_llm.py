"""The recipe runs, resumes and exports; the starter weights answer by the written key."""

from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from models.llama import Llama
from models.weights import resolve
from tests.training.runs import kill_in, losses, rows
from training.dialogues import Composer, intent_numbers
from training.llm import main
from training.llm_batches import IGNORED, Encoder, batches
from training.llm_preset import PRESETS
from training.llm_run import LlmRecipe
from training.llm_score import names, script_ok, unseen
from training.run import Run, carry_out


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LlmRecipe:
    """Four steps of the tiny preset, exported."""
    preset, out = PRESETS["tiny"], tmp_path_factory.mktemp("tiny")
    recipe = LlmRecipe(preset, out, device="cpu")
    carry_out(recipe, preset, out)
    recipe.export()
    return recipe


def test_the_recipe_learns_and_notes_its_progress(tiny: LlmRecipe) -> None:
    noted = rows(tiny.out)
    held = [row["held_out_loss"] for row in noted if "held_out_loss" in row]
    assert len(held) >= 2
    assert held[-1] < held[0]
    assert noted[-1]["step"] == PRESETS["tiny"].steps
    assert (tiny.out / "learning_curve.svg").read_text().count("<polyline") == 2


def test_the_export_loads_in_transformers_and_ctranslate2(tiny: LlmRecipe) -> None:
    export = tiny.out / "export"
    model = LlamaForCausalLM.from_pretrained(export, dtype=torch.float32)
    assert model.config.tie_word_embeddings
    reply = Llama.load(export, compute_type="float32").reply(
        [{"role": "user", "content": "నమస్కారం"}], max_tokens=8
    )
    assert isinstance(reply, str)


def test_an_export_in_8_bits_says_the_same_in_less_room(
    tiny: LlmRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = tiny.out / "export"
    monkeypatch.setattr(tiny, "out", tmp_path)
    monkeypatch.setattr(tiny, "preset", replace(tiny.preset, int8=True))
    _, small = tiny.export(), tiny.export()  # an export replaces the one before it
    sizes = [next(d.glob("*.safetensors")).stat().st_size for d in (plain, small)]
    assert sizes[1] < 0.85 * sizes[0]  # most of its matrices are too small to gain
    with pytest.raises(OSError, match="no file named"):  # and not: reads steps as weights
        LlamaForCausalLM.from_pretrained(small)
    ask = [{"role": "user", "content": "నమస్కారం"}]
    replies = {Llama.load(d, compute_type="int8").reply(ask, max_tokens=24) for d in (plain, small)}
    assert len(replies) == 1


def test_the_chat_template_writes_what_training_read(tiny: LlmRecipe) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.out / "export")
    encoder = Encoder(tiny.tokenizer, 0.0, 10_000)
    for seed in range(20):
        talk = Composer(seed).conversation()
        ids = encoder.encode(talk).ids
        assert tokenizer.apply_chat_template(talk.messages(), return_dict=False) == ids


def test_the_loss_counts_the_assistant_alone(tiny: LlmRecipe) -> None:
    talk = Composer(3).conversation(4)
    row = Encoder(tiny.tokenizer, 0.0, 10_000).encode(talk)
    learned = [id_ for id_, label in zip(row.ids, row.labels, strict=True) if label != IGNORED]
    answers = [m["content"] for m in talk.messages() if m["role"] == "assistant"]
    texts = tiny.tokenizer.decode(learned, skip_special_tokens=False).split("<|end|>")
    assert [text.strip() for text in texts if text] == answers


def test_intents_are_named_where_their_answers_begin(tiny: LlmRecipe) -> None:
    talk = Composer(3).conversation(4)
    row = Encoder(tiny.tokenizer, 0.0, 10_000).encode(talk)
    asked = [at for at, intent in enumerate(row.intents) if intent != IGNORED]
    assert [row.intents[at] for at in asked] == [
        intent_numbers()[turn.intent.id] for turn in talk.turns
    ]
    assert {tiny.tokenizer.id_to_token(row.ids[at]) for at in asked} == {"<|assistant|>"}
    assert all(row.labels[at + 1] != IGNORED for at in asked)


@pytest.mark.parametrize(
    "text",
    ["నమస్కారం! ఫోన్‌లో 108 కి చేయండి.", "నా పేరు రవి", "ok bye", "₹500", "😀 sorry", "ఋషి ఙ్ఞానం"],
)
def test_the_tokenizer_loses_nothing(tiny: LlmRecipe, text: str) -> None:
    ids = tiny.tokenizer.encode(text, add_special_tokens=False).ids
    assert tiny.tokenizer.decode(ids) == text
    assert "<unk>" not in [tiny.tokenizer.id_to_token(id_) for id_ in ids]


def test_a_killed_run_goes_on_with_the_same_losses(
    tmp_path: Path, tiny: LlmRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without dropping pieces: the library draws for that from a generator that takes no seed.
    preset = replace(PRESETS["tiny"], eval_every=100, checkpoint_seconds=-1.0, piece_dropout=0.0)

    def begin(name: str, *, resume: bool = False, **changes: int) -> Run:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "tokenizer.json").write_text(tiny.tokenizer.to_str())
        recipe = LlmRecipe(replace(preset, **changes), tmp_path / name, device="cpu")
        monkeypatch.setattr(recipe, "evaluate", dict)
        return carry_out(recipe, preset, tmp_path / name, resume=resume)

    begin("whole")
    with monkeypatch.context() as patch:
        kill_in(patch, LlmRecipe, 2)
        with pytest.raises(KeyboardInterrupt):
            begin("parts")
    with pytest.raises(ValueError, match="another preset"):
        begin("parts", resume=True, width=64)
    begin("parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert sorted(losses(tmp_path / "whole")) == [1, 2, 3, 4]


def test_a_batch_is_a_function_of_its_number(tiny: LlmRecipe) -> None:
    encoder = Encoder(tiny.tokenizer, 0.0, 256)
    whole, later = (batches(PRESETS["tiny"], encoder, "train", first=n) for n in (0, 2))
    assert torch.equal(list(islice(whole, 3))[2].ids, next(later).ids)


def test_it_does_not_trample_on_a_run(tiny: LlmRecipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="add --resume"):
        main("tiny", tiny.out)
    with pytest.raises(ValueError, match="leave out --resume"):
        main("tiny", tmp_path, resume=True)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    preset = replace(PRESETS["starter"], steps=1000, warmup=100)
    assert preset.rate(0) == pytest.approx(preset.learning_rate / 100)
    assert preset.rate(500) == preset.learning_rate
    assert preset.rate(875) == pytest.approx(preset.learning_rate / 2)
    assert preset.rate(999) < preset.learning_rate / 100


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="starter, gpu, tiny"):
        main("huge")


@pytest.mark.parametrize("bad", ["", "hello", "నమస్కారం hi", "ాట", "కిీ", "అా", "नमस्ते", "మాట\ufffd"])
def test_mixed_or_broken_script_is_noticed(bad: str) -> None:
    assert not script_ok(bad)


@pytest.fixture(scope="module")
def starter() -> Llama:
    return Llama.load(resolve("starter/llm"))


def test_the_starter_weights_answer_unseen_wordings(starter: Llama) -> None:
    answers = unseen(starter, seed=1, limit=60)
    assert all(answer.script for answer in answers)
    fitting = sum(answer.fit for answer in answers) / len(answers)
    # A floor under the shipped weights (90 % of all 200): 60 of them are drawn here.
    assert fitting >= 0.82, [a for a in answers if not a.fit]


def test_the_starter_weights_remember_names(starter: Llama) -> None:
    answers = names(starter, trials=20, seed=1)
    assert all(answer.script for answer in answers)
    # A floor under the shipped weights (92.5 % of 200).
    assert sum(answer.fit for answer in answers) >= 16, [a for a in answers if not a.fit]


def test_the_starter_weights_copy_the_clock(starter: Llama) -> None:
    from models.telugu.clock import time_words
    from training.dialogues import SYSTEM_PROMPT
    from training.dialogues.intents import fill
    from training.dialogues.slots import clock_slots

    moments = [datetime(2026, 11, 20, hour, (hour * 7) % 60) for hour in range(0, 24, 2)]
    right = 0
    for now in moments:
        system = {"role": "system", "content": fill(SYSTEM_PROMPT, clock_slots(now))}
        reply = starter.reply([system, {"role": "user", "content": "టైం ఎంత"}], max_tokens=64)
        right += time_words(now) in reply
    assert right >= len(moments) - 1


def test_the_card_is_there_and_the_weights_are_small() -> None:
    path = resolve("starter/llm")
    assert sum(file.stat().st_size for file in path.glob("*.safetensors")) <= 28 * 2**20
    card = (path / "README.md").read_text(encoding="utf-8")
    for word in ("Apache-2.0", "starter model", "seed", "maata train llm"):
        assert word in card
    assert PRESETS["starter"].steps
