"""Clipping, gaps and joins of sounds whose figures are known."""

import numpy as np
import pytest

from benchmarks.sound import joins_jump, longest_gap_ms, measure, read_bot
from models.audio import AudioError, write_stereo, write_wav

RATE = 24_000


def tone(seconds: float, hertz: float = 220.0, level: float = 0.3) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def speechlike(seconds: float) -> np.ndarray:
    """Harmonics whose pitch and loudness never rest."""
    at = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (140 * at + 3 * np.sin(2 * np.pi * 1.7 * at))
    loud = 0.6 + 0.35 * np.sin(2 * np.pi * 3.1 * at)
    return (0.15 * loud * sum(np.sin(k * phase) / k for k in range(1, 20))).astype(np.float32)


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


def test_a_join_of_two_sounds_is_more_abrupt_than_speech():
    """The same two voices, joined hard, stand out; blended over 40 ms, much less."""
    one, other = speechlike(2.0), speechlike(3.0)[RATE // 2 : RATE // 2 + 2 * RATE]
    hard = np.concatenate([one, 0.4 * other[::-1]])
    blend = RATE * 40 // 1000
    slope = np.linspace(0, 1, blend, dtype=np.float32)
    middle = one[-blend:] * (1 - slope) + 0.4 * other[::-1][:blend] * slope
    soft = np.concatenate([one[:-blend], middle, 0.4 * other[::-1][blend:]])
    jump = joins_jump(hard, RATE, [2 * RATE])
    assert jump is not None
    assert jump > 0.98
    blended = joins_jump(soft, RATE, [2 * RATE - blend // 2])
    assert blended is not None
    assert blended < jump


def test_clicks_at_joins_stand_out():
    """Steps up and down again, as between chunks that do not fit."""
    pcm = speechlike(6.0)
    joins = [round(at * RATE) for at in np.linspace(0.5, 5.5, 12)]
    before = joins_jump(pcm, RATE, joins)
    for join, until in zip(joins[::2], joins[1::2], strict=True):
        pcm[join:until] += 0.2
    after = joins_jump(pcm, RATE, joins)
    assert before is not None
    assert after is not None
    assert before < 0.7
    assert after > 0.9


def test_places_without_a_join_are_ordinary():
    pcm = speechlike(6.0)
    places = [round(at * RATE) for at in np.linspace(0.5, 5.5, 21)]
    found = [joins_jump(pcm, RATE, [place]) for place in places]
    assert np.mean([f for f in found if f is not None]) == pytest.approx(0.5, abs=0.15)


def test_joins_that_cannot_be_compared_have_no_figure():
    assert joins_jump(speechlike(1.0), RATE, []) is None
    assert joins_jump(speechlike(1.0), RATE, [5 * RATE]) is None
    assert joins_jump(np.zeros(RATE, np.float32), RATE, [RATE // 2]) is None
    assert joins_jump(tone(0.005), RATE, [10]) is None


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
