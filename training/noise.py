"""What happens to speech between a mouth and a recogniser: rooms, telephones, noise, a VAD's cuts.

Every function takes float32 [T] at 16 kHz in -1..1 and a numpy generator, and returns float32 of
about the same length. Knows nothing of text or models.
"""

from functools import lru_cache

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from models.mel import SAMPLE_RATE

Rng = np.random.Generator
_BANK_SECONDS = 60


@lru_cache(maxsize=1)
def _bank() -> dict[str, np.ndarray]:
    """A minute of each noise at RMS 1: white, pink (-3 dB/octave), brown (-6), hum, hiss, room."""
    rng = np.random.default_rng(0)
    samples = _BANK_SECONDS * SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hertz = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 20.0)
    shapes = {
        "white": np.ones_like(hertz),
        "pink": hertz**-0.5,
        "brown": hertz**-1.0,
        "hiss": (hertz > 2500) + 0.05,
        # Fans and traffic: strong under 300 Hz, weak above 3 kHz.
        "room": 1.0 / (1.0 + (hertz / 250.0) ** 2) + 0.02,
    }
    bank = {name: np.fft.irfft(spectrum * shape, samples) for name, shape in shapes.items()}
    seconds = np.arange(samples) / SAMPLE_RATE
    mains = sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in range(1, 8))
    bank["hum"] = np.asarray(mains) + 0.05 * bank["pink"] / bank["pink"].std()
    return {name: (x / x.std()).astype(np.float32) for name, x in bank.items()}


def noise(samples: int, rng: Rng) -> np.ndarray:
    """A stretch of one of the noises at RMS 1, in a third of them drifting by a few dB."""
    bank = _bank()
    track = bank[rng.choice(sorted(bank))]
    start = int(rng.integers(0, len(track) - 1))
    piece = np.take(track, np.arange(start, start + samples), mode="wrap")
    if rng.random() < 0.35:
        knots = rng.uniform(-6.0, 6.0, 2 + samples // SAMPLE_RATE)  # dB
        drift = np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots)
        piece = piece * (10.0 ** (drift / 20.0)).astype(np.float32)
    return piece


def add_noise(pcm: np.ndarray, snr_db: float, rng: Rng) -> np.ndarray:
    """Mixes a noise in, `snr_db` under the mean power of `pcm`."""
    level = float(np.sqrt(np.mean(np.square(pcm)) + 1e-12)) * 10.0 ** (-snr_db / 20.0)
    return pcm + level * noise(len(pcm), rng)


def reverberate(pcm: np.ndarray, rng: Rng) -> np.ndarray:
    """A room: the direct sound and an exponentially decaying tail (RT60 0.1 to 0.5 s)."""
    rt60 = rng.uniform(0.1, 0.5)
    samples = int(rt60 * SAMPLE_RATE)
    # 60 dB of decay over rt60 is a factor e**-6.9.
    tail = rng.standard_normal(samples) * np.exp(-6.9 * np.arange(samples) / samples)
    response = np.zeros(samples + 32, np.float32)
    response[32:] = tail / np.sqrt(np.sum(tail**2)) * rng.uniform(0.1, 0.7)
    response[0] = 1.0
    return np.asarray(fftconvolve(pcm, response))[: len(pcm)].astype(np.float32)


@lru_cache(maxsize=1)
def _telephone() -> np.ndarray:
    # G.712's band
    return np.asarray(butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos"))


def telephone_band(pcm: np.ndarray) -> np.ndarray:
    """300 to 3,400 Hz."""
    return np.asarray(sosfilt(_telephone(), pcm)).astype(np.float32)


def cut(pcm: np.ndarray, rng: Rng) -> np.ndarray:
    """As a VAD cuts: up to half a second of silence around, now and then a clipped beginning."""
    if rng.random() < 0.08:
        pcm = pcm[int(rng.uniform(0.01, 0.06) * SAMPLE_RATE) :]
    before, after = (int(x * SAMPLE_RATE) for x in rng.uniform(0.0, 0.5, 2))
    return np.pad(pcm, (before, after))


def level(pcm: np.ndarray, rng: Rng) -> np.ndarray:
    """A peak between -26 dBFS and full scale; one in twenty is overdriven and clipped."""
    peak = float(np.abs(pcm).max()) + 1e-9
    if rng.random() < 0.05:
        return np.clip(pcm / peak * 10.0 ** (rng.uniform(1.0, 10.0) / 20.0), -1.0, 1.0)
    return pcm / peak * 10.0 ** (rng.uniform(-26.0, 0.0) / 20.0)


def augment(pcm: np.ndarray, rng: Rng) -> np.ndarray:
    """One plausible way for clean speech [T] to arrive: [T + up to 1 s]; half nearly clean."""
    pcm = cut(pcm, rng)
    if rng.random() < 0.3:
        pcm = reverberate(pcm, rng)
    if rng.random() < 0.6:
        pcm = add_noise(pcm, rng.uniform(5.0, 40.0), rng)
    if rng.random() < 0.2:
        pcm = telephone_band(pcm)
    return level(pcm, rng).astype(np.float32)


def non_speech(rng: Rng, seconds: float) -> np.ndarray:
    """Nothing said, float32 [T]: near silence, a noise, clicks, or a noise that comes and goes."""
    samples = int(seconds * SAMPLE_RATE)
    kind = rng.random()
    pcm = noise(samples, rng) * 10.0 ** (rng.uniform(-75.0, -20.0) / 20.0)
    if kind < 0.15:
        return np.zeros(samples, np.float32)
    if kind < 0.35:  # clicks: keys, a microphone touched
        for at in rng.integers(0, samples, rng.integers(1, 8)):
            burst = rng.standard_normal(int(rng.integers(20, 800))) * rng.uniform(0.02, 0.4)
            burst *= np.exp(-np.arange(len(burst)) / 100.0)
            pcm[at : at + len(burst)] += burst[: samples - at]
    elif kind < 0.5:  # a passing car, a breath
        pcm = pcm * np.hanning(samples)
    elif kind < 0.6:  # a tone: a dial tone, a beep
        seconds_axis = np.arange(samples) / SAMPLE_RATE
        pcm = pcm * 0.1 + rng.uniform(0.01, 0.3) * np.sin(
            2 * np.pi * rng.uniform(200, 2000) * seconds_axis
        )
    return np.clip(pcm, -1.0, 1.0).astype(np.float32)
