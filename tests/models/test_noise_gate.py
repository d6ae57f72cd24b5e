"""The gate between a codec's hum and the bot's voice."""

import numpy as np

from models.audio import to_int16
from models.noise_gate import HOLD_FRAMES, NoiseGate

FRAME = 1920


def frame(level: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(FRAME) * 10 ** (level / 20)
    return to_int16(noise.astype(np.float32))


def test_idle_noise_becomes_silence() -> None:
    gate = NoiseGate()
    for n in range(50):
        assert not gate.frame(frame(-60, n)).any()


def test_speech_passes_unchanged_and_its_tail_too() -> None:
    gate = NoiseGate()
    gate.frame(frame(-20))
    for n in range(20):
        said = frame(-25, n)
        assert np.array_equal(gate.frame(said), said)
    for n in range(HOLD_FRAMES):
        tail = frame(-58, n)
        assert np.array_equal(gate.frame(tail), tail)
    assert not gate.frame(frame(-58))[FRAME // 2 :].any()
    assert not gate.frame(frame(-58)).any()


def test_borders_are_faded() -> None:
    gate = NoiseGate()
    flat = np.full(FRAME, 5000, dtype=np.int16)
    opened = gate.frame(flat)
    assert abs(int(opened[0])) < 50
    assert np.abs(np.diff(opened.astype(int))).max() < 60
    assert np.array_equal(opened[FRAME // 2 :], flat[FRAME // 2 :])
