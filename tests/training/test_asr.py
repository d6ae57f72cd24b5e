"""The recipe itself, run with a tiny network: it learns, stops, goes on, exports."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from faster_whisper import WhisperModel
from transformers import WhisperForConditionalGeneration

from models.converted import ct2_dir
from models.whisper import Guards, Recognizer
from tests.training.runs import kill_in, losses
from training import asr
from training.asr_network import Batch, HybridWhisper, Size, whisper_config
from training.asr_run import AsrRecipe


def test_recipe_writes_weights_that_every_reader_loads(data: Path, tmp_path: Path) -> None:
    exported = asr.main("tiny", data, tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "learning_curve.svg").read_text().startswith("<svg")
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["preset"]["size"]["width"] == asr.PRESETS["tiny"].size.width
    model = WhisperForConditionalGeneration.from_pretrained(exported)
    assert model.dtype == torch.float16
    assert model.generation_config.suppress_tokens

    pcm = (np.random.default_rng(0).standard_normal(16_000) * 0.1).astype(np.float32)
    unguarded = Guards(-200.0, 1.1, -1e9, -1e9)
    heard = Recognizer.load(exported, guards=unguarded).transcribe(pcm)
    assert heard.seconds == 1.0

    whisper = WhisperModel(str(ct2_dir(exported)), device="cpu", compute_type="int8")
    segments, info = whisper.transcribe(pcm, beam_size=1, temperature=0.0, without_timestamps=True)
    assert info.duration == 1.0
    assert isinstance(" ".join(s.text for s in segments), str)


def test_killed_run_goes_on_with_the_same_losses(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = dataclasses.replace(
        asr.PRESETS["tiny"], steps=5, eval_every=100, checkpoint_seconds=-1.0, report_every=1
    )
    monkeypatch.setitem(asr.PRESETS, "tiny", preset)
    asr.main("tiny", data, tmp_path / "whole", device="cpu")
    # The same recordings: espeak is not sample-exact from one process or utterance to the next.
    shutil.copytree(tmp_path / "whole" / "speech", tmp_path / "parts" / "speech")

    with monkeypatch.context() as patch:
        kill_in(patch, AsrRecipe, 2)
        with pytest.raises(KeyboardInterrupt):
            asr.main("tiny", data, tmp_path / "parts", device="cpu")
    asr.main("tiny", data, tmp_path / "parts", resume=True, device="cpu")
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert sorted(whole) == [1, 2, 3, 4, 5]
    assert parts == whole


def test_it_does_not_trample_on_a_run(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        asr.main("tiny", data, tmp_path / "run", resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").touch()
    with pytest.raises(ValueError, match="--resume"):
        asr.main("tiny", data, tmp_path / "run")
    with pytest.raises(ValueError, match="starter"):
        asr.main("enormous", data, tmp_path / "run")


def test_it_learns_what_it_hears() -> None:
    """Four sounds by heart: both losses collapse, and the text comes back from the sound alone."""
    torch.manual_seed(0)
    config = whisper_config(Size(64, 2, 1, 1), 40, 32, 33)
    config._attn_implementation = "eager"
    network = HybridWhisper(config, 30)
    rng = np.random.default_rng(0)
    mel = torch.from_numpy(rng.standard_normal((4, 80, 80)).astype(np.float32))
    pieces = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    batch = Batch(
        mel=mel,
        frames=torch.full((4,), 80),
        tokens=torch.tensor([[33, 39, *row] for row in pieces]),
        targets=torch.tensor([[39, *row, 32] for row in pieces]),
        letters=torch.tensor(pieces),
        letter_counts=torch.full((4,), 3),
        spans=torch.tensor([[[0, 0], [0, 1], [1, 2], [2, 3], [0, 0]]] * 4),
    )
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    first = network.losses(batch, guide=1.0)
    for _ in range(120):
        optimizer.zero_grad()
        network.losses(batch, guide=1.0).total.backward()
        optimizer.step()
    last = network.losses(batch, guide=1.0)
    assert last.attention.item() < 0.1 * first.attention.item()
    assert last.ctc.item() < 0.1 * first.ctc.item()
    assert network.eval().transcribe(mel, [33, 39], 8) == pieces
