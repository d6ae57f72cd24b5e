"""What the recogniser is trained on: text, split, tokens, voices, noise, batches."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from models.telugu.standard import graphemes
from tests.training.words import WORDS
from training import corpus, noise
from training.asr_batches import (
    BATCH_STEP,
    NOTHING,
    Spoken,
    Vocabulary,
    collate,
    mask_bands,
    plan_epoch,
)
from training.asr_network import IGNORE
from training.asr_tokenizer import ALPHABET, LETTERS, SPECIALS, train_tokenizer
from training.utterances import (
    HELD_OUT_VARIANTS,
    Renditions,
    draw_voice,
    render,
    speak_all,
    training_variants,
    voice_for,
)

VOCABULARY = Vocabulary(end=100, start=101, no_timestamps=107, no_speech=106)
RNG = np.random.default_rng


def sentences(count: int, seed: int = 0) -> list[str]:
    """Distinct sentences of everyday words."""
    rng = random.Random(seed)
    made = {" ".join(rng.sample(WORDS, rng.randint(2, 5))) for _ in range(3 * count)}
    return sorted(made)[:count]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with every source, holding sentences of our own."""
    text = tmp_path / "data" / "text"
    text.mkdir(parents=True)
    for number, source in enumerate(corpus.SOURCES):
        lines = sentences(60, number)
        if source.key:
            lines = [f'{{"{source.key}": "{line}"}}' for line in lines]
        (text / source.file).write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "data"


def test_hold_out_is_a_tenth_and_never_moves(data: Path) -> None:
    many = sentences(2_000)
    share = sum(corpus.split_of(s) == "held_out" for s in many) / len(many)
    assert 0.07 < share < 0.13
    before = corpus.held_out(data)
    everyday = data / "text" / corpus.SOURCES[0].file
    everyday.write_text("కొత్త వాక్యం ఇక్కడ\n" + everyday.read_text(encoding="utf-8"), encoding="utf-8")
    corpus.source_sentences.cache_clear()
    after = corpus.held_out(data)
    assert (
        set(before["everyday"]) <= set(after["everyday"]) <= {*before["everyday"], "కొత్త వాక్యం ఇక్కడ"}
    )
    corpus.source_sentences.cache_clear()


def test_nothing_held_out_is_trained_on(data: Path) -> None:
    tested = {s for listed in corpus.held_out(data).values() for s in listed}
    for seed in (0, 1):
        trained = {
            s for listed in corpus.training_sentences(data, seed, 200).values() for s in listed
        }
        assert trained
        assert not trained & tested
    corpus.source_sentences.cache_clear()


def test_only_giveable_licences() -> None:
    assert {source.licence for source in corpus.SOURCES} <= {"CC-BY-4.0", "CC0-1.0"}
    files = " ".join(source.file for source in corpus.SOURCES)
    for shared_alike in ("openslr66", "ud_mtg", "dakshina", "wikipedia", "udhr"):
        assert shared_alike not in files


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("నమస్కారం, మీరు ఎలా ఉన్నారు?", "నమస్కారం మీరు ఎలా ఉన్నారు"),
        ("క్యాలెండర్ ఈవెంట్\u200cలన్నీ చూపించు", "క్యాలెండర్ ఈవెంట్లన్నీ చూపించు"),
        ("日本", ""),
        ("", ""),
        ("మాట " * 40, ""),
    ],
)
def test_sentences_become_what_is_said(written: str, said: str) -> None:
    assert corpus.spoken(written) == said


