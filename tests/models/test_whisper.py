"""The recogniser: the trained network's tokens, guards, windows, threads, both vocabularies."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

from models.ctc import Search, Speller
from models.letter_lm import LetterLM
from models.letters import HEAD, LM
from models.mel import log_mel, pad_frames
from models.whisper import Guards, Recognizer, loudest_dbfs, split_at_pauses, without_loops
from training.asr_export import export
from training.asr_network import HybridWhisper, Size, whisper_config
from training.asr_tokenizer import LETTER_COUNT, LETTERS, letter_ids, train_tokenizer

SENTENCES = ["నమస్కారం మీరు ఎలా ఉన్నారు", "ఈ రోజు వాతావరణం ఎలా ఉంది", "నాకు సహాయం కావాలి"]
OPEN = Guards(-200.0, 1.1, avg_logprob=-1e9, letter_logprob=-1e9, repeats=10_000)


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """Loud, uneven and deterministic; not speech."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(16_000 * seconds)) / 16_000
    pcm = np.sin(2 * np.pi * 140 * time) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time))
    return (0.3 * pcm + 0.02 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HybridWhisper]:
    """A random network with the starter's layout, exported, and the network itself."""
    torch.manual_seed(4)  # says different things to different sounds
    tokenizer = train_tokenizer(SENTENCES, 96)
    vocabulary = tokenizer.get_vocab()
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    network = HybridWhisper(
        whisper_config(Size(32, 2, 1, 1), len(tokenizer), end, start), LETTER_COUNT
    ).eval()
    with torch.no_grad():
        for parameter in network.whisper.model.decoder.parameters():
            if parameter.ndim > 1:  # as drawn, the decoder hardly minds what it hears
                parameter.mul_(5)
        for parameter in network.parameters():  # the file holds half precision
            parameter.copy_(parameter.half().float())
    lm = LetterLM.count(map(letter_ids, SENTENCES), LETTER_COUNT, 5)
    path = export(network, tokenizer, lm, tmp_path_factory.mktemp("weights") / "tiny")
    return path, network


@pytest.fixture(scope="module")
def without_head(tiny: tuple[Path, HybridWhisper]) -> Path:
    """The same weights as any Whisper's directory: the decoder writes."""
    path = tiny[0].with_name("without-head")
    shutil.copytree(tiny[0], path, ignore=shutil.ignore_patterns(HEAD, LM))
    return path


@pytest.fixture(scope="module")
def open_recognizer(without_head: Path) -> Recognizer:
    """Without guards, so that what the network says comes through."""
    return Recognizer.load(without_head, compute_type="float32", guards=OPEN)


