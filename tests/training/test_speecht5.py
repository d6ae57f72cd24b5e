"""SpeechT5's recipe, run with tiny networks: it is led, stops, goes on, exports, speaks."""

import dataclasses
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from maata import recipes
from models.int8_files import is_packed
from models.speecht5 import SpeechT5
from models.speecht5_layout import load, load_acoustic, load_vocoder
from models.speecht5_text import Characters
from models.voices import EMOTIONS, VOICES
from tests.models import tiny_speecht5
from tests.training.words import WORDS
from training import corpus, speecht5, speecht5_data
from training.speecht5_batches import QUIET, STOPPED, Batches, collate
from training.speecht5_guide import astray, band, character_times, sounds
from training.speecht5_log import rated
from training.speecht5_network import TrainedSpeechT5
from training.speecht5_picture import draw
from training.speecht5_preset import PRESETS, Acoustic, Shape
from training.speecht5_run import Run
from training.speecht5_speech import HOP, Job, Recordings, clauses, jobs, record, speak
from training.speecht5_start import extended
from training.speecht5_vocoder import VocoderRun

pytest.importorskip("espeakng_loader")
TINY = PRESETS["tiny"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory of our own sentences, and few of our dialogues."""
    rng = random.Random(0)
    text = tmp_path / "data" / "text"
    text.mkdir(parents=True)
    for source in corpus.SOURCES:
        lines = {" ".join(rng.sample(WORDS, rng.randint(1, 4))) for _ in range(8)}
        written = [json.dumps({source.key: s}) if source.key else s for s in sorted(lines)]
        (text / source.file).write_text("\n".join(written), encoding="utf-8")
    pairs = zip(WORDS, WORDS[3:], strict=False)
    said = {"train": WORDS[:12], "held_out": [f"{a} {b}" for a, b in pairs]}
    monkeypatch.setattr(corpus, "dialogue_sentences", lambda split, seed=0: said[split])
    monkeypatch.setattr(
        speecht5_data, "agent_sentences", lambda count, seed: [f"{w}." for w in WORDS[:count]]
    )
    corpus.source_sentences.cache_clear()
    yield tmp_path / "data"
    corpus.source_sentences.cache_clear()


def losses(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


# -- the recipe ---------------------------------------------------------------------------------


def test_both_parts_train_and_make_a_voice(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    speecht5.main("tiny", data, out, part="vocoder", asr=None, device="cpu")
    looks = {"tensorboard": True, "rate": lambda pcm: {"seconds_said": len(pcm) / 16_000}}
    speecht5.main("tiny", data, out, part="acoustic", asr=None, device="cpu", **looks)
    voice = speecht5.main("tiny", out=out, part="voice")
    model = SpeechT5(load(voice))
    for name in (v.id for v in VOICES):
        utterance = model.open("నాకు పాట కావాలి.", name, "happy", seed=1)
        while model.step():
            pass
        # After four steps it may well lose its place, but it says so.
        assert sum(map(len, utterance.take())) > 1_000 or utterance.broken is not None
    card = (voice / "README.md").read_text(encoding="utf-8")
    assert "espeak-ng" in card
    assert "CC-BY-4.0" in card
    for part in ("acoustic", "vocoder"):
        assert (out / part / "learning_curve.svg").read_text().startswith("<svg")
        assert sorted(losses(out / part)) == [1, 2, 3, 4]
    pictures = list((out / "acoustic" / "samples").glob("attention-*.png"))
    assert len(pictures) == TINY.eval_clauses
    rows = [json.loads(x) for x in (out / "acoustic" / "metrics.jsonl").read_text().splitlines()]
    assert {"faults", "length", "seconds_said"} <= rows[-1].keys()
    assert 0.05 < rows[-1]["seconds_said"] < 60
    assert not (out / "vocoder" / "tensorboard").exists()
    shown = EventAccumulator(str(out / "acoustic" / "tensorboard"))
    shown.Reload()
    assert [event.step for event in shown.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in shown.Scalars("faults")] == [4]
    assert {"said-0", "original-1"} <= set(shown.Tags()["audio"])
    assert shown.Images("attention-0")[0].height > 1
    assert len(list((out / "speech").glob("*.pcm"))) == 2  # spoken once, for both parts


@pytest.mark.parametrize("part", ["acoustic", "vocoder"])
def test_a_killed_run_goes_on_with_the_same_losses(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: speecht5.Part
) -> None:
    """A kill keeps the last checkpoint and loses what came after it."""
    kind = Run if part == "acoustic" else VocoderRun
    monkeypatch.setattr(kind, "evaluate", lambda self: {})
    common = {"part": part, "asr": None, "device": "cpu", "steps": 6}
    speecht5.main("tiny", data, tmp_path / "whole", **common)
    speecht5.main("tiny", data, tmp_path / "cut", stop_after=3, **common)
    saved = (tmp_path / "cut" / part / "checkpoint.pt").read_bytes()
    speecht5.main("tiny", data, tmp_path / "cut", stop_after=1, resume=True, **common)
    (tmp_path / "cut" / part / "checkpoint.pt").write_bytes(saved)  # killed before the next one
    speecht5.main("tiny", data, tmp_path / "cut", resume=True, **common)
    whole, cut = losses(tmp_path / "whole" / part), losses(tmp_path / "cut" / part)
    assert whole.keys() == cut.keys() == {1, 2, 3, 4, 5, 6}
    assert cut == whole


def test_where_a_run_may_begin(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no preset"):
        speecht5.main("huge", data, tmp_path)
    with pytest.raises(ValueError, match="leave out --resume"):
        speecht5.main("tiny", data, tmp_path / "none", resume=True)
    with pytest.raises(ValueError, match="maata train speecht5"):
        speecht5.main("tiny", out=tmp_path / "none", part="voice")


def test_a_dry_run_says_what_it_will_take(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for part in ("acoustic", "vocoder"):
        speecht5.main(
            "tiny", data, tmp_path / "dry", part=part, dry_run=True, asr=None, device="cpu"
        )
        told = capsys.readouterr().out.splitlines()[-1]
        assert "M parameters, 4 steps of" in told
        assert "GiB" in told
        assert not (tmp_path / "dry" / part / "checkpoint.pt").exists()


def test_it_learns(data: Path, tmp_path: Path) -> None:
    """Forty steps on eight clauses: the spectrum comes closer and attention finds the words."""
    preset = dataclasses.replace(
        TINY, acoustic=dataclasses.replace(TINY.acoustic, steps=40, learning_rate=5e-3, rows=8)
    )
    preset = dataclasses.replace(preset, report_every=1, eval_every=1_000)
    run = Run(preset, data, tmp_path / "learns", asr=None, device="cpu", say=lambda _: None)
    run.evaluate = dict  # type: ignore[method-assign]
    run.train()
    rows = [json.loads(x) for x in (tmp_path / "learns" / "metrics.jsonl").read_text().splitlines()]
    early, late = rows[:5], rows[-5:]
    for name in ("before", "guide"):
        assert sum(r[name] for r in late) < 0.8 * sum(r[name] for r in early)
    assert sum(r["aligned"] for r in late) > sum(r["aligned"] for r in early)


def test_the_hub_s_model_gets_telugu_and_our_voices(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuned from the hub's layout, exported, loaded again; its English stays as it was."""
    speech, sound = tiny_speecht5.write_hub(tmp_path / "hub")
    before = load_vocoder(sound).state_dict()
    characters, network = extended(speech, tmp_path / "extended" / "spm_char.model", seed=0)
    assert characters.knows("నమస్కారం hello")
    table = cast(torch.Tensor, network.acoustic.get_input_embeddings().weight)
    old = torch.load(speech / "pytorch_model.bin", weights_only=True)
    known = old["speecht5.encoder.prenet.embed_tokens.weight"]
    assert torch.equal(table[: len(known)], known)
    pieces = characters.pieces
    k, p = (table[pieces.index(letter)] for letter in ("k", "p"))
    ka = table[pieces.index("క")]
    assert torch.linalg.norm(ka - k) < torch.linalg.norm(ka - p)

    preset = dataclasses.replace(TINY, start=str(speech), start_vocoder=str(sound))
    monkeypatch.setitem(speecht5.PRESETS, "tiny", preset)
    for part in ("acoustic", "vocoder"):
        speecht5.main("tiny", data, tmp_path / "run", part=part, asr=None, device="cpu")
    voice = speecht5.main("tiny", out=tmp_path / "run", part="voice")
    parts = load(voice)
    assert parts.voices.speakers.shape == (4, 512)
    assert len(parts.characters) == parts.acoustic.config.vocab_size
    after = parts.vocoder.state_dict()
    assert any(not torch.equal(after[n], before[n].half().float()) for n in before)
    again, network = extended(voice, tmp_path / "again" / "spm_char.model", seed=0)
    assert len(again) == len(parts.characters)  # nothing is missing any more
    assert torch.allclose(network.speakers, parts.voices.speakers)


def test_a_voice_in_8_bits_is_put_together_and_trained_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starter's: smaller shapes are worth packing only from a certain size."""
    shape = Shape(64, 2, (1, 1), 64, 16, 16, 8)
    small = dataclasses.replace(TINY.acoustic, shape=shape, steps=1)
    preset = dataclasses.replace(
        TINY, acoustic=small, vocoder=dataclasses.replace(TINY.vocoder, steps=1), int8=True
    )
    monkeypatch.setitem(speecht5.PRESETS, "tiny", preset)
    for kind in (Run, VocoderRun):
        monkeypatch.setattr(kind, "evaluate", lambda self: {})
    for part in ("acoustic", "vocoder"):
        speecht5.main("tiny", data, tmp_path / "run", part=part, asr=None, device="cpu")
    voice = speecht5.main("tiny", out=tmp_path / "run", part="voice")
    assert is_packed(voice)
    assert is_packed(voice / "vocoder")
    assert "8 bits" in (voice / "README.md").read_text(encoding="utf-8")
    plain = load_acoustic(tmp_path / "run" / "acoustic" / "export").state_dict()
    _, again = extended(voice, tmp_path / "again" / "spm_char.model", seed=0)
    for name, value in again.acoustic.state_dict().items():
        assert (value - plain[name]).abs().max() <= 0.51 * plain[name].abs().max() / 127, name


def test_the_command_rates_samples_as_the_bench_does() -> None:
    pytest.importorskip("speechmos")
    rate = recipes._dnsmos()
    assert rate is not None
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    mean = rated(rate, [noise, np.zeros(0, np.float32)])  # nothing is not rated
    assert mean.keys() == {"dnsmos", "dnsmos_sig"}
    assert all(0.5 < value < 5.5 for value in mean.values())
    assert rated(None, [noise]) == {}


# -- data ---------------------------------------------------------------------------------------


def test_words_are_where_they_are_heard() -> None:
    spoken = speak(Job("పాట, పాడండి.", "priya", "neutral"))
    assert spoken is not None
    text = "పాట, పాడండి."
    (a, b, first, comma), (c, d, second, end) = spoken.words
    assert (text[a:b], text[c:d]) == ("పాట,", "పాడండి.")
    pcm = np.abs(spoken.pcm.astype(int))
    assert pcm[first:comma].max() > 1_000 < pcm[second:end].max()
    assert 0 <= first < comma <= second < end <= len(pcm)
    assert pcm[-STOPPED * HOP :].max() == 0  # what the model learns to stop in
    assert len(spoken.mel) == len(spoken.pcm) // HOP + 1
    assert speak(Job("...", "priya", "neutral")) is None
    again = speak(Job("పాట, పాడండి.", "priya", "neutral"))
    assert again is not None
    assert np.array_equal(again.pcm, spoken.pcm)  # whatever was said in between


def test_the_voices_are_as_loud_as_each_other() -> None:
    levels = []
    for voice in VOICES:
        spoken = speak(Job("నమస్కారం మీరు ఎలా ఉన్నారు", voice.id, "neutral"))
        assert spoken is not None
        levels.append(20 * np.log10(np.sqrt(np.square(spoken.pcm / 32768.0).mean())))
    assert max(levels) - min(levels) < 3.0


def test_time_goes_to_what_sounds() -> None:
    assert sounds("మాట").tolist() == pytest.approx([1.0, 1.7, 2.0])
    assert sounds("అమ్మ").tolist() == [1.0, 1.0, 0.0, 2.0]
    text = "పాట పాడు."
    times = character_times(text, [(0, 3, 512, 8_192), (4, 9, 8_192, 16_384)], 80)
    assert len(times) == len(text) + 2
    assert times[0].tolist() == [0.0, 2.0]  # the mark before the first word
    assert times[1, 0] == pytest.approx(2.0)
    assert times[3, 1] == pytest.approx(32.0)
    assert times[4].tolist() == [32.0, 32.0]  # the space
    assert times[-1].tolist() == [64.0, 80.0]  # silence belongs to the end
    assert (np.diff(times[:, 0]) >= 0).all()


def test_attention_is_welcome_around_the_true_time() -> None:
    times = torch.tensor([[[0.0, 10.0], [10.0, 20.0], [-1e6, -1e6]]])
    welcome = band(times, 10, 2, 2.0)
    assert welcome[0, 2].tolist() == pytest.approx([1.0, 0.044, 0.0], abs=1e-3)
    right = torch.zeros(1, 1, 10, 3)
    right[0, 0, :5, 0] = right[0, 0, 5:, 1] = 1.0
    spoken = torch.ones(1, 10, dtype=torch.bool)
    assert astray(right, welcome, spoken) == pytest.approx(0.0, abs=1e-5)
    assert astray(right.flip(2), welcome, spoken) > 2.0
    assert astray(torch.full_like(right, 1 / 3), welcome, spoken) == pytest.approx(1.0, abs=0.15)


def test_short_clauses_come_first_and_batches_repeat(tmp_path: Path) -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=n)) for n in (1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6)]
    listed = jobs(list(dict.fromkeys(texts)), "test")
    recordings = Recordings(record(listed, tmp_path), listed)
    assert record(listed, tmp_path).with_suffix(".json").exists()
    characters = tiny_speecht5.vocabulary(tmp_path / "text")
    chosen = Acoustic(rows=3, frames=400, short_first=1_000)
    early = Batches(recordings, characters, chosen, 1, 0, 30)
    late = Batches(recordings, characters, chosen, 1, 2_000, 30)
    longest = [int(max(b.frames.max() for b in (s[i] for i in range(30)))) for s in (early, late)]
    assert longest[0] < 0.7 * longest[1]
    shifted = Batches(recordings, characters, chosen, 1, 10, 5)
    for name, tensor in vars(early[12]).items():
        assert torch.equal(getattr(shifted[2], name), tensor)
    batch = late[0]
    assert batch.mel.shape[1] % 2 == 0
    assert batch.mel.shape[0] * int(batch.frames.max()) <= 400 or len(batch.ids) == 1
    for row in range(len(batch.ids)):
        assert (batch.mel[row, batch.frames[row] :] == QUIET).all()


