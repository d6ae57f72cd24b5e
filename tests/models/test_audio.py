"""Files of every shape are read or refused in words; ends and onsets are found to the sample."""

import io

import numpy as np
import pytest
import soundfile

from models.audio import (
    AudioError,
    audible,
    dbfs,
    first_audible,
    read_wav,
    resample,
    speech_end,
    to_float32,
    to_int16,
    write_stereo,
)


def tone(seconds: float, rate: int, level: float = 0.3, hz: float = 220.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype("f4")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_mono(tmp_path, rate, channels):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.repeat(tone(1.0, rate)[:, None], channels, axis=1), rate)
    pcm = read_wav(path, 16_000)
    assert pcm.dtype == np.float32
    assert pcm.shape == (16_000,)
    middle = slice(1_000, -1_000)  # a resampler rings at the cut edges of a tone
    assert np.abs(pcm[middle] - tone(1.0, 16_000)[middle]).max() < 2e-3


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_any_sample_format(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.5, 16_000), 16_000, subtype=subtype)
    assert np.abs(read_wav(path, 16_000) - tone(0.5, 16_000)).max() < 0.02


def test_bad_files_are_refused_with_their_name(tmp_path):
    text, empty, nan = tmp_path / "text.wav", tmp_path / "empty.wav", tmp_path / "nan.wav"
    text.write_text("not audio")
    soundfile.write(empty, np.zeros(0, "f4"), 16_000)
    soundfile.write(nan, np.full(100, np.nan, "f4"), 16_000, subtype="FLOAT")
    for path, words in [
        (tmp_path / "absent.wav", "no such file"),
        (tmp_path, "no such file"),
        (text, "not a readable audio file"),
        (empty, "no samples"),
        (nan, "not numbers"),
    ]:
        with pytest.raises(AudioError, match=words) as e:
            read_wav(path, 16_000)
        assert path.name in str(e.value)
    with pytest.raises(AudioError, match="not a readable"):
        read_wav(io.BytesIO(b"RIFF"), 16_000)


def test_int16_round_trip_and_clipping():
    pcm = np.array([-32768, -1, 0, 1, 32767], np.int16)
    assert (to_int16(to_float32(pcm)) == pcm).all()
    assert to_int16(np.array([2.0, -2.0], "f4")).tolist() == [32767, -32768]
    with pytest.raises(AudioError, match="int32"):
        to_int16(np.zeros(3, np.int32))


def test_stereo_keeps_both_sides(tmp_path):
    write_stereo(tmp_path / "s.wav", tone(0.5, 24_000), tone(1.0, 24_000, hz=440), 24_000)
    frames, rate = soundfile.read(tmp_path / "s.wav", dtype="float32")
    assert (frames.shape, rate) == ((24_000, 2), 24_000)
    assert np.abs(frames[:12_000, 0] - tone(0.5, 24_000)).max() < 1e-4
    assert not frames[12_000:, 0].any()
    assert np.abs(frames[:, 1] - tone(1.0, 24_000, hz=440)).max() < 1e-4


def test_levels():
    assert dbfs(tone(1.0, 16_000, level=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(np.zeros(10, np.int16)) == float("-inf")
    assert dbfs(np.zeros(0, np.int16)) == float("-inf")


def test_resampling_moves_nothing():
    """A click stays where it was: the recording's clock survives 16 to 24 kHz."""
    pcm = np.zeros(16_000, np.int16)
    pcm[8_000] = 20_000
    up = resample(pcm, 16_000, 24_000)
    assert (len(up), up.dtype) == (24_000, np.int16)
    assert abs(int(np.argmax(np.abs(up.astype(int)))) - 12_000) <= 1


@pytest.mark.parametrize("rate", [16_000, 24_000])
@pytest.mark.parametrize("lead_ms", [0, 3, 250, 1_001])
def test_onset_and_end_are_exact(rate, lead_ms):
    lead = rate * lead_ms // 1000
    noise = np.random.default_rng(0).normal(0, 1e-3, lead + 2 * rate).astype("f4")  # -60 dBFS
    noise[lead : lead + rate] += np.sign(tone(1.0, rate)) * 0.2
    assert first_audible(noise, rate) == pytest.approx(lead, abs=rate // 500)
    assert speech_end(noise, rate) == pytest.approx(lead + rate, abs=rate // 500)
    assert first_audible(noise, rate, lead + rate + rate // 10) is None


def test_a_click_is_not_speech_and_a_pause_is_not_the_end():
    rate = 16_000
    pcm = np.zeros(3 * rate, "f4")
    pcm[rate // 2] = 0.9  # a click, before
    pcm[rate : rate + rate // 2] = tone(0.5, rate)
    pcm[2 * rate : 2 * rate + rate // 4] = tone(0.25, rate)
    pcm[-rate // 4] = 0.9  # a click, after
    assert [s.start // 160 for s in audible(pcm, rate)] == [100, 200]
    end = speech_end(pcm, rate)
    assert end is not None
    assert abs(end - (2 * rate + rate // 4)) < 20  # a tone ends in its last crest


def test_silence_has_neither_onset_nor_end():
    assert speech_end(np.zeros(16_000, np.int16), 16_000) is None
    assert first_audible(np.zeros(0, np.int16), 16_000) is None
