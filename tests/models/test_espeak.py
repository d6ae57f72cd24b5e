"""The espeak voices differ to the ear, stream, stop at once and share the synthesizer."""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.espeak import (
    Espeak,
    EspeakFailed,
    Settings,
    synthesize,
    synthesize_with_words,
    variants,
)
from models.voices import EMOTIONS, VOICES

pytest.importorskip("espeakng_loader")

TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు? నేను మీకు ఎలా సహాయం చేయగలను?"
WINDOW, HOP = 1024, 768  # samples at 22,050 Hz: 46 ms, 35 ms
IDS = [voice.id for voice in VOICES]


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    return Espeak()


def whole(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(chunks))


def measure(pcm: np.ndarray, rate: int) -> tuple[float, float, float]:
    """Median F0 in Hz, median spectral centroid in Hz, RMS in dBFS, all while speaking."""
    x = pcm.astype(np.float64) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]  # [N, WINDOW]
    rms = np.sqrt(np.square(frames).mean(axis=1))
    frames, rms = frames[rms > 0.15 * rms.max()], rms[rms > 0.15 * rms.max()]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), 2 * WINDOW))  # [N, WINDOW + 1]
    hertz = np.fft.rfftfreq(2 * WINDOW, 1 / rate)
    centroid = (spectrum * hertz).sum(axis=1) / spectrum.sum(axis=1)
    correlation = np.fft.irfft(np.square(spectrum))[:, :WINDOW]
    shortest, longest = rate // 400, rate // 60
    lags = shortest + correlation[:, shortest:longest].argmax(axis=1)
    voiced = correlation[np.arange(len(lags)), lags] > 0.5 * correlation[:, 0]
    level = 20 * np.log10(np.sqrt(np.square(rms).mean()))
    return float(np.median(rate / lags[voiced])), float(np.median(centroid)), float(level)


def test_every_voice_and_emotion_speaks(espeak):
    for voice, emotion in itertools.product(IDS, EMOTIONS):
        pcm = whole(espeak.stream("అవును, సరే.", voice, emotion))
        assert pcm.dtype == np.int16
        assert len(pcm) > 0.4 * espeak.sample_rate


def test_the_voices_differ_and_are_equally_loud(espeak):
    heard = {v: measure(whole(espeak.stream(TEXT, v)), espeak.sample_rate) for v in IDS}
    for one, other in itertools.combinations(IDS, 2):
        low, high = sorted((heard[one][0], heard[other][0]))
        assert high / low > 1.2, (one, other)  # over three semitones apart
    for one, other in (("arjun", "ravi"), ("priya", "lakshmi")):
        assert heard[one][1] / heard[other][1] > 1.15  # the younger of each pair is brighter
    assert heard["ravi"][0] < heard["arjun"][0] < 140 < heard["lakshmi"][0] < heard["priya"][0]
    for _, _, level in heard.values():
        assert level == pytest.approx(-20, abs=1.5)


def test_no_sample_clips(espeak):
    for voice in IDS:
        pcm = whole(espeak.stream(TEXT, voice, "angry", rate=1.3, pitch=1.2))
        assert np.abs(pcm.astype(int)).max() <= 0.98 * 32767 + 1


def test_emotions_are_heard_and_modest(espeak):
    for voice in ("ravi", "priya"):
        plain = whole(espeak.stream(TEXT, voice))
        f0, _, level = measure(plain, espeak.sample_rate)
        for emotion in EMOTIONS:
            pcm = whole(espeak.stream(TEXT, voice, emotion))
            pitch, _, loud = measure(pcm, espeak.sample_rate)
            changes = (abs(pitch / f0 - 1), abs(len(pcm) / len(plain) - 1), abs(loud - level) / 10)
            assert max(changes) < 0.35
            if emotion != "neutral":
                assert max(changes) > 0.015, emotion


def test_rate_and_pitch(espeak):
    plain = whole(espeak.stream(TEXT, "lakshmi"))
    fast = whole(espeak.stream(TEXT, "lakshmi", rate=1.5))
    high = whole(espeak.stream(TEXT, "lakshmi", pitch=1.25))
    assert 0.6 < len(fast) / len(plain) < 0.8
    f0 = measure(plain, espeak.sample_rate)[0]
    assert measure(high, espeak.sample_rate)[0] / f0 == pytest.approx(1.25, abs=0.08)


def test_pauses_follow_the_punctuation(espeak):
    def silence_behind(text: str) -> float:
        pcm = whole(espeak.stream(text, "priya"))
        return (len(pcm) - np.nonzero(np.abs(pcm.astype(int)) > 300)[0][-1]) / espeak.sample_rate

    assert silence_behind("నేను వస్తాను") < 0.05  # cut in mid-sentence: what follows joins on
    assert 0.05 < silence_behind("నేను వస్తాను,") < 0.25
    assert 0.2 < silence_behind("నేను వస్తాను.") < 0.45


def test_audio_leaves_before_the_text_is_spoken(espeak):
    text = "ఇది చాలా పొడవైన వాక్యం, " * 20
    next(espeak.stream("అవును", "arjun"))
    shares = []
    for _ in range(3):
        start = time.perf_counter()
        stream = espeak.stream(text, "arjun")
        first = next(stream)
        wait = time.perf_counter() - start
        assert 0 < len(first) <= 0.06 * espeak.sample_rate + 2
        assert sum(len(chunk) for chunk in stream) > 15 * espeak.sample_rate
        shares.append(wait / (time.perf_counter() - start))
    assert min(shares) < 0.1