def test_template_expansions_count_once(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    source = corpus.Source("x", "x.txt", "CC0-1.0", masked=True)
    lines = [f"నాకు {n} రూపాయలు పంపించు" for n in (5, 6, 70)] + ["నాకు పాలు కావాలి"]
    (tmp_path / "text" / "x.txt").write_text("\n".join(lines), encoding="utf-8")
    assert corpus.source_sentences(tmp_path, source) == ("నాకు ఐదు రూపాయలు పంపించు", "నాకు పాలు కావాలి")


def test_missing_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAATA_DATA", raising=False)
    with pytest.raises(corpus.DataMissing, match="--data"):
        corpus.data_root(tmp_path)
    (tmp_path / "text").mkdir()
    with pytest.raises(corpus.DataMissing, match="everyday"):
        corpus.source_sentences(corpus.data_root(tmp_path), corpus.SOURCES[0])


def test_tokenizer_keeps_words_whole_across_vowel_signs() -> None:
    tokenizer = train_tokenizer(sentences(400), 400)
    for word in WORDS:
        pieces = tokenizer.tokenize(word)
        assert len(pieces) == 1, pieces  # the usual regex would give one per vowel sign at least
    unseen = "పుస్తకాలు తెచ్చుకోవాలనుకుంటున్నాను"
    ids = tokenizer(unseen)["input_ids"]
    assert tokenizer.decode(ids) == unseen
    assert len(graphemes(unseen)) > 10


def test_special_tokens_follow_the_text_in_whispers_order() -> None:
    tokenizer = train_tokenizer(sentences(50), 120)
    ids = [tokenizer.convert_tokens_to_ids(token) for token in SPECIALS]
    assert ids == list(range(len(tokenizer) - len(SPECIALS), len(tokenizer)))
    assert set(ALPHABET) <= set(tokenizer.get_vocab())


def test_test_voices_never_train() -> None:
    training = training_variants(["f4", "f1", "m1", "whisper", "robosoft3", "klatt5", "klatt2"])
    assert training == ["f1", "klatt2", "m1"]
    assert not set(training) & set(HELD_OUT_VARIANTS)


def test_sentences_are_spoken_once_and_found_again(tmp_path: Path) -> None:
    texts = sentences(6)
    voice = voice_for(texts[0], "1/0", ("f1", "m1"))
    assert voice == voice_for(texts[0], "1/0", ("f1", "m1"))
    assert {voice_for(t, "1/0", ("f1", "m1")) for t in texts} != {voice}
    once = render(texts[0], voice)
    assert len(once) > 0.3 * 16_000
    path = speak_all(texts, "1/0", ("f1", "m1"), tmp_path, processes=1)
    renditions = Renditions([path])
    assert renditions.texts == texts
    # espeak carries phases over from the utterance before: equal to the ear, not to the sample.
    assert renditions.lengths[0] == pytest.approx(len(once), rel=0.01)
    written = path.with_suffix(".pcm").read_bytes()
    assert speak_all(texts, "1/0", ("f1", "m1"), tmp_path, processes=1) == path
    assert path.with_suffix(".pcm").read_bytes() == written  # found, not spoken again
    assert speak_all(texts, "1/1", ("f1", "m1"), tmp_path, processes=1) != path


def test_voices_differ_but_stay_natural() -> None:
    voices = {draw_voice(random.Random(seed), ("a", "b")) for seed in range(50)}
    assert len(voices) == 50
    assert all(120 <= voice.words_per_minute <= 230 for voice in voices)


def test_noise_lands_at_the_asked_level() -> None:
    speech = (RNG(0).standard_normal(32_000) * 0.1).astype(np.float32)
    for snr in (0.0, 20.0):
        added = noise.add_noise(speech, snr, RNG(1)) - speech
        measured = 10 * np.log10(np.mean(speech**2) / np.mean(added**2))
        assert abs(measured - snr) < 6.0  # levels drift by up to 6 dB


def test_telephone_leaves_the_band() -> None:
    time = np.arange(16_000) / 16_000
    for hertz, passes in ((100, False), (1_000, True), (6_000, False)):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        kept = np.sqrt(np.mean(noise.telephone_band(tone)[4_000:] ** 2)) / np.sqrt(0.5)
        assert (kept > 0.9) == passes
        assert kept > 0.9 or kept < 0.1


def test_augmented_speech_is_finite_and_never_over_full_scale() -> None:
    speech = (RNG(0).standard_normal(16_000) * 0.1).astype(np.float32)
    for seed in range(40):
        pcm = noise.augment(speech, RNG(seed))
        assert pcm.dtype == np.float32
        assert np.isfinite(pcm).all()
        assert np.abs(pcm).max() <= 1.0
        assert 0 <= len(pcm) - len(speech) + 960 <= 17_000
        quiet = noise.non_speech(RNG(seed), 0.7)
        assert quiet.shape == (11_200,)
        assert np.abs(quiet).max() <= 1.0
    np.testing.assert_array_equal(noise.augment(speech, RNG(5)), noise.augment(speech, RNG(5)))


def test_epoch_plan_uses_every_sentence_once() -> None:
    lengths = RNG(0).integers(8_000, 120_000, 500)
    plan = plan_epoch(lengths, 6_000, RNG(1), short_first=False)
    assert sorted(i for batch in plan for i in batch) == list(range(500))
    for batch in plan:
        assert max(lengths[batch]) // 160 * len(batch) <= 6_000 * 1.25
    assert plan == plan_epoch(lengths, 6_000, RNG(1), short_first=False)
    ordered = plan_epoch(lengths, 6_000, RNG(1), short_first=True)
    means = [lengths[batch].mean() for batch in ordered]
    assert (means >= 0.8 * np.maximum.accumulate(means)).all()  # the order is jittered a little
    assert means[-1] > 3 * means[0]


def test_silence_is_labelled_as_no_speech() -> None:
    assert Spoken("మాట", [5, 6], [2, 3]).sequence(VOCABULARY) == ([101, 107, 5, 6], [107, 5, 6, 100])
    assert NOTHING.sequence(VOCABULARY) == ([101, 107], [106, 100])


def test_batches_are_padded_with_what_is_ignored() -> None:
    mels = [RNG(0).standard_normal((80, n)).astype(np.float32) for n in (57, 101)]
    batch = collate(
        [(mels[0], Spoken("మా ట", [1, 2, 3], [1, 2, 4])), (mels[1], NOTHING)], VOCABULARY
    )
    assert batch.mel.shape == (2, 80, 3 * BATCH_STEP)
    assert batch.frames.tolist() == [57, 101]
    assert batch.targets[0].tolist() == [107, 1, 2, 3, 100] + [IGNORE] * 3
    assert batch.targets[1].tolist() == [106, 100] + [IGNORE] * 6
    assert batch.letters.tolist() == [[LETTERS[c] for c in "మా ట"], [0] * 4]
    assert batch.letter_counts.tolist() == [4, 0]
    assert batch.spans[0].tolist() == [[0, 0], [0, 1], [1, 2], [2, 4]] + [[0, 0]] * 4
    assert batch.spans[1].tolist() == [[0, 0]] * 8
    assert torch.equal(batch.mel[1, :, :101], torch.from_numpy(mels[1]))


def test_masking_leaves_most_of_the_sound() -> None:
    mel = RNG(0).standard_normal((80, 200)).astype(np.float32)
    masked = mask_bands(mel, RNG(1))
    assert 0.4 < np.mean(masked == mel) <= 1.0
    assert masked is not mel
