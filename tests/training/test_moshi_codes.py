"""Dialogues as codes on disk and as batches: the same whoever asks, exact after an interruption."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models import codec
from models.audio import to_float32
from models.moshi_text import END_OF_PADDING, PADDING, MoshiText
from tests.training.tiny_dialogues import INTENTS, NoiseDialogues, write_codec
from tests.training.words import WORDS
from training import moshi_codes
from training.moshi_batches import (
    EpochBatches,
    Shuffled,
    in_order,
    learnt_frames,
    listening_row,
    plan,
    row,
)
from training.moshi_codes import TAIL, UNHEARD, Asked, CodedDialogues, Encoder
from training.moshi_network import BEYOND
from training.moshi_preset import PRESETS, Preset
from training.moshi_streams import TextDoesNotFit
from training.moshi_tokenizer import train


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codec(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def text() -> MoshiText:
    return MoshiText.parse(train([f"{a} {b}" for a in WORDS for b in WORDS], 500))


def encoder(codec_folder: Path, folder: Path, name: str = "noise") -> Encoder:
    return Encoder(NoiseDialogues(), name, codec_folder, folder)


@pytest.fixture(scope="module")
def coded(codec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CodedDialogues:
    folder = tmp_path_factory.mktemp("codes")
    return CodedDialogues(encoder(codec_folder, folder).encode(range(6)))


def test_what_is_read_is_what_was_said(codec_folder: Path, coded: CodedDialogues) -> None:
    mimi = codec.load(codec_folder)
    for number in (0, 5):
        dialogue, stored = NoiseDialogues().dialogue(number), coded[number]
        frames = dialogue.frames
        assert stored.codes.shape == (16, frames + TAIL)
        for first, pcm in ((0, dialogue.agent), (8, dialogue.user)):
            codes = codec.codes_of(mimi, to_float32(pcm))
            assert np.array_equal(stored.codes[first : first + 8, :frames], codes)
            assert len(np.unique(codes)) > 4
        assert stored.agent_words == dialogue.agent_words
        assert stored.user_words == dialogue.user_words
        assert (stored.voice, stored.emotion) == (dialogue.voice, "calm")
        assert stored.asked == (Asked(INTENTS[number % 2], 8 * 1920, 8 * 1920),)
    assert coded.frames.tolist() == [16 + TAIL] * 6


@pytest.fixture(scope="module")
def questions(codec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CodedDialogues:
    """Of each dialogue the first question alone is encoded."""
    folder = tmp_path_factory.mktemp("questions")
    asking = dataclasses.replace(encoder(codec_folder, folder), question=True)
    return CodedDialogues(asking.encode(range(6)))


def test_a_question_is_heard_until_it_is_over(
    codec_folder: Path, questions: CodedDialogues
) -> None:
    mimi = codec.load(codec_folder)
    dialogue, stored = NoiseDialogues().dialogue(3), questions[3]
    frames = dialogue.exchanges[0].question_end // 1920 + TAIL
    assert stored.codes.shape == (16, frames)
    assert (stored.codes[:8] == UNHEARD).all()
    heard = codec.codes_of(mimi, to_float32(dialogue.user[: frames * 1920]))
    assert np.array_equal(stored.codes[8:], heard)
    assert stored.agent_words == dialogue.agent_words
    last = -(-dialogue.agent_words[-1].end // 1920)
    assert stored.frames == questions.frames[3] == max(frames, last + TAIL)


def test_what_is_only_heard_is_answered_in_writing(
    questions: CodedDialogues, text: MoshiText
) -> None:
    dialogue = questions[0]
    whole = listening_row(dialogue, text, 2, learnt_frames(dialogue, 500))
    assert whole.shape == (18, dialogue.frames)
    heard = dialogue.codes.shape[1]
    assert (whole[1:9] == BEYOND).all()
    assert (whole[9:17, heard:] == BEYOND).all()
    assert np.array_equal(whole[9:17, :heard], dialogue.codes[8:])
    written = [t for t in whole[0] if t not in (PADDING, END_OF_PADDING)]
    assert text.decode(written) == " ".join(word.text for word in dialogue.agent_words)
    cut = listening_row(dialogue, text, 2, learnt_frames(dialogue, 3))
    assert cut.shape == (18, min(heard + 3, dialogue.frames))
    assert np.array_equal(cut[1:17], whole[1:17, : cut.shape[1]])


def test_an_answer_that_takes_words_of_the_question_is_learnt_whole(
    questions: CodedDialogues,
) -> None:
    heard = questions[0].codes.shape[1]
    for intent, frames in (
        ("echo", questions[0].frames),
        ("sum.times", questions[0].frames),
        ("greet.bye", heard + 3),
        ("nobody.authored.it", heard + 3),
    ):
        asked = (dataclasses.replace(questions[0].asked[0], intent=intent),)
        assert learnt_frames(dataclasses.replace(questions[0], asked=asked), 3) == frames


def test_what_was_asked_is_written_before_the_answer(
    coded: CodedDialogues, questions: CodedDialogues
) -> None:
    text = MoshiText.parse(train([f"{a} {b}" for a in WORDS for b in WORDS], 500, INTENTS))
    for number in range(2):
        asked = text.intents[INTENTS[number]]
        spoken = row(coded[number], text, 2)[0]
        asked_alone = questions[number]
        written = listening_row(asked_alone, text, 2, asked_alone.frames)[0]
        for stream, dialogue in ((spoken, coded[number]), (written, questions[number])):
            answer = dialogue.asked[0].answer
            first = min(w.start for w in dialogue.agent_words if w.start >= answer) // 1920
            assert np.flatnonzero(stream == asked).tolist() == [first - 1]


def test_nothing_is_said_in_a_batch_of_questions(
    questions: CodedDialogues, text: MoshiText
) -> None:
    batches = EpochBatches(
        questions, questions.frames, text, PRESETS["tiny"], epoch=0, listening=True
    )
    assert sum(len(batch.codes) for batch in batches) == 6
    assert all(len(batch.frames) == 0 and batch.hidden is None for batch in batches)
    assert all((batch.codes[:, 1:9] == BEYOND).all() for batch in batches)


def test_batches_made_by_other_processes_are_the_same_in_the_same_order(
    questions: CodedDialogues, text: MoshiText
) -> None:
    listening = dataclasses.replace(PRESETS["tiny"].listening, hidden=0.3, frames_per_batch=64)
    preset = dataclasses.replace(PRESETS["tiny"], listening=listening)
    made = EpochBatches(questions, questions.frames, text, preset, epoch=0, listening=True)
    assert len(made) > 2
    for processes in (0, 2):
        read = list(in_order(made, 1, processes))
        assert len(read) == len(made) - 1
        for number, batch in enumerate(read, 1):
            assert torch.equal(batch.codes, made[number].codes)
            assert torch.equal(batch.letters, made[number].letters)
            hidden, again = batch.hidden, made[number].hidden
            assert hidden is not None
            assert again is not None
            assert torch.equal(hidden, again)
            assert batch.voices == made[number].voices


def test_questions_beside_dialogues_come_in_any_order_but_the_same(
    coded: CodedDialogues, questions: CodedDialogues, text: MoshiText
) -> None:
    preset = PRESETS["tiny"]
    parts = [
        EpochBatches(coded, coded.frames, text, preset, 0),
        EpochBatches(questions, questions.frames, text, preset, 0, listening=True),
    ]
    mixed, again = (Shuffled(parts, seed=1, epoch=0) for _ in range(2))
    assert len(mixed) == len(parts[0]) + len(parts[1])
    speaking = [len(batch.frames) > 0 for batch in mixed]
    assert sum(speaking) == len(parts[0])
    assert all(torch.equal(a.codes, b.codes) for a, b in zip(mixed, again, strict=True))


def test_an_interrupted_set_goes_on_at_its_last_whole_shard(
    codec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moshi_codes, "SHARD", 2)
    asked: list[int] = []

    class Watched(NoiseDialogues):
        def dialogue(self, number: int):
            asked.append(number)
            if len(asked) == 4:
                raise KeyboardInterrupt
            return super().dialogue(number)

    stopped = Encoder(Watched(), "noise", codec_folder, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stopped.encode(range(6))
    assert asked == [0, 1, 2, 3]
    seen: list[tuple[int, int]] = []
    paths = stopped.encode(range(6), lambda done, of: seen.append((done, of)))
    assert asked[4:] == [2, 3, 4, 5]  # 0 and 1 were a whole shard
    assert seen == [(2, 4), (4, 4)]
    whole = encoder(codec_folder, tmp_path / "whole").encode(range(6))
    for ours, theirs in zip(CodedDialogues(paths), CodedDialogues(whole), strict=True):
        assert np.array_equal(ours.codes, theirs.codes)


def test_encoding_leaves_the_random_generator_alone(codec_folder: Path, tmp_path: Path) -> None:
    """A run starts from the same weights whether its dialogues were there or not."""
    moshi_codes._codec.cache_clear()
    before = torch.get_rng_state()
    encoder(codec_folder, tmp_path).encode(range(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_other_dialogues_or_codecs_have_other_files(codec_folder: Path, tmp_path: Path) -> None:
    def path(codec: Path, name: str = "noise") -> Path:
        return encoder(codec, tmp_path, name).shards(range(2))[0].path

    first = path(codec_folder)
    assert first == path(codec_folder)
    assert first != path(codec_folder, "others")
    assert first != path(write_codec(tmp_path / "codec", seed=2))


def test_a_row_holds_text_both_sides_and_what_was_heard(
    coded: CodedDialogues, text: MoshiText
) -> None:
    dialogue = coded[0]
    rows = row(dialogue, text, hearing_delay=1)
    assert rows.shape == (18, dialogue.codes.shape[1])
    assert np.array_equal(rows[1:17], dialogue.codes)
    said = [word.text for word in dialogue.agent_words]
    assert text.decode(rows[0].tolist()) == " ".join(said)
    frame = dialogue.agent_words[0].start // 1920
    assert rows[0, frame] == text.encode(said[0])[0]
    assert rows[0, frame - 1] == END_OF_PADDING
    assert set(rows[0, : frame - 1].tolist()) == {PADDING}
    heard = [word.text for word in dialogue.user_words]
    assert text.decode(rows[17].tolist()) == " ".join(heard)
    first = int(np.nonzero(rows[17] > PADDING)[0][0])
    assert first == (dialogue.user_words[0].end - 1) // 1920 + 1 + 1


def test_a_dialogue_without_room_for_its_text_is_an_error(
    coded: CodedDialogues, text: MoshiText
) -> None:
    dialogue = coded[0]
    last = dialogue.agent_words[-1]
    words = (*dialogue.agent_words, type(last)("పూర్తిగా తెలియనిది 😀😀😀😀", last.end - 1, last.end))
    with pytest.raises(TextDoesNotFit):
        row(dataclasses.replace(dialogue, agent_words=words), text, 1)


def batches(coded: CodedDialogues, text: MoshiText, epoch: int = 0, seed: int = 1) -> EpochBatches:
    preset = Preset(**{**PRESETS["tiny"].__dict__, "frames_per_batch": 64, "seed": seed})
    return EpochBatches(coded, coded.frames, text, preset, epoch)


def test_a_batch_is_a_function_of_seed_epoch_and_number(
    coded: CodedDialogues, text: MoshiText
) -> None:
    first, again = batches(coded, text), batches(coded, text)
    assert len(first) == 3
    for number in (2, 0, 1):  # in any order
        assert torch.equal(first[number].codes, again[number].codes)
        assert first[number].voices == again[number].voices
    orders = {
        str([first_[n].codes.sum().item() for n in range(3)])
        for first_ in (first, batches(coded, text, 1), batches(coded, text, 0, seed=2))
    }
    assert len(orders) > 1
    with pytest.raises(IndexError):
        first[3]


def test_a_batch_is_padded_and_leaves_voices_out_now_and_then(
    coded: CodedDialogues, text: MoshiText
) -> None:
    found = batches(coded, text)
    codes, heard = found[0].codes, found[0].heard
    assert codes.shape == (2, 17, 32)
    assert heard.shape == (2, 32)
    assert (codes[:, :, 16 + TAIL :] == BEYOND).all()
    assert (codes[:, :, : 16 + TAIL] >= 0).all()
    voices = [v for e in range(20) for b in [batches(coded, text, e)[0]] for v in b.voices]
    assert {"priya", "ravi", None} == set(voices)
    assert 0.05 < voices.count(None) / len(voices) < 0.5


def test_a_plan_takes_every_dialogue_once_and_keeps_to_the_budget() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(30, 260, 300)
    found = plan(frames, 3_200, rng)
    assert sorted(index for batch in found for index in batch) == list(range(300))
    for batch in found:
        width = -(-frames[batch].max() // 32) * 32
        assert len(batch) == 1 or len(batch) * width <= 3_200
    padding = sum(len(b) * frames[b].max() - frames[b].sum() for b in found) / frames.sum()
    assert padding < 0.2