def test_letter_head_spells_what_the_encoder_hears(tiny) -> None:
    path, network = tiny
    recognizer = Recognizer.load(path, compute_type="float32", guards=OPEN)
    alphabet = "".join(LETTERS)
    speller = Speller(LetterLM.load(path / LM), Search())
    texts = set()
    for seed, seconds in enumerate((0.5, 1.0, 2.35)):
        pcm = speech_like(seconds, seed)
        mel = log_mel(pcm)
        padded = pad_frames(mel, -(-mel.shape[1] // 20) * 20)
        with torch.no_grad():
            scores = network.ctc_head(network.encode(torch.from_numpy(padded[None])))
        # Frames of padding are not part of what was said.
        heard = scores[0, : (mel.shape[1] + 1) // 2].log_softmax(-1).numpy()
        best = speller.best(heard)
        expected = "".join(alphabet[letter - 1] for letter in best.letters).strip()
        given = recognizer.transcribe(pcm)
        assert given.text == " ".join(expected.split())
        assert given.avg_logprob == pytest.approx(best.log_prob / len(best.letters), abs=1e-3)
        texts.add(given.text)
    assert len(texts) == 3


def test_doubtful_letters_are_dropped(tiny) -> None:
    pcm = speech_like(1.0)
    sure = Recognizer.load(tiny[0], compute_type="float32", guards=OPEN).transcribe(pcm)
    guards = replace(OPEN, letter_logprob=sure.avg_logprob + 0.1)
    strict = Recognizer.load(tiny[0], compute_type="float32", guards=guards)
    assert sure.text
    assert strict.transcribe(pcm) == replace(sure, text="")


def test_text_without_letters_is_no_speech(tiny) -> None:
    """A head that hears the blank everywhere."""
    recognizer = Recognizer.load(tiny[0], compute_type="float32", guards=OPEN)
    assert recognizer._letters
    recognizer._letters._bias[0] += 100.0
    heard = recognizer.transcribe(speech_like(1.0))
    assert (heard.text, heard.avg_logprob, heard.no_speech_prob) == ("", 0.0, 1.0)


def test_decodes_what_the_network_would(tiny, open_recognizer: Recognizer) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny[0])
    network = tiny[1]
    prompt = [
        tokenizer.convert_tokens_to_ids(t) for t in ("<|startoftranscript|>", "<|notimestamps|>")
    ]
    texts = set()
    for seed, seconds in enumerate((0.5, 1.0, 2.35)):
        pcm = speech_like(seconds, seed)
        mel = log_mel(pcm)
        mel = pad_frames(mel, -(-mel.shape[1] // 20) * 20)
        limit = 8 + int(np.ceil(seconds * OPEN.tokens_per_second))
        rows = network.transcribe(torch.from_numpy(mel[None]), prompt, limit)
        expected = tokenizer.decode([i for i in rows[0] if i < network.end]).strip()
        heard = open_recognizer.transcribe(pcm)
        assert heard.text == expected
        assert heard.seconds == pytest.approx(seconds, abs=1e-4)
        assert heard.avg_logprob < 0
        assert 0 <= heard.no_speech_prob <= 1
        texts.add(heard.text)
    assert any(texts)


def test_many_threads_hear_what_one_hears(open_recognizer: Recognizer) -> None:
    clips = [speech_like(0.3 + 0.17 * i, i) for i in range(12)]
    alone = [open_recognizer.transcribe(pcm) for pcm in clips]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(open_recognizer.transcribe, clips * 3))
    assert together == alone * 3


def test_silence_and_scraps_never_reach_the_network(open_recognizer: Recognizer) -> None:
    guarded = Recognizer(
        open_recognizer._model,
        open_recognizer._tokenizer,
        open_recognizer._windows,
        Guards(),
        None,
    )
    hiss = (np.random.default_rng(0).standard_normal(32_000) * 10 ** (-60 / 20)).astype(np.float32)
    for pcm in (np.zeros(0, np.float32), np.zeros(32_000, np.float32), speech_like(0.05), hiss):
        heard = guarded.transcribe(pcm)
        assert (heard.text, heard.no_speech_prob) == ("", 1.0)


def test_unlikely_text_is_dropped(without_head: Path, open_recognizer: Recognizer) -> None:
    pcm = speech_like(1.0)
    sure = open_recognizer.transcribe(pcm)
    assert sure.text
    strict = Recognizer.load(
        without_head,
        compute_type="float32",
        guards=replace(OPEN, avg_logprob=sure.avg_logprob + 0.1),
    )
    assert strict.transcribe(pcm) == replace(sure, text="")
    deaf = Recognizer.load(
        without_head,
        compute_type="float32",
        guards=replace(OPEN, no_speech_prob=sure.no_speech_prob),
    )
    assert deaf.transcribe(pcm).text == ""


def test_int16_is_the_same_as_float(open_recognizer: Recognizer) -> None:
    pcm = (speech_like(1.0) * 32_768).astype(np.int16)
    as_float = pcm.astype(np.float32) / 32_768
    assert open_recognizer.transcribe(pcm) == open_recognizer.transcribe(as_float)


def test_broken_samples_do_not_break_it(open_recognizer: Recognizer) -> None:
    pcm = speech_like(1.0)
    pcm[100:200] = np.nan
    assert open_recognizer.transcribe(pcm).seconds == 1.0


def test_long_audio_is_transcribed_in_windows(open_recognizer: Recognizer) -> None:
    parts = [speech_like(7.0, 1), np.zeros(4_000, np.float32), speech_like(7.0, 2)]
    heard = open_recognizer.transcribe(np.concatenate(parts))
    pieces = split_at_pauses(np.concatenate(parts), 899 * 160)
    assert len(pieces) == 2
    texts = [open_recognizer.transcribe(piece).text for piece in pieces]
    assert heard.text == " ".join(text for text in texts if text)


def test_cuts_fall_into_pauses() -> None:
    pcm = np.concatenate([speech_like(3.0), np.zeros(3_200, np.float32), speech_like(3.0)])
    pieces = split_at_pauses(pcm, 4 * 16_000)
    np.testing.assert_array_equal(np.concatenate(pieces), pcm)
    assert max(map(len, pieces)) <= 4 * 16_000
    assert 3.0 * 16_000 <= len(pieces[0]) <= 3.2 * 16_000
    assert [len(p) for p in split_at_pauses(pcm, len(pcm))] == [len(pcm)]


def test_loudest_moment_decides() -> None:
    pcm = np.zeros(16_000, np.float32)
    assert loudest_dbfs(pcm) == -np.inf
    pcm[4_000:4_800] = 0.1
    assert loudest_dbfs(pcm) == pytest.approx(-20.0, abs=0.1)
    assert loudest_dbfs(pcm[:10]) == -np.inf


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("అవును అవును అవును", "అవును అవును అవును"),
        ("అవును " * 9, "అవును"),
        ("సరే " + "నాకు తెలుసు " * 6 + "మీకు", "సరే నాకు తెలుసు మీకు"),
        ("", ""),
    ],
)
def test_decoder_loops_are_cut(text: str, kept: str) -> None:
    assert without_loops(text, 4) == kept


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random network with the official multilingual vocabulary's size and special ids."""
    specials = {
        50257: "<|endoftext|>",
        50258: "<|startoftranscript|>",
        50259: "<|en|>",
        50299: "<|te|>",
        50358: "<|translate|>",
        50359: "<|transcribe|>",
        50360: "<|startoflm|>",
        50361: "<|startofprev|>",
        50362: "<|nospeech|>",
        50363: "<|notimestamps|>",
    }
    vocabulary = {specials.get(i, f"<|x{i}|>" if i > 50257 else f"w{i}"): i for i in range(51_865)}
    raw = Tokenizer(tokenizer_models.WordLevel(vocabulary, unk_token="w0"))
    raw.add_special_tokens(list(specials.values()))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>")
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("official") / "whisper"
    model = WhisperForConditionalGeneration(config)
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = []
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_official_checkpoints_are_told_the_language(official: Path) -> None:
    recognizer = Recognizer.load(official, guards=OPEN)
    assert recognizer._prompt == [50258, 50299, 50359, 50363]
    assert (recognizer._windows.longest, recognizer._windows.step) == (3000, 3000)
    assert recognizer.transcribe(speech_like(1.0)).seconds == 1.0


def test_a_directory_that_is_no_recogniser_is_named(tiny, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="config.json"):
        Recognizer.load(tmp_path)
