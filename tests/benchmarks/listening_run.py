"""A small run directory to make listening kits of: voiced tones in place of answers, no model.

Two engines by default, one louder than the other; knows how rows and recordings lie.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.suite.rows import ANSWERED, TURNS, TurnRow, append

RATE = 24_000
WORDS = "మీ ఆర్డర్ రేపు వస్తుంది."


def voiced(seconds: float, pitch: float, seed: int, level: float) -> np.ndarray:
    """Syllables of a buzzing tone: float32 `[T]`, RMS about `level`."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * t + rng.uniform(0, 6)) / k for k in range(1, 12))
    shaped = np.asarray(buzz) * np.abs(np.sin(2 * np.pi * 2.5 * t))
    return (shaped * level / np.sqrt(np.mean(shaped**2))).astype(np.float32)


def write_run(
    run: Path,
    engines: Sequence[str] = ("s2s", "cascade"),
    conversations: int = 2,
    turns: int = 3,
    seconds: float = 0.6,
) -> list[TurnRow]:
    """Writes audio and rows; every answer begins a second after the one before ended."""
    (run / "audio").mkdir(parents=True)
    rows: list[TurnRow] = []
    for e, engine in enumerate(engines):
        for c in range(conversations):
            track = [np.zeros(RATE, np.float32)]
            for turn in range(1, turns + 1):
                start = sum(map(len, track)) * 1000 / RATE
                pcm = voiced(seconds, 110 + 60 * e, 100 * c + turn, 0.02 * 5**e)
                track += [pcm, np.zeros(RATE, np.float32)]
                rows.append(
                    TurnRow(
                        engine=engine,
                        suite="listening-test",
                        conversation=f"c{c}",
                        turn=turn,
                        repeat=0,
                        order=c,
                        status=ANSWERED,
                        bot_text=WORDS,
                        bot_start_ms=start,
                        bot_end_ms=start + seconds * 1000,
                        v2v_ms=300.0,
                        audio=f"audio/{e}-{c}.flac",
                    )
                )
            right = np.concatenate(track)
            left = np.full_like(right, 0.25)  # the caller, loud: must never be heard by raters
            stereo = np.stack([left, right], axis=1)
            soundfile.write(str(run / f"audio/{e}-{c}.flac"), stereo, RATE, subtype="PCM_16")
    append(run / TURNS, rows)
    return rows