def test_losses_look_at_what_is_real(tmp_path: Path) -> None:
    """Padding changes no loss, and a wrong voice is another input."""
    listed = [Job("పని ఉంది", "priya", "neutral"), Job("రేపు పాట చెప్పండి అమ్మ", "ravi", "sad")]
    recordings = Recordings(record(listed, tmp_path), listed)
    characters: Characters = tiny_speecht5.vocabulary(tmp_path / "text")
    torch.manual_seed(0)
    shape = Shape(16, 2, (1, 1), 32, 16, 16, 8)
    network = TrainedSpeechT5.build(shape.config(len(characters))).eval()

    def loss(numbers: list[int]) -> torch.Tensor:
        torch.manual_seed(1)
        with torch.no_grad():
            found, _ = network.losses(
                collate(recordings, characters, numbers), guide=1.0, width=6.0, stop=1.0
            )
        return torch.stack([found.guide, found.stop])

    alone, both = (loss([0]) + 0, loss([0, 1]))
    other = loss([1])
    frames = recordings.frames
    steps = np.ceil(frames / 2)
    mixed = (alone[0] * steps[0] + other[0] * steps[1]) / steps.sum()
    assert both[0] == pytest.approx(float(mixed), rel=0.1)
    assert len(network.voices().emotion_names) == len(EMOTIONS)


def test_clauses_are_cut_as_the_service_cuts() -> None:
    found = clauses(["నేను రేపు వస్తాను, మీరు ఇంట్లో ఉంటారా?", "సరే. సరే."], 6)
    assert found[0] == "నేను రేపు వస్తాను,"
    assert found.count("సరే.") == 1


def test_pictures_are_png(tmp_path: Path) -> None:
    from PIL import Image

    draw(np.eye(5), tmp_path / "eye.png")
    image = np.asarray(Image.open(tmp_path / "eye.png"))
    assert image.shape == (30, 30)
    assert image[29, 0] == 0
    assert image[0, 0] == 255


def test_nothing_half_written_is_read(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    speecht5.main("tiny", data, out, part="vocoder", asr=None, device="cpu", stop_after=1)
    shutil.rmtree(out / "vocoder" / "export")
    with pytest.raises(ValueError, match="acoustic"):
        speecht5.main("tiny", out=out, part="voice")