def test_stop_ends_within_a_chunk(espeak):
    stop = threading.Event()
    stream = espeak.stream(TEXT * 5, "arjun", stop=stop)
    next(stream)
    next(stream)
    stop.set()
    assert list(stream) == []
    assert (
        len(whole(espeak.stream("అవును.", "arjun"))) < 2 * espeak.sample_rate
    )  # nothing left over


def test_closing_the_stream_frees_the_synthesizer(espeak):
    threads = threading.active_count()
    for _ in range(20):
        stream = espeak.stream(TEXT * 5, "priya")
        next(stream)
        stream.close()
    whole(espeak.stream("అవును.", "priya"))
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads


def test_four_calls_at_once_keep_their_own_words(espeak):
    texts = [" ".join(["ఒకటి రెండు మూడు."] * n) for n in (1, 2, 3, 4)]
    alone = [len(whole(espeak.stream(t, v))) for t, v in zip(texts, IDS, strict=True)]
    together: dict[int, list[int]] = {n: [] for n in range(4)}

    def call(n: int) -> None:
        for _ in range(10):
            together[n].append(len(whole(espeak.stream(texts[n], IDS[n]))))

    calls = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for thread in calls:
        thread.start()
    for thread in calls:
        thread.join()
    for n, lengths in together.items():
        # The synthesizer's flutter makes the same text a few milliseconds longer or shorter.
        assert lengths == pytest.approx([alone[n]] * 10, rel=0.02)


@pytest.mark.parametrize("text", ["", "   ", "...", "\0", "—"])
def test_nothing_to_say(espeak, text):
    pcm = list(espeak.stream(text, "ravi"))
    assert sum(len(chunk) for chunk in pcm) < espeak.sample_rate


def test_text_behind_a_nul_is_spoken(espeak):
    one, two = (len(whole(espeak.stream(t, "ravi"))) for t in ("ఒకటి రెండు", "ఒకటి\0రెండు"))
    assert two == pytest.approx(one, rel=0.05)


def test_bad_settings(espeak):
    with pytest.raises(ValueError, match="arjun, ravi, priya, lakshmi"):
        espeak.stream(TEXT, "nobody")
    with pytest.raises(ValueError, match="Unknown emotion"):
        espeak.stream(TEXT, "priya", "bored")
    with pytest.raises(ValueError, match="rate must lie between"):
        espeak.stream(TEXT, "priya", rate=9)
    with pytest.raises(ValueError, match="pitch must lie between"):
        espeak.stream(TEXT, "priya", pitch=float("nan"))
    with pytest.raises(EspeakFailed, match="no voice"):
        synthesize(TEXT, Settings("nobody"))


def test_training_speech():
    assert {"f3", "m3", "Andy"} <= set(variants())
    slow = synthesize("నేను రేపు వస్తాను", Settings("f3", 120, pitch=60))
    quick = synthesize("నేను రేపు వస్తాను", Settings("f3", 220, pitch=60))
    assert slow.dtype == np.int16
    assert len(slow) > 1.4 * len(quick)
    assert np.abs(slow[:400].astype(int)).max() > 300  # no silence before
    assert np.abs(slow[-2000:].astype(int)).max() > 300  # nor behind


def test_words_have_times():
    text = "పుస్తకం, నేను చదివాను — ఉదయం చదివాను."
    pcm, words = synthesize_with_words(text, Settings("m3"))
    assert [word for word, _, _ in words] == ["పుస్తకం,", "నేను", "చదివాను", "ఉదయం", "చదివాను."]
    times = [time for _, start, end in words for time in (start, end)]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= len(pcm)
    for _, start, end in words:
        assert end - start > 0.1 * 22_050
        assert np.abs(pcm[start:end].astype(int)).max() > 1000
    pause = pcm[words[0][2] : words[1][1]]  # behind the comma
    assert len(pause) > 0.1 * 22_050
    assert np.abs(pause.astype(int)).max() < 1000


@pytest.mark.parametrize("text", ["...", "—", "", "  "])
def test_what_nobody_pronounces_has_no_words(text: str):
    _, words = synthesize_with_words(text, Settings("m3"))
    assert words == []


def test_anusvara_is_m_at_the_end_of_a_word():
    """Spoken alike when written as the consonant it stands for; espeak's own reading is n."""

    def spectrum(text: str) -> np.ndarray:
        # espeak's samples depend a little on what it said before: the mean of several tells more.
        takes = [synthesize(text, Settings("m3", pitch_range=0)) for _ in range(8)]
        pcm = np.concatenate(takes).astype(float)
        frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP]
        return np.log(np.abs(np.fft.rfft(frames * np.hanning(WINDOW))).mean(axis=0) + 1)

    written, as_m, as_n = (spectrum(f"కా{end} కా{end} కా{end}") for end in ("ం", "మ్", "న్"))
    assert np.abs(written - as_m).mean() < 0.6 * np.abs(written - as_n).mean()


def test_without_the_extra_the_error_names_it():
    """The GPL wheel is an extra: the module imports without it and says how to get it."""
    code = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "import models.espeak as e\n"
        "try: e.Espeak()\n"
        "except e.EspeakMissing as error: print(error)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert "pip install maata[espeak]" in done.stdout
