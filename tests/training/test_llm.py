"""The recipe runs, resumes and exports; the starter weights answer by the written key."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from models.llama import Llama
from models.weights import resolve
from training.dialogues import Composer
from training.llm import main
from training.llm_batches import IGNORED, Encoder, batches, intent_numbers
from training.llm_preset import PRESETS
from training.llm_run import Run, rate_at
from training.llm_score import names, script_ok, unseen


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four steps of the tiny preset, exported."""
    run = Run(PRESETS["tiny"], tmp_path_factory.mktemp("tiny"), resume=False)
    run.train()
    run.export()
    return run


def test_the_recipe_learns_and_notes_its_progress(tiny: Run) -> None:
    rows = [json.loads(line) for line in (tiny.out / "metrics.jsonl").read_text().splitlines()]
    held = [row["held_out_loss"] for row in rows if "held_out_loss" in row]
    assert len(held) >= 2
    assert held[-1] < held[0]
    assert rows[-1]["step"] == PRESETS["tiny"].steps


def test_the_export_loads_in_transformers_and_ctranslate2(tiny: Run) -> None:
    export = tiny.out / "export"
    model = LlamaForCausalLM.from_pretrained(export, dtype=torch.float32)
    assert model.config.tie_word_embeddings
    reply = Llama.load(export, compute_type="float32").reply(
        [{"role": "user", "content": "నమస్కారం"}], max_tokens=8
    )
    assert isinstance(reply, str)


def test_the_chat_template_writes_what_training_read(tiny: Run) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.out / "export")
    encoder = Encoder(tiny.tokenizer, 0.0, 10_000)
    for seed in range(20):
        talk = Composer(seed).conversation()
        ids = encoder.encode(talk).ids
        assert tokenizer.apply_chat_template(talk.messages(), return_dict=False) == ids


def test_the_loss_counts_the_assistant_alone(tiny: Run) -> None:
    talk = Composer(3).conversation(4)
    row = Encoder(tiny.tokenizer, 0.0, 10_000).encode(talk)
    learned = [id_ for id_, label in zip(row.ids, row.labels, strict=True) if label != IGNORED]
    answers = [m["content"] for m in talk.messages() if m["role"] == "assistant"]
    texts = tiny.tokenizer.decode(learned, skip_special_tokens=False).split("<|end|>")
    assert [text.strip() for text in texts if text] == answers


def test_intents_are_named_where_their_answers_begin(tiny: Run) -> None:
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
def test_the_tokenizer_loses_nothing(tiny: Run, text: str) -> None:
    ids = tiny.tokenizer.encode(text, add_special_tokens=False).ids
    assert tiny.tokenizer.decode(ids) == text
    assert "<unk>" not in [tiny.tokenizer.id_to_token(id_) for id_ in ids]


def test_a_run_resumes_where_it_stopped(tmp_path: Path, tiny: Run) -> None:
    recipe = PRESETS["tiny"]
    (tmp_path / "tokenizer.json").write_text(tiny.tokenizer.to_str())
    first = Run(recipe, tmp_path, resume=False)
    stream = batches(recipe, Encoder(first.tokenizer, 0.0, recipe.context), "train")
    for _ in range(2):
        first._step(next(stream))
        first.step += 1
    first.save()
    with pytest.raises(FileExistsError, match="--resume"):
        Run(recipe, tmp_path, resume=False)
    with pytest.raises(ValueError, match="another width"):
        Run(replace(recipe, width=64), tmp_path, resume=True)
    second = Run(recipe, tmp_path, resume=True)
    assert second.step == 2
    for ours, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    again = batches(recipe, Encoder(first.tokenizer, 0.0, recipe.context), "train", first=2)
    assert torch.equal(next(stream).ids, next(again).ids)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = replace(PRESETS["starter"], steps=1000, warmup=100)
    assert rate_at(0, recipe) == pytest.approx(recipe.rate / 100)
    assert rate_at(500, recipe) == recipe.rate
    assert rate_at(999, recipe) < recipe.rate / 100


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
    assert (path / "model.safetensors").stat().st_size <= 28 * 2**20
    card = (path / "README.md").read_text(encoding="utf-8")
    for word in ("Apache-2.0", "starter model", "seed", "maata train llm"):
        assert word in card
    assert PRESETS["starter"].steps
