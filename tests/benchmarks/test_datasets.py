"""Corpora in their real layouts, a few rows each, and what is wrong with some of them."""

import importlib.util
import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.corpora.corpus import DatasetError, Recordings, open_dataset
from benchmarks.corpora.tables import keyed
from models.audio import write_wav

TEXTS = ["నేను రేపు ఊరికి వెళ్తాను", "పాలు పొంగిపోయాయి", "మా ఇంటి ముందు వేప చెట్టు ఉంది"]


def tone(seconds: float = 0.6, hz: float = 220.0, rate: int = 16_000) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def sound(path: Path, hz: float = 220.0, seconds: float = 0.6, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, tone(seconds, hz, rate), rate)
    return path


def reasons(found: Recordings) -> dict[str, str]:
    return {refusal.id: refusal.reason for refusal in found.refused}


def texts(found: Recordings) -> list[str]:
    return [clip.text for clip in found.clips]


def test_a_folder_of_sounds_and_texts(tmp_path):
    for number, text in enumerate(TEXTS):
        wav = sound(tmp_path / f"speaker{number % 2}" / f"{number}.wav", 200 + number)
        wav.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    found = open_dataset("folder", tmp_path)
    assert not found.refused
    assert {c.id: (c.text, c.speaker) for c in found.clips} == {
        f"speaker{n % 2}/{n}": (text, f"speaker{n % 2}") for n, text in enumerate(TEXTS)
    }


