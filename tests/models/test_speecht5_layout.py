"""What SpeechT5 reads: the hub's directories as they are, ours, and Telugu without loss."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SpeechT5FeatureExtractor, SpeechT5ForTextToSpeech, SpeechT5HifiGan
from transformers.models.speecht5.tokenization_speecht5 import SpeechT5Tokenizer

from models.speecht5 import SpeechT5
from models.speecht5_decoder import Decoder
from models.speecht5_layout import SpeechT5Invalid, SpeechT5Parts, load, read_floor, save
from models.speecht5_mel import log_mel
from models.speecht5_text import FILE, LETTERS, Characters, VocabularyMissing, written
from models.speecht5_voices import NAMES, UnknownVoice, Voices, VoicesMissing, one_speaker
from models.speecht5_watch import Watch, step_limit
from models.telugu.spoken import speakable
from tests.models import tiny_speecht5

TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు? నేను బాగున్నాను."


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speecht5.write(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_speecht5.write_hub(tmp_path_factory.mktemp("hub"))


def test_mel_is_that_of_the_feature_extractor() -> None:
    pcm = (np.random.default_rng(0).standard_normal(9_000) * 0.1).astype(np.float32)
    pcm[:3_000] = 0.0
    for floor in (1e-10, 1e-4):
        upstream = SpeechT5FeatureExtractor(mel_floor=floor)
        wanted = upstream(audio_target=pcm, sampling_rate=16_000)["input_values"][0]
        assert np.abs(log_mel(pcm, floor) - wanted).max() < 1e-4


def test_a_voice_comes_back_as_it_was_written(voice: Path) -> None:
    parts = load(voice)
    kept = tiny_speecht5.acoustic(len(parts.characters)).state_dict()
    for name, tensor in parts.acoustic.state_dict().items():
        assert torch.allclose(tensor.float(), kept[name].float(), atol=2e-3), name
    assert parts.voices.embedding("ravi", "sad").shape == (tiny_speecht5.SPEAKER,)
    assert parts.voices.decoding == tiny_speecht5.HELD
    assert read_floor(voice) == pytest.approx(1e-4)
    sizes = sum(path.stat().st_size for path in voice.rglob("*.safetensors"))
    count = sum(p.numel() for m in (parts.acoustic, parts.vocoder) for p in m.parameters())
    assert sizes < 3 * count + 100_000  # fp16


def test_transformers_reads_what_we_write(voice: Path) -> None:
    tokenizer = SpeechT5Tokenizer.from_pretrained(voice)
    model = SpeechT5ForTextToSpeech.from_pretrained(voice, dtype=torch.float32)
    vocoder = SpeechT5HifiGan.from_pretrained(voice / "vocoder", dtype=torch.float32)
    features = SpeechT5FeatureExtractor.from_pretrained(voice)
    assert features.mel_floor == pytest.approx(1e-4)
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == Characters.load(voice).encode(TEXT)
    speaker = Voices.load(voice).embedding("priya")[None]
    sound = model.generate_speech(ids[:, :9], speaker, vocoder=vocoder, maxlenratio=2.0)
    assert isinstance(sound, torch.Tensor)
    assert torch.isfinite(sound).all()


def test_a_voice_in_8_bits_speaks_alike_in_pieces_and_whole(tmp_path: Path) -> None:
    """Half the room; what it says is a little off the original, and its own pieces fit."""
    made = tiny_speecht5.parts(tmp_path, width=64)  # wide enough to be worth packing
    made.acoustic.speech_decoder_postnet.prob_out.bias.fill_(-20.0)  # goes on to the text's end
    vocabulary = tmp_path / FILE
    plain = save(made, tmp_path / "plain", vocabulary=vocabulary)
    small = save(made, tmp_path / "small", vocabulary=vocabulary, int8=True)
    weigh = [sum(p.stat().st_size for p in d.rglob("*model*.safetensors")) for d in (plain, small)]
    assert weigh[1] < 0.65 * weigh[0]
    with pytest.raises(OSError, match="no file named"):  # and not: reads steps as weights
        SpeechT5ForTextToSpeech.from_pretrained(small)
    parts = load(small)
    steps = [p.weight.abs().amax(1) / 127 for p in linears(made.acoustic)]
    for wanted, found, step in zip(
        linears(made.acoustic), linears(parts.acoustic), steps, strict=True
    ):
        assert ((wanted.weight - found.weight).abs().amax(1) <= 0.51 * step).all()
    whole, off = (frames(each, "నమస్కారం అండి") for each in (made, parts))
    assert (whole - off).abs().mean() < 0.02 * whole.std()
    assert (whole - off).abs().max() > 0
    pieces = list(SpeechT5(parts).stream("నమస్కారం అండి", "priya", seed=3))
    sound = parts.vocoder(off).numpy()
    assert len(pieces) > 1
    assert np.abs(np.concatenate(pieces) / 32767.0 - sound).max() < 1e-3


def linears(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """The layers that are packed."""
    found = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    return [m for m in found if m.weight.numel() >= 4_096]


def frames(parts: SpeechT5Parts, clause: str) -> torch.Tensor:
    """Its spectrogram [F, 80], decoded alone to its end."""
    decoder = Decoder(parts.acoustic, parts.voices.decoding, rows=1)
    ids = parts.characters.encode(clause)
    row = decoder.join(ids, parts.voices.embedding("priya"), seed=3, limit=step_limit(len(ids)))
    watch, made = Watch(len(ids), row.limit, held=True), []
    while not watch.over:
        step = decoder.step()[0][1]
        watch.step(step.at, step.stop)
        made.append(step.frames)
    return decoder.postnet(torch.cat(made))


def test_the_hub_s_directories_load_as_they_are(hub: tuple[Path, Path]) -> None:
    speech, sound = hub
    xvector = torch.nn.functional.normalize(torch.randn(512), dim=0)
    parts = load(speech, sound, voices=one_speaker(xvector, "slt"))
    model = SpeechT5(parts)
    utterance = model.open("hello", "slt")
    for _ in range(30):
        model.step()
    assert utterance.take() or utterance.broken is not None or model.speaking
    with pytest.raises(UnknownVoice, match="one of slt"):
        model.open("hello", "priya")
    with pytest.raises(VoicesMissing, match="maata train speecht5 --preset hub"):
        load(speech, sound)


def test_what_is_missing_or_does_not_fit_is_named(
    voice: Path, hub: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(SpeechT5Invalid, match="maata train speecht5"):
        load(tmp_path)
    with pytest.raises(SpeechT5Invalid, match="HifiGan"):
        load(voice, tmp_path)
    with pytest.raises(VocabularyMissing, match=FILE):
        Characters.load(tmp_path)
    with pytest.raises(SpeechT5Invalid, match="8 numbers, the model takes 512"):
        load(hub[0], hub[1], voices=tiny_speecht5.voices())
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in voice.iterdir():
        if path.is_file():
            (broken / path.name).write_bytes(path.read_bytes())
    names = json.loads((broken / NAMES).read_text())
    (broken / NAMES).write_text(json.dumps({**names, "voices": ["one"]}))
    with pytest.raises(VoicesMissing, match="different models"):
        Voices.load(broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(SpeechT5Invalid, match="cannot be read"):
        load(broken, voice / "vocoder")


# -- text ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def characters(tmp_path_factory: pytest.TempPathFactory) -> Characters:
    return tiny_speecht5.vocabulary(tmp_path_factory.mktemp("text"))


def test_every_letter_has_an_id_and_joiners_have_none(characters: Characters) -> None:
    for letter in LETTERS:
        assert characters.knows(letter), letter
    assert characters.encode("ఫోన్\u200cలో") == characters.encode("ఫోన్లో")
    assert len(set(characters.encode(LETTERS))) == len(LETTERS) + 2


def test_no_id_is_unknown_whatever_is_written(characters: Characters) -> None:
    unknown = characters.pieces.index("<unk>")
    rng = random.Random(0)
    everything = [chr(c) for c in (*range(32, 0x3000), 0x1F600) if not 0xD800 <= c < 0xE000]
    for text in (
        "ధర ₹1,250, రేపు 9:30కి రండి",
        "WhatsApp లో message పంపండి",
        *("".join(rng.choices(everything, k=60)) for _ in range(60)),
    ):
        assert unknown not in characters.encode(text)
        assert characters.knows(speakable(text)), text
        assert not any(char.isdigit() for char in speakable(text))


@pytest.mark.skipif(not os.environ.get("MAATA_DATA"), reason="no data directory")
def test_no_text_of_the_data_directory_is_lost(characters: Characters) -> None:
    for path in sorted((Path(os.environ["MAATA_DATA"]) / "text").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines()[::50]:
            assert characters.knows(speakable(line)), (path.name, line)


def test_one_id_a_character(characters: Characters) -> None:
    text = written("  పాట   పాడండి, సరేనా? ")
    assert len(characters.encode(text)) == len(text) + 2  # the first word's mark and the end
