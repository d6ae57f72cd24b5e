"""The listening kit: blind, equally loud, the same turns for all, or refused with a reason."""

import base64
import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.listening import kit as listening
from benchmarks.listening.kit import KitError, run_kit, write_kit
from benchmarks.listening.sound import (
    FORMATS,
    LEVEL_DBFS,
    LONGEST_S,
    PADDING_MS,
    RATE,
    active_level,
    levelled,
    spoilt,
)
from benchmarks.sound.stereo import Form, encoded
from benchmarks.suite.rows import SILENT, TURNS, append
from models.audio import AudioError
from tests.benchmarks.listening_run import voiced, write_run


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "r"
    write_run(run)
    return write_kit(run, run / "kit", per_engine=4)


def key_of(page: Path) -> dict[str, Any]:
    return json.loads((page.parent / "key.json").read_text(encoding="utf-8"))


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="kit">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def pcm_of(data: dict[str, Any], name: str) -> np.ndarray:
    pcm, rate = soundfile.read(io.BytesIO(base64.b64decode(data["clips"][name])))
    assert rate == RATE
    return pcm


def test_same_turns_of_every_engine_and_all_pairs(kit: Path) -> None:
    key = key_of(kit)
    engine_clips = [c for c in key["clips"].values() if c["role"] == "engine"]
    places: dict[str, set[tuple[str, int]]] = {"s2s": set(), "cascade": set()}
    for clip in engine_clips:
        places[clip["engine"]].add((clip["conversation"], clip["turn"]))
    assert places["s2s"] == places["cascade"]
    assert len(places["s2s"]) == 4
    assert Counter(c for c, _ in places["s2s"]) == {"c0": 2, "c1": 2}  # spread over both
    pairs = [p for p in key["pairs"] if p["role"] == "engine"]
    assert len(pairs) == 4
    for pair in pairs:
        a, b = key["clips"][pair["a"]], key["clips"][pair["b"]]
        assert {a["engine"], b["engine"]} == {"s2s", "cascade"}
        assert (a["conversation"], a["turn"]) == (b["conversation"], b["turn"])


def test_anchors_and_checks_are_in_the_key_alone(kit: Path) -> None:
    key, data = key_of(kit), data_of(kit)
    assert Counter(c["role"] for c in key["clips"].values()) == {
        "engine": 8,
        "low": 3,
        "high": 3,
        "check": 2,
    }
    assert all(1 <= c["expected"] <= 5 for c in key["clips"].values() if c["role"] == "check")
    checks = [p for p in key["pairs"] if p["role"] == "check"]
    assert [key["clips"][p["worse"]]["source"] for p in checks] == [p["a"] for p in checks]
    assert set(data) == {
        *("kit", "mime", "rate", "pairs", "practice", "seconds", "longest", "clips")
    }
    assert set(data["rate"]) == set(key["clips"]) == set(data["clips"])


def test_the_page_names_nobody_and_fetches_nothing(kit: Path) -> None:
    text = kit.read_text(encoding="utf-8")
    for clip in data_of(kit)["clips"].values():
        assert clip in text
        text = text.replace(clip, "")
    for name in ("s2s", "cascade", "moshi", "anchor", "synthesizer", "listening-test"):
        assert name not in text.lower()
    assert "http" not in re.sub(r'http-equiv|createElementNS\("[^"]+"', "", text)
    assert "default-src 'none'" in text


