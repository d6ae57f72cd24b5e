"""The codec's recipe, run with a tiny network: it learns, stops, goes on, exports."""

import copy
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from moshi.utils.compile import no_compile
from torch.nn import functional as F

from models import codec as codecs
from models.audio import dbfs
from models.letter_lm import LetterLM
from tests.training.runs import kill_in, losses, rows
from tests.training.words import WORDS
from training import codec, codec_data
from training.asr_export import export
from training.asr_network import HybridWhisper, Size, whisper_config
from training.asr_tokenizer import LETTER_COUNT, letter_ids, train_tokenizer
from training.codec_adversary import Adversary
from training.codec_batches import LETTER_STEP, Batch, Batches, damage
from training.codec_losses import SpectralDistance, direction_loss, word_loss
from training.codec_network import TrainedCodec
from training.codec_preset import FRAME, PRESETS, Weights
from training.codec_probe import Probe, letter_errors, train
from training.codec_run import CodecRecipe
from training.codec_speech import Recordings, agent_sentences, caller_jobs, record, reply_jobs
from training.codec_teacher import States, Teacher, TeacherMissing, remember
from training.moshi_teacher import find_teacher
from training.utterances import HELD_OUT_VARIANTS

TINY = PRESETS["tiny"]


@pytest.fixture(autouse=True)
def _uncompiled() -> Iterator[None]:
    with no_compile():
        yield


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of random weights, as `maata train asr` exports one."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(WORDS, 128)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    assert isinstance(end, int)
    assert isinstance(start, int)
    network = HybridWhisper(
        whisper_config(Size(32, 2, 1, 1), len(tokenizer), end, start), LETTER_COUNT
    )
    lm = LetterLM.count(map(letter_ids, WORDS), LETTER_COUNT, 3)
    return export(network, tokenizer, lm, tmp_path_factory.mktemp("asr") / "asr")


