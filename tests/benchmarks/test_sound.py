"""Clipping and gaps of sounds whose figures are known, and the reader of stereo files."""

import numpy as np
import pytest

from benchmarks.sound.measures import longest_gap_ms, measure
from benchmarks.sound.stereo import read_bot
from models.audio import AudioError, write_stereo, write_wav

RATE = 24_000


def tone(seconds: float, hertz: float = 220.0, level: float = 0.3) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def test_a_clean_tone_has_its_peak_and_no_clipping():
    found = measure(tone(1.0, level=0.5), RATE)
    assert found.clipped == 0
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.longest_gap_ms == 0


def test_clipping_counts_samples_at_full_scale_of_both_signs():
    pcm = tone(1.0)
    pcm[:120], pcm[1000:1120] = 1.0, -1.0
    assert measure(pcm, RATE).clipped == pytest.approx(240 / RATE)
    loud = np.full(1000, 32767, np.int16)
    assert measure(loud, RATE).clipped == 1.0


def test_the_longest_gap_is_inside_the_answer():
    silence = [np.zeros(round(s * RATE), np.float32) for s in (2.0, 0.3, 0.7, 3.0)]
    lead, short, long, trail = silence
    pcm = np.concatenate([lead, tone(0.5), short, tone(0.5), long, tone(0.5), trail])
    assert longest_gap_ms(pcm, RATE) == pytest.approx(700, abs=2)


def test_silence_has_no_figures():
    found = measure(np.zeros(RATE, np.float32), RATE)
    assert (found.clipped, found.peak_dbfs, found.longest_gap_ms) == (None, None, None)
    assert measure(np.zeros(0, np.float32), RATE).clipped is None


def test_the_bots_side_is_the_right_channel(tmp_path):
    path = tmp_path / "call.wav"
    write_stereo(path, tone(1.0, 300), tone(0.5, 500, 0.2), RATE)
    pcm, rate = read_bot(path)
    assert (rate, len(pcm)) == (RATE, RATE)
    assert np.allclose(pcm[: RATE // 2], tone(0.5, 500, 0.2), atol=1e-4)
    assert not pcm[RATE // 2 :].any()


@pytest.mark.parametrize("case", ["missing", "corrupt", "empty", "mono", "no samples"])
def test_a_recording_that_is_none_is_said(tmp_path, case):
    path = tmp_path / "call.wav"
    if case == "corrupt":
        path.write_bytes(b"RIFF" + bytes(range(200)))
    elif case == "empty":
        path.write_bytes(b"")
    elif case == "mono":
        write_wav(path, tone(0.2), RATE)
    elif case == "no samples":
        write_stereo(path, tone(0), tone(0), RATE)
    with pytest.raises(AudioError, match=r"call\.wav"):
        read_bot(path)