def test_clips_become_calls_of_one_turn_grouped_by_speaker(tmp_path):
    rows = [{"audio": f"{n}.wav", "text": t, "speaker": "రాణి"} for n, t in enumerate(TEXTS)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for number in range(3):
        sound(tmp_path / f"{number}.wav", 200 + number, rate=48_000)
    found = open_dataset("folder", tmp_path)
    calls = found.turns()
    assert [[t.text for t in c.turns] for c in calls.conversations] == [[t] for t in TEXTS]
    assert {c.group for c in calls.conversations} == {"రాణి"}
    assert all(t.key is None for c in calls.conversations for t in c.turns)
    heard = found.utterances(calls.conversations[1])
    assert [u.name for u in heard] == ["1"]
    assert heard[0].pcm.dtype == np.int16
    assert len(heard[0].pcm) == pytest.approx(0.6 * 16_000, abs=2)
    assert open_dataset("folder", tmp_path).turns().sha256 == calls.sha256
    sound(tmp_path / "2.wav", 300, rate=48_000)
    assert open_dataset("folder", tmp_path).turns().sha256 != calls.sha256
    (tmp_path / "1.wav").unlink()
    with pytest.raises(DatasetError, match="put it back"):
        found.utterances(calls.conversations[1])


@pytest.mark.parametrize("style", ["header", "lj"])
def test_metadata_csv(tmp_path, style):
    for number in range(3):
        sound(tmp_path / ("wavs" if style == "lj" else ".") / f"{number}.wav")
    if style == "lj":
        lines = [f"{n}|{t}|{t}" for n, t in enumerate(TEXTS)]
    else:
        lines = ["file_name,transcription", *(f'{n}.wav,"{t}"' for n, t in enumerate(TEXTS))]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = open_dataset("folder", tmp_path)
    assert texts(found) == TEXTS
    assert not found.refused


def test_bad_rows_are_named_and_the_others_stay(tmp_path):
    bad = tmp_path / "bad"
    sound(bad / "good.wav")
    (bad / "empty.wav").touch()
    (bad / "corrupt.wav").write_bytes(b"RIFF\x10\x00\x00\x00WAVEnot a sound at all")
    (bad / "text.wav").write_text("this is text")
    sound(bad / "phone.wav", rate=8_000)
    sound(bad / "short.wav", seconds=0.05)
    write_wav(bad / "silent.wav", np.zeros(16_000, np.int16), 16_000)
    write_wav(bad / "stereo.wav", np.stack([tone(), tone(hz=300)], axis=1), 16_000)
    with wave.open(str(bad / "headed.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    sound(bad / "wordless.wav")
    names = ["good", "empty", "corrupt", "text", "phone", "short", "silent", "stereo", "headed"]
    rows = [{"audio": f"{n}.wav", "text": TEXTS[0], "id": n} for n in (*names, "gone", "good")]
    lines = [json.dumps(r, ensure_ascii=False) for r in rows]
    lines += ['{"audio": "wordless.wav", "id": "wordless"}', "{broken", '{"text": "అ"}']
    (bad / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = open_dataset("folder", bad)
    assert [c.id for c in found.clips] == ["good"]
    why = reasons(found)
    expected = {
        "empty": "an empty file",
        "corrupt": "not a readable audio file",
        "text": "not a readable audio file",
        "phone": "8000 Hz",
        "short": "0.05 s",
        "silent": "digital silence",
        "stereo": "2 channels",
        "headed": "holds no samples",
        "gone": "cannot be read",
        "good": "there twice",
        "wordless": "no reference text",
        "row 13": "names no sound",
        "row 14": "names no sound",
    }
    assert why.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in why.items()), why


def test_common_voice(tmp_path):
    head = "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage"
    rows = [
        f'a1\tcommon_voice_te_{n}.mp3\ts{n}\t"{t}\t\t2\t0\t' for n, t in enumerate(TEXTS)
    ]  # a lone quotation mark is part of the sentence
    (tmp_path / "test.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    (tmp_path / "clips").mkdir()
    for number in range(2):
        clip = tmp_path / "clips" / f"common_voice_te_{number}.mp3"
        soundfile.write(str(clip), tone(rate=32_000), 32_000, format="MP3")
    found = open_dataset("common-voice", tmp_path)
    assert texts(found) == [f'"{t}' for t in TEXTS[:2]]
    assert {c.speaker for c in found.clips} == {"a1"}
    assert list(reasons(found)) == ["common_voice_te_2"]
    with pytest.raises(DatasetError, match="splits there: test"):
        open_dataset("common-voice", tmp_path, "dev")


def test_fleurs(tmp_path):
    home = tmp_path / "te_in"
    home.mkdir()
    rows = [f"{7 + n // 2}\t{n}.wav\t{t}.\t{t}\tక |\t9600\tFEMALE" for n, t in enumerate(TEXTS)]
    (home / "test.tsv").write_text("\n".join([*rows, "9\t9.wav"]) + "\n", encoding="utf-8")
    (home / "audio").mkdir()
    (home / "audio" / "test.tar.gz").touch()
    with pytest.raises(DatasetError, match=r"unpack .*test\.tar\.gz"):
        open_dataset("fleurs", home)
    for number in range(3):
        sound(home / "audio" / "test" / f"{number}.wav")
    found = open_dataset("fleurs", home)
    assert texts(found) == TEXTS
    assert [c.speaker for c in found.clips] == ["sentence-7", "sentence-7", "sentence-8"]
    assert "fewer than 4 columns" in reasons(found)["line 4 of test.tsv"]
    assert len(open_dataset("fleurs", home, limit=2).clips) == 2


def test_indicvoices_raw(tmp_path):
    home = tmp_path / "Telugu" / "v1" / "test"
    sound(home / "0a1b_0.wav", seconds=3.0)
    said = [
        {"start": 0.0, "end": 1.0, "text": TEXTS[0] + " [noise]", "speaker_id": 0},
        {"start": 1.0, "end": 2.0, "text": "మీరు ఏం చేస్తారు", "speaker_id": 1},
        {"start": 2.0, "end": 2.5, "text": TEXTS[1], "speaker_id": 0},
        {"start": 2.9, "end": 9.0, "text": TEXTS[2], "speaker_id": 0},
    ]
    normal = [s | {"text": s["text"].removesuffix(" [noise]")} for s in said]
    whole = {"verbatim": said, "normalized": normal, "speaker_id": "S42", "scenario": "Extempore"}
    (home / "0a1b_0.json").write_text(json.dumps(whole, indent=2), encoding="utf-8")
    (home / "torn.json").write_text('{"verbatim": [', encoding="utf-8")
    found = open_dataset("indicvoices", tmp_path)
    assert texts(found) == TEXTS[:2]  # the asker is left out
    assert {c.speaker for c in found.clips} == {"S42"}
    lengths = [len(found.utterances(c)[0].pcm) for c in found.turns().conversations]
    assert lengths == [16_000, 8_000]
    why = reasons(found)
    assert "0.10 s" in why["Telugu/v1/test/0a1b_0#4"]
    assert "JSON cannot be read" in why["Telugu/v1/test/torn"]


def test_indicvoices_manifest(tmp_path):
    home = tmp_path / "telugu" / "test"
    lines = []
    for number, text in enumerate(TEXTS):
        sound(home / f"c_{number}.wav")
        row = {"audio_filepath": f"/elsewhere/audios/c_{number}.wav", "text": text, "lang": "te"}
        lines.append(json.dumps(row | {"speaker_id": f"S{number}"}))
    (home / "c.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = open_dataset("indicvoices", tmp_path)
    assert texts(found) == TEXTS
    assert [c.speaker for c in found.clips] == ["S0", "S1", "S2"]


def test_kathbath(tmp_path):
    home = tmp_path / "telugu" / "test_known"
    names = [f"84442493{n}-59{n % 2}-f" for n in range(3)]
    lines = [f"{name}.m4a\t{text}" for name, text in zip(names, TEXTS, strict=True)]
    home.mkdir(parents=True)
    (home / "transcription_n2w.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in names[:2]:
        sound(home / "audio" / f"{name}.wav")
    (home / "audio" / f"{names[2]}.m4a").write_bytes(b"\x00\x00\x00 ftypM4A ")
    found = open_dataset("kathbath", tmp_path, "test_known")
    assert texts(found) == TEXTS[:2]
    assert [c.speaker for c in found.clips] == ["590", "591"]
    assert "ffmpeg" in reasons(found)[names[2]]
    with pytest.raises(DatasetError, match="unpack transcripts"):
        open_dataset("kathbath", tmp_path, "valid")


def parquet_rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number, text in enumerate(TEXTS):
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes((tone() * 32_767).astype(np.int16).tobytes())
        audio = {"bytes": buffer.getvalue(), "path": f"seg_{number}.wav"}
        rows.append({"audio_filepath": audio, "text": text, "speaker_id": "S1"})
    return rows


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_parquet_of_a_hub(tmp_path):
    arrow = importlib.import_module("pyarrow")
    table = arrow.Table.from_pylist(parquet_rows())
    importlib.import_module("pyarrow.parquet").write_table(
        table, tmp_path / "test-00000-of-00001.parquet"
    )
    found = open_dataset("indicvoices", tmp_path)
    assert texts(found) == TEXTS
    assert [c.id for c in found.clips] == ["seg_0", "seg_1", "seg_2"]
    with pytest.raises(DatasetError, match="splits there: test"):
        open_dataset("kathbath", tmp_path, "valid")


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_parquet_without_pyarrow_names_the_remedy(tmp_path):
    (tmp_path / "test-00000-of-00001.parquet").touch()
    with pytest.raises(DatasetError, match="pip install pyarrow"):
        open_dataset("indicvoices", tmp_path)


def test_rows_of_a_hub_hold_their_sound(tmp_path):
    rows = list(keyed(parquet_rows(), tmp_path))
    assert [(r.id, r.text, r.speaker) for r in rows] == [
        (f"seg_{n}", text, "S1") for n, text in enumerate(TEXTS)
    ]
    assert all(isinstance(r.audio, bytes) and r.audio[:4] == b"RIFF" for r in rows)


def test_nothing_to_read_is_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match="known are folder, common-voice"):
        open_dataset("librispeech", tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset("folder", tmp_path / "none")
    with pytest.raises(DatasetError, match="no row of folder"):
        open_dataset("folder", tmp_path)