@pytest.fixture
def data(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """And few of our dialogues' answers."""
    monkeypatch.setattr(codec_data, "agent_sentences", lambda count, seed: WORDS[:count])
    return data


def spoken(tmp_path: Path, texts: list[str]) -> Recordings:
    return Recordings(record(caller_jobs(texts, "test", HELD_OUT_VARIANTS), tmp_path))


# -- the recipe ---------------------------------------------------------------------------------


def test_recipe_writes_a_codec_that_streams(data: Path, asr: Path, tmp_path: Path) -> None:
    exported = codec.main("tiny", data, tmp_path / "run", asr=asr, device="cpu")
    mimi = codecs.load(exported)
    assert find_teacher(exported, mimi)  # what a Moshi's recipe learns to hear from
    assert (mimi.frame_size, mimi.num_codebooks) == (FRAME, codecs.CODEBOOKS)
    # Within the attention's context: beyond it the library's ring cache, which takes two steps a
    # frame, forgets one key earlier than the offline mask does.
    sound = torch.randn(1, 1, TINY.shape.context // 2 * FRAME) * 0.1
    # Latents, not codes: between two centroids a rounding error decides, and carries on from there.
    with torch.no_grad():
        latents = mimi.encode_to_latent(sound, quantize=False)
        with mimi.streaming(1):
            pieces = [mimi.encode_to_latent(p, quantize=False) for p in sound.split(FRAME, -1)]
    assert torch.allclose(torch.cat(pieces, -1), latents, atol=1e-3 * float(latents.abs().max()))
    assert (tmp_path / "run" / "learning_curve.svg").read_text().startswith("<svg")
    assert len(list((tmp_path / "run" / "samples").glob("agent-*.wav"))) == 2  # and its original
    scores = rows(tmp_path / "run")[-1]
    assert {"log_mel_agent", "wer_agent", "wer_agent_original"} <= scores.keys()
    assert min(scores["cer_codes_callers"], scores["cer_codes_agent"]) >= 0
    assert len(scores["perplexity"]) == codecs.CODEBOOKS


def test_killed_run_goes_on_with_the_same_losses(
    data: Path, asr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across the making of the codebooks, and with the library's own random draws."""
    preset = dataclasses.replace(
        TINY, steps=9, eval_every=100, checkpoint_seconds=-1.0, eval_sentences=0
    )
    monkeypatch.setitem(codec.PRESETS, "tiny", preset)
    monkeypatch.setattr(CodecRecipe, "evaluate", lambda self: {})
    codec.main("tiny", data, tmp_path / "whole", asr=asr, device="cpu")
    # The same recordings: espeak is not sample-exact from one process or utterance to the next.
    shutil.copytree(tmp_path / "whole" / "speech", tmp_path / "parts" / "speech")
    for number, resume in ((1, False), (5, True)):
        with monkeypatch.context() as patch:
            kill_in(patch, CodecRecipe, number)
            with pytest.raises(KeyboardInterrupt):
                codec.main("tiny", data, tmp_path / "parts", asr=asr, resume=resume, device="cpu")
    codec.main("tiny", data, tmp_path / "parts", asr=asr, resume=True, device="cpu")
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert sorted(whole) == list(range(1, 10))
    assert len(set(whole.values())) == 9
    assert parts == whole


def test_it_does_not_trample_on_a_run(data: Path, asr: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        codec.main("tiny", data, tmp_path / "run", asr=asr, resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").touch()
    with pytest.raises(ValueError, match="--resume"):
        codec.main("tiny", data, tmp_path / "run", asr=asr)
    with pytest.raises(ValueError, match="starter"):
        codec.main("enormous", data, tmp_path / "run", asr=asr)
    with pytest.raises(TeacherMissing, match="maata train asr"):
        codec.main("tiny", data, tmp_path / "other", asr=tmp_path)


def test_every_preset_is_a_codec_moshi_can_use() -> None:
    for name, preset in PRESETS.items():
        shape = preset.shape
        assert np.prod(shape.ratios) * 25 == codecs.SAMPLE_RATE
        assert shape.context < 2 * preset.crop_frames, name  # 25 Hz steps
        if name != "gpu":
            mimi = codecs.build(shape.config())
            assert (mimi.frame_rate, mimi.cardinality) == (12.5, shape.bins)
            assert mimi.num_codebooks == codecs.CODEBOOKS
    starter = codecs.build(PRESETS["starter"].shape.config())
    assert 3e6 < sum(p.numel() for p in starter.parameters()) < 5e6


# -- the network --------------------------------------------------------------------------------


def two_words(tmp_path: Path) -> Batch:
    """Two crops of real speech, with real words and made-up states."""
    recordings = spoken(tmp_path, WORDS[:2])
    sound = np.stack([recordings.pcm(i, 0, 10 * FRAME) for i in range(2)])[:, None]
    letters = [letter_ids(recordings.words(i)[0][0]) for i in range(2)]
    width = max(map(len, letters))
    rows = [row + [0] * (width - len(row)) for row in letters]
    torch.manual_seed(3)
    return Batch(
        heard=torch.from_numpy(sound),
        said=torch.from_numpy(sound),
        states=torch.randn(2, 10, 32),
        known=torch.ones(2, 10, dtype=torch.bool),
        letters=torch.tensor(rows),
        spans=torch.tensor([[i, 0, 40, len(row)] for i, row in enumerate(letters)]),
    )


def test_it_learns_sound_and_words_by_heart(tmp_path: Path) -> None:
    """Through the codebooks: nothing but codes reaches the decoder and the letters."""
    torch.manual_seed(0)
    shape = dataclasses.replace(TINY.shape, filters=4, width=32, bins=32)
    network, batch = TrainedCodec(shape, 32).train(), two_words(tmp_path)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    seen = []
    for step in range(50):
        if step == 20:
            network.make_codebooks(network.encode(batch.heard).detach())
        network.set_step(step, 1, 0.0)
        found, coded = network.losses(batch, Weights(), spoken=2)
        assert (coded.codes is None) == (step < 20)
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        seen.append(found)
    first, last = seen[0], seen[-1]
    assert last.log_mel.item() < 0.5 * first.log_mel.item()
    assert last.letters.item() < 0.1 * first.letters.item()
    assert last.direction.item() < 0.6 * first.direction.item()


def test_only_the_spoken_rows_are_decoded_and_all_are_heard(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, batch = TrainedCodec(TINY.shape, 32).train(), two_words(tmp_path)
    coded = network(batch.heard, 1)
    assert coded.sound.shape == (1, 1, 10 * FRAME)
    assert coded.semantic.shape == (2, TINY.shape.width, 10)


def test_first_codebooks_are_made_of_what_the_encoder_says() -> None:
    torch.manual_seed(0)
    network = TrainedCodec(TINY.shape, 32).train()
    latents = torch.randn(64, TINY.shape.width, 20)
    assert not network.quantized
    network.make_codebooks(latents)
    assert network.quantized
    assert all(used > 0.5 * TINY.shape.bins for used in network.perplexity())
    _, rest = codecs.quantizers(network.mimi.eval())
    wanted = rest.input_proj(latents)
    errors = []
    for used in (1, 3, 7):
        rest.set_num_codebooks(used)
        errors.append(F.mse_loss(rest.vq.decode(rest.encode(latents).transpose(0, 1)), wanted))
    assert errors[0] > 1.3 * errors[1] > 1.3 * errors[2]


def test_start_values_keep_a_voice_audible() -> None:
    """The library's own leave 1e-4 of it after the encoder."""
    torch.manual_seed(0)
    network = TrainedCodec(PRESETS["starter"].shape, 32)
    sound = 0.1 * torch.randn(2, 1, 6 * FRAME)
    with torch.no_grad():
        latent = network.encode(sound)
        coded = network(sound, 2)
    assert 0.3 < float(latent.std()) < 10
    assert 0.003 < float(coded.sound.std()) < 1


# -- the losses ---------------------------------------------------------------------------------


def test_spectral_distance_grows_with_the_difference_and_has_a_gradient_in_silence() -> None:
    distance = SpectralDistance()
    torch.manual_seed(0)
    sound = 0.1 * torch.randn(2, 4 * FRAME)
    assert float(distance(sound, sound)[0]) == 0.0
    little = float(distance(1.1 * sound, sound)[0])
    assert 0.0 < little < float(distance(2.0 * sound, sound)[0])
    _, log_part = distance(2.0 * sound, sound)
    assert float(log_part) == pytest.approx(np.log(2.0), abs=1e-3)
    silent = torch.zeros(2, 4 * FRAME, requires_grad=True)
    distance(silent, sound)[0].backward()
    assert silent.grad is not None
    assert torch.isfinite(silent.grad).all()
    for n_fft, _ in distance.scales:
        filters = distance.get_buffer(f"filters_{n_fft}")
        assert (filters.sum(1) > 0.99).all(), n_fft  # no band is empty


def test_words_are_scored_in_their_own_stretch() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 30, LETTER_COUNT).log_softmax(-1)
    letters = torch.tensor([[5, 6, 7], [8, 0, 0]])
    spans = torch.tensor([[1, 4, 19, 3], [0, 20, 30, 1]])
    one = F.ctc_loss(
        log_probs[1, 4:19], letters[0], torch.tensor(15), torch.tensor(3), reduction="sum"
    )
    two = F.ctc_loss(
        log_probs[0, 20:], letters[1, :1], torch.tensor(10), torch.tensor(1), reduction="sum"
    )
    assert float(word_loss(log_probs, letters, spans)) == pytest.approx(float((one + two) / 4))
    nothing = torch.zeros(0, 4, dtype=torch.int64)
    assert float(word_loss(log_probs, torch.zeros(0, 1, dtype=torch.int64), nothing)) == 0.0


def test_unknown_states_do_not_count() -> None:
    states = torch.randn(1, 4, 8)
    known = torch.tensor([[True, True, False, False]])
    pointed = states.clone()
    pointed[0, 2:] *= -1.0
    assert float(direction_loss(pointed, states, known)) == pytest.approx(0.0, abs=1e-6)
    assert float(direction_loss(-states, states, known)) == pytest.approx(2.0)
    assert float(direction_loss(states, states, known & False)) == 0.0


def test_adversary_learns_to_tell_and_its_gradient_reaches_the_codec() -> None:
    torch.manual_seed(0)
    adversary = Adversary(dataclasses.replace(TINY, weights=Weights(adversary=1.0)), "cpu")
    wanted = torch.sin(torch.arange(FRAME) * 0.2)[None, None].repeat(2, 1, 1)
    made = (0.3 * torch.randn(2, 1, FRAME)).requires_grad_(True)
    told = []
    for _ in range(12):
        adversary.judge(made, wanted, 1e-3).backward()
        told.append(adversary.figures["judge"])
    assert told[-1] < 0.8 * told[0]
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0
    again = Adversary(dataclasses.replace(TINY, weights=Weights(adversary=1.0)), "cpu")
    again.load_state_dict(copy.deepcopy(adversary.state_dict()))
    a, b = (judge.judge(made.detach(), wanted, 1e-3) for judge in (adversary, again))
    assert torch.equal(a, b)


# -- what it listens to -------------------------------------------------------------------------


def test_words_are_where_they_are_heard(tmp_path: Path) -> None:
    recordings = spoken(tmp_path, [f"{a} {b}" for a, b in zip(WORDS, WORDS[1:], strict=False)])
    for index in range(len(recordings)):
        words = recordings.words(index)
        assert len(words) == 2
        pcm = recordings.pcm(index)
        assert all(0 <= a < b <= len(pcm) for _, a, b in words)
        assert words[0][2] <= words[1][1]
        assert all(dbfs(pcm[a:b]) > -30 for _, a, b in words)
    silence = recordings.pcm(0, -500, 0)
    assert not silence.any()
    both = recordings.pcm(0, -10, recordings.length(0) + 10)
    np.testing.assert_array_equal(both[10:-10], recordings.pcm(0))
    assert len(recordings.pcm(0, recordings.length(0) + 5, recordings.length(0) + 9)) == 4


def test_what_cannot_be_spoken_is_left_out_and_the_rest_keeps_its_text(tmp_path: Path) -> None:
    endless = " ".join(WORDS * 3)  # longer than 8 s
    recordings = spoken(tmp_path, [WORDS[0], endless, WORDS[2]])
    assert recordings.jobs == [0, 2]
    assert [recordings.words(i)[0][0] for i in range(2)] == [WORDS[0], WORDS[2]]
    assert len(spoken(tmp_path / "none", [endless])) == 0


def test_the_agent_is_recorded_in_all_its_voices(tmp_path: Path) -> None:
    jobs = reply_jobs(WORDS * 20, "test")
    assert {job.voice for job in jobs} == {"arjun", "ravi", "priya", "lakshmi"}
    assert len({job.emotion for job in jobs}) == 9
    recordings = Recordings(record(jobs[:4], tmp_path))
    assert len(recordings) == 4
    assert recordings.words(0) == []
    assert recordings.jobs == [0, 1, 2, 3]
    assert -35 < dbfs(recordings.pcm(0)) < -12  # as loud as it is on the wire
    said = agent_sentences(30, 1)
    assert len(set(said)) == 30
    assert not any(char.isdigit() for text in said for char in text)


def test_the_teacher_hears_each_frame_once_and_whole(asr: Path, tmp_path: Path) -> None:
    teacher = Teacher(asr)
    recordings = spoken(tmp_path, WORDS[:6])
    states = States(remember(recordings, teacher))
    rows, known = states.at(1, -3, 12)
    assert rows.shape == (12, teacher.width)
    assert known.tolist()[:2] == [False, False]
    assert not rows[:2].any()
    direct = (teacher.states(recordings.pcm(1)) - states.mean) / states.deviation
    np.testing.assert_allclose(rows[2], direct[1], atol=0.05)  # -3 + 2 * 2; kept in fp16
    np.testing.assert_allclose(rows[3], direct[3], atol=0.05)
    assert not states.at(1, 10_000, 3)[1].any()


def test_batch_is_a_function_of_its_number_alone(asr: Path, data: Path, tmp_path: Path) -> None:
    preset = dataclasses.replace(TINY, rows=6)
    speech = codec_data.CodecData(preset, data, asr, tmp_path / "run").speech(0)
    whole, later = Batches(speech, preset, 0, 5), Batches(speech, preset, 3, 2)
    for field in dataclasses.fields(Batch):
        assert torch.equal(getattr(whole[3], field.name), getattr(later[0], field.name))
    assert not torch.equal(whole[2].heard, whole[3].heard)
    batches = [whole[i] for i in range(5)]
    assert {batch.heard.shape for batch in batches} == {(6, 1, preset.crop_frames * FRAME)}
    for batch in batches:
        steps = preset.crop_frames * FRAME // LETTER_STEP
        assert ((batch.spans[:, 1] >= 0) & (batch.spans[:, 2] <= steps)).all()
        assert (batch.spans[:, 2] > batch.spans[:, 1]).all()
        assert ((batch.letters > 0).sum(1) == batch.spans[:, 3]).all()
    assert sum(len(batch.spans) for batch in batches) > 5


def test_damage_leaves_the_speech_and_adds_to_what_is_heard() -> None:
    rng = np.random.default_rng(0)
    sound = (0.2 * rng.standard_normal(24_000)).astype(np.float32)
    differ = 0
    for _ in range(20):
        heard, said = damage(sound, rng)
        assert heard.shape == said.shape == sound.shape
        assert np.abs(heard).max() <= 1.0
        spectrum = np.abs(np.fft.rfft(said))
        assert spectrum[8_300:].max() < 0.01 * spectrum[:7_000].max()  # bins of 1 Hz
        differ += not np.allclose(heard, said, atol=1e-3)
    assert 5 < differ < 20


# -- the probe ----------------------------------------------------------------------------------


def test_probe_reads_codes_that_spell_and_none_that_do_not() -> None:
    """Each letter has a code of its own, held for two frames; or codes at random."""
    rng = np.random.default_rng(0)

    def items(count: int, *, spelled: bool) -> list[tuple[torch.Tensor, str]]:
        made = []
        for _ in range(count):
            word = str(rng.choice(WORDS))
            codes = np.repeat(letter_ids(word), 2)
            if not spelled:
                codes = rng.integers(0, LETTER_COUNT, len(codes))
            made.append((torch.from_numpy(np.stack([codes, codes])).long(), word))
        return made

    rates = []
    for spelled in (True, False):
        torch.manual_seed(0)
        probe = Probe(LETTER_COUNT, 2, 64)
        train(probe, items(300, spelled=spelled), 300, say=lambda _: None)
        rates.append(letter_errors(probe, items(30, spelled=spelled)))
    assert rates[0] < 0.05
    assert rates[1] > 0.5
