"""The stereo format of moshi-finetune: what is written comes back, what others wrote is read."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.audio import dbfs, resample
from training.duplex_dataset import DatasetError, StereoDataset, write_dataset
from training.duplex_dialogue import FRAME, RATE, DialogueSource

SOURCE = DialogueSource(11, longest=12 * RATE)


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    pytest.importorskip("espeakng_loader")
    return write_dataset(tmp_path_factory.mktemp("ours"), SOURCE, 4, processes=1)


def foreign(
    folder: Path, rate: int = 16_000, subtype: str = "PCM_16", seconds: float = 3.0
) -> Path:
    """A dataset as somebody else's aligner leaves it: a tone left, another one right."""
    time = np.arange(3 * rate) / rate
    tones = [0.2 * np.sin(2 * np.pi * hertz * time) for hertz in (300, 500)]
    (folder / "wavs").mkdir()
    soundfile.write(folder / "wavs" / "a.wav", np.stack(tones, axis=1), rate, subtype=subtype)
    words = [
        ["మాట", [0.5, 0.9], "SPEAKER_MAIN"],
        ["అవును", [1.0, 1.25], "SPEAKER_01"],
        ["ఉంది", [2.9, 3.2], "SPEAKER_MAIN"],
    ]
    transcript = json.dumps({"alignments": words, "made_by": "somebody"}, ensure_ascii=False)
    (folder / "wavs" / "a.json").write_text(transcript, encoding="utf-8")
    manifest = folder / "set.jsonl"
    manifest.write_text(json.dumps({"path": "wavs/a.wav", "duration": 3.0}) + "\n")
    return manifest


def test_what_is_written_comes_back(ours: Path) -> None:
    dataset = StereoDataset(ours)
    assert len(dataset) == 4
    for number in range(4):
        made, read = SOURCE.dialogue(number), dataset.dialogue(number)
        np.testing.assert_array_equal(read.agent, made.agent)
        np.testing.assert_array_equal(read.user, made.user)
        for name in ("agent_words", "user_words", "voice", "emotion", "exchanges", "events"):
            assert getattr(read, name) == getattr(made, name), name
        assert read.caller == made.caller


def test_the_files_are_those_of_the_format(ours: Path) -> None:
    lines = [json.loads(line) for line in ours.read_text(encoding="utf-8").splitlines()]
    assert [set(line) for line in lines] == [{"path", "duration"}] * 4
    for number, line in enumerate(lines):
        made = SOURCE.dialogue(number)
        frames, rate = soundfile.read(ours.parent / line["path"], dtype="int16")
        assert (rate, frames.shape) == (RATE, (len(made.agent), 2))
        assert line["duration"] == len(frames) / RATE
        np.testing.assert_array_equal(frames[:, 0], made.agent)
        transcript = json.loads((ours.parent / line["path"]).with_suffix(".json").read_bytes())
        assert len(transcript["alignments"]) == len(made.agent_words)
        for text, (start, end), speaker in transcript["alignments"]:
            assert isinstance(text, str)
            assert 0 <= start < end <= line["duration"]
            assert speaker == "SPEAKER_MAIN"


def test_a_stopped_run_goes_on_and_more_can_be_asked_for(ours: Path) -> None:
    folder = ours.parent / "data_stereo"
    kept = folder / "000001.wav"
    (folder / "000002.json").unlink()  # as a run stopped between the two files leaves it
    before = kept.stat().st_mtime_ns
    assert write_dataset(ours.parent, SOURCE, 4, processes=1) == ours
    assert kept.stat().st_mtime_ns == before
    made, read = SOURCE.dialogue(2), StereoDataset(ours).dialogue(2)
    np.testing.assert_array_equal(read.agent, made.agent)
    assert not list(folder.glob("*.part"))
    with pytest.raises(DatasetError, match="other settings"):
        write_dataset(ours.parent, DialogueSource(12), 4, processes=1)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_foreign_recordings_are_read(tmp_path: Path, subtype: str) -> None:
    talk = StereoDataset(foreign(tmp_path, subtype=subtype)).dialogue(0)
    assert talk.frames == 38  # 37.5 and a half of silence
    assert (talk.voice, talk.emotion) == ("", "")
    assert [(w.text, w.start, w.end) for w in talk.agent_words] == [
        ("మాట", 12_000, 21_600),
        ("ఉంది", 69_600, 72_000),
    ]
    assert [word.text for word in talk.user_words] == ["అవును"]
    time = np.arange(3 * RATE) / RATE
    for pcm, hertz in ((talk.agent, 300), (talk.user, 500)):
        tone = 0.2 * np.sin(2 * np.pi * hertz * time)
        error = pcm[: 3 * RATE] / 32768 - tone
        assert dbfs(error[2_000:-2_000]) < (-40 if subtype == "PCM_U8" else -60)
        assert not pcm[3 * RATE :].any()


def test_long_recordings_come_in_pieces(tmp_path: Path) -> None:
    dataset = StereoDataset(foreign(tmp_path, rate=44_100), longest=20 * FRAME)
    whole = StereoDataset(tmp_path / "set.jsonl").dialogue(0)
    assert [dataset.dialogue(n).frames for n in range(len(dataset))] == [20, 18]
    assert [word.text for word in dataset.dialogue(0).agent_words] == ["మాట"]
    second = dataset.dialogue(1)
    assert [(w.text, w.start) for w in second.agent_words] == [("ఉంది", 69_600 - 20 * FRAME)]
    joined = np.concatenate([dataset.dialogue(n).agent for n in range(2)])
    difference = joined[: 3 * RATE].astype(int) - whole.agent[: 3 * RATE]
    difference[20 * FRAME - 2_400 : 20 * FRAME + 2_400] = 0  # the filter's ends at the cut
    assert np.abs(difference).max() < 40


def test_broken_datasets_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    manifest = foreign(tmp_path)
    wav, words = tmp_path / "wavs" / "a.wav", tmp_path / "wavs" / "a.json"

    def complaint() -> str:
        with pytest.raises(DatasetError) as caught:
            StereoDataset(manifest).dialogue(0)
        return str(caught.value)

    good = words.read_bytes()
    words.write_text('{"alignments": [["మాట", [500, 900], "SPEAKER_MAIN"]]}', encoding="utf-8")
    assert "must be seconds" in complaint()
    words.write_text('{"alignments": [["మాట", 0.5, 0.9]]}', encoding="utf-8")
    assert "$.alignments[0][1]" in complaint() or "alignments[0]" in complaint()
    words.unlink()
    assert "annotate.py" in complaint()
    words.write_bytes(good)
    manifest.write_text('{"path": "wavs/a.wav"}\n')
    assert "line 1" in complaint()
    manifest.write_text('{"path": "wavs/b.wav", "duration": 3}\n')
    assert "no such file" in complaint()
    manifest.write_text("\n")
    assert "lists no recording" in complaint()
    manifest.write_text('{"path": "wavs/a.wav", "duration": 45}\n')
    with pytest.raises(DatasetError, match="write the manifest anew"):
        StereoDataset(manifest).dialogue(1)
    with pytest.raises(DatasetError, match="no such manifest"):
        StereoDataset(tmp_path / "none.jsonl")
    mono = tmp_path / "wavs" / "mono.wav"
    soundfile.write(mono, resample(np.zeros(RATE), RATE, 16_000), 16_000)
    manifest.write_text('{"path": "wavs/mono.wav", "duration": 1}\n')
    assert "must be stereo" in complaint()
    wav.write_bytes(b"RIFFnothing")
    manifest.write_text('{"path": "wavs/a.wav", "duration": 3}\n')
    assert "a.wav" in complaint()