def test_clips_hold_the_bot_alone_equally_loud_without_metadata(kit: Path) -> None:
    data, key = data_of(kit), key_of(kit)
    assert data["mime"] == "audio/flac"
    for name, about in key["clips"].items():
        pcm = pcm_of(data, name)
        inside = pcm[RATE * PADDING_MS // 1000 :][: -RATE * PADDING_MS // 1000]
        assert active_level(inside.astype(np.float32)) == pytest.approx(LEVEL_DBFS, abs=0.3)
        assert abs(pcm[: RATE // 20]).max() < 1e-3  # silence first: no caller's constant 0.25
        raw = base64.b64decode(data["clips"][name])
        assert raw[:4] == b"fLaC"
        assert not re.search(rb"cascade|s2s|(?i:title|comment=|artist)", raw[: 4 + 38 + 200])
        assert about["seconds"] == pytest.approx(len(pcm) / RATE, abs=0.01)
    gains = {c["engine"]: c["gain_db"] for c in key["clips"].values() if c["role"] == "engine"}
    assert gains["s2s"] - gains["cascade"] == pytest.approx(20 * np.log10(5), abs=0.3)


def test_the_same_seed_makes_the_same_kit_and_another_one_another(tmp_path: Path) -> None:
    write_run(tmp_path / "r", conversations=1)
    how: dict[str, Any] = {"per_engine": 2, "anchors": False}
    pages = [
        write_kit(tmp_path / "r", tmp_path / n, seed=s, **how)
        for n, s in (("a", 0), ("b", 0), ("c", 1))
    ]
    one, same, other = (p.read_bytes() for p in pages)
    assert one == same
    assert data_of(pages[0])["kit"] != data_of(pages[2])["kit"]
    assert one != other
    assert {c["role"] for c in key_of(pages[0])["clips"].values()} == {"engine"}


def test_natural_recordings_are_the_high_anchors(tmp_path: Path) -> None:
    write_run(tmp_path / "r", conversations=1, turns=1)
    soundfile.write(str(tmp_path / "one.wav"), voiced(1.0, 200, 1, 0.1), RATE)
    (tmp_path / "two.wav").write_bytes(b"RIFF")
    natural = [tmp_path / "one.wav", tmp_path / "two.wav"]
    key = key_of(write_kit(tmp_path / "r", tmp_path / "k", natural=natural))
    high = [c for c in key["clips"].values() if c["role"] == "high"]
    assert [c["what"] for c in high] == ["natural: one.wav"]
    assert any("two.wav" in note for note in key["notes"])


def test_what_cannot_be_heard_is_named_and_the_rest_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "r"
    rows = write_run(run, conversations=3, turns=1)
    (run / "audio/0-0.flac").unlink()
    (run / "audio/0-1.flac").write_bytes(b"not audio")
    lost = replace(rows[0], conversation="c9", status=SILENT, bot_start_ms=None, audio=None)
    append(run / TURNS, [lost])
    assert run_kit(run, anchors=False) == 0
    key = key_of(run / "listening" / "listening.html")
    assert [p["role"] for p in key["pairs"]] == ["engine"]  # c2 is left
    said = capsys.readouterr().err
    assert "0-0.flac: no such file" in said
    assert "0-1.flac: not a readable audio file" in said
    assert "c9" not in said


def test_turns_of_one_engine_alone_fill_up_without_pairs(tmp_path: Path) -> None:
    rows = write_run(tmp_path / "r", conversations=1, turns=3)
    kept = [r for r in rows if r.engine == "s2s" or r.turn == 1]
    (tmp_path / "r" / TURNS).unlink()
    append(tmp_path / "r" / TURNS, kept)
    key = key_of(write_kit(tmp_path / "r", tmp_path / "k", per_engine=3, anchors=False))
    assert Counter(c["engine"] for c in key["clips"].values()) == {"s2s": 3, "cascade": 1}
    assert len(key["pairs"]) == 1
    assert "cascade: 1 of 3 clips wanted" in key["notes"]


def test_a_run_without_answers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_run(tmp_path / "r", conversations=1, turns=1)
    (tmp_path / "r" / TURNS).unlink()
    append(tmp_path / "r" / TURNS, [replace(r, warmup=True) for r in rows])
    with pytest.raises(KitError, match="no answer that can be played"):
        write_kit(tmp_path / "r", tmp_path / "k")
    assert run_kit(tmp_path / "none") == 2
    assert "no such file" in capsys.readouterr().err


def test_too_large_a_page_is_refused_and_a_large_one_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "r", conversations=1, turns=2, seconds=2.0)
    monkeypatch.setattr(listening, "MAX_BYTES", 150_000 + 100_000)
    page = write_kit(tmp_path / "r", tmp_path / "k", anchors=False)
    assert data_of(page)["mime"] == "audio/mpeg"
    monkeypatch.setattr(listening, "MAX_BYTES", 160_000)
    with pytest.raises(KitError, match="ask for fewer"):
        write_kit(tmp_path / "r", tmp_path / "k2", anchors=False)


def test_level_ignores_pauses_and_cuts_at_the_longest() -> None:
    speech = voiced(2.0, 120, 3, 0.05)
    paused = np.concatenate([speech, np.zeros(8 * RATE, np.float32), speech])
    assert active_level(paused) == pytest.approx(active_level(speech), abs=0.7)
    whole, _ = levelled(voiced(LONGEST_S + 3.0, 120, 3, 0.05))
    assert len(whole) == LONGEST_S * RATE + 2 * RATE // 10
    with pytest.raises(AudioError, match="nothing is heard"):
        levelled(np.zeros(RATE, np.float32))


def test_a_low_anchor_has_lost_its_treble_and_gained_noise() -> None:
    clean = voiced(2.0, 120, 3, 0.05)
    low = spoilt(clean, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(low)) ** 2
    hz = np.fft.rfftfreq(len(low), 1 / RATE)
    assert power[hz > 4000].sum() < 0.01 * power.sum()
    harmonic = np.zeros(len(hz), bool)
    for k in range(1, 12):
        harmonic |= abs(hz - 120 * k) < 8
    assert power[~harmonic].sum() > 0.1 * power.sum()  # the clean tone has next to nothing there


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f"{f.container}-{f.level}")
def test_every_format_keeps_the_sound(form: Form) -> None:
    clean = voiced(1.0, 120, 3, 0.1)
    pcm, rate = soundfile.read(io.BytesIO(encoded(clean, RATE, form)), dtype="float32")
    assert rate == RATE
    assert active_level(pcm) == pytest.approx(active_level(clean), abs=0.5)
