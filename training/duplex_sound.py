"""From a laid-out dialogue to the sound of its two channels.

The agent's channel is clean: speech at the project's level, digital silence between. The caller's
is what a microphone and a line make of it: any level, a room, noise, a telephone's band, sounds
that are no speech, and now and then the agent itself out of the caller's loudspeaker. Callers are
heard through 16 kHz, as the call page sends them. Knows nothing of words.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.audio import resample, to_int16
from models.mel import SAMPLE_RATE
from training import noise
from training.duplex_mix import Mix
from training.duplex_script import Placed, Script
from training.duplex_timeline import RATE

AGENT_DBFS = -20.0  # while speaking: the level at which the project's voices speak
_KNEE, _CEILING = 0.7, 0.98  # the limiter is linear below the knee, never above the ceiling

# dB, uniform.
CALLER_DBFS = (-38.0, -16.0)  # a far microphone .. a close one
SNR = (5.0, 40.0)  # background under the caller's speech
ECHO_DBFS = (-55.0, -35.0)  # what an echo canceller leaves of the agent
ECHO_DELAY = (40, 250)  # milliseconds: loudspeaker, room, microphone and their buffers
BURSTS = (1, 3)  # sounds that are no speech in one dialogue
BURST_SECONDS = (0.3, 2.0)


@dataclass(frozen=True)
class Line:
    """What lies between the caller's mouth and the agent's ear; None: nothing of the kind."""

    dbfs: float  # of the caller while speaking
    snr: float | None  # dB
    room: bool
    telephone: bool
    echo: tuple[float, int] | None  # dBFS and delay in milliseconds


def draw_line(mix: Mix, rng: random.Random) -> Line:
    """A caller's line by the chances of `mix`."""

    def happens(chance: float) -> bool:
        return rng.random() < chance

    return Line(
        dbfs=rng.uniform(*CALLER_DBFS) if happens(mix.loudness) else AGENT_DBFS,
        snr=rng.uniform(*SNR) if happens(mix.background) else None,
        room=happens(mix.room),
        telephone=happens(mix.telephone),
        echo=(rng.uniform(*ECHO_DBFS), rng.randint(*ECHO_DELAY)) if happens(mix.echo) else None,
    )


def place_bursts(script: Script, mix: Mix, rng: random.Random) -> list[tuple[int, int]]:
    """Where something is heard that is no speech: `[start, end)` in samples, also marked."""
    if rng.random() >= mix.noise:
        return []
    places: list[tuple[int, int]] = []
    for _ in range(rng.randint(*BURSTS)):
        samples = round(rng.uniform(*BURST_SECONDS) * RATE)
        start = rng.randrange(max(script.samples - samples, 1))
        places.append((start, min(start + samples, script.samples)))
        script.mark("noise", *places[-1])
    return places


def agent_channel(script: Script, emphasis_db: float) -> np.ndarray:
    """int16 `[T]` at 24 kHz: nothing but the agent's voice, `emphasis_db` over its usual level."""
    track = _track(script.agent, script.samples)
    pcm = track * _gain(track, script.agent, AGENT_DBFS + emphasis_db)
    size = np.abs(pcm)
    room = _CEILING - _KNEE
    bent = np.sign(pcm) * (_KNEE + room * np.tanh((size - _KNEE) / room))
    return to_int16(np.where(size > _KNEE, bent, pcm))


def user_channel(
    script: Script,
    line: Line,
    bursts: Sequence[tuple[int, int]],
    agent: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """int16 `[T]` at 24 kHz: the caller over `line`; `agent` is the int16 channel that may leak."""
    track = _track(script.user, script.samples)
    speech = resample(track * _gain(track, script.user, line.dbfs), RATE, SAMPLE_RATE)
    pcm = noise.reverberate(speech, rng) if line.room else speech
    if line.snr is not None:
        pcm = pcm + _amplitude(line.dbfs - line.snr) * noise.noise(len(pcm), rng)
    if line.echo:
        pcm = pcm + _echo(agent, *line.echo, rng)
    for start, end in bursts:
        at = start * SAMPLE_RATE // RATE
        burst = noise.non_speech(rng, (end - start) / RATE)[: len(pcm) - at]
        pcm[at : at + len(burst)] += burst
    if line.telephone:
        pcm = noise.telephone_band(pcm)
    return to_int16(np.clip(resample(pcm, SAMPLE_RATE, RATE), -1.0, 1.0))


def _track(placed: Sequence[Placed], samples: int) -> np.ndarray:
    track = np.zeros(samples, np.float32)
    for one in placed:
        pcm = one.said.pcm[: samples - one.start]
        track[one.start : one.start + len(pcm)] += pcm
    return track


def _gain(track: np.ndarray, placed: Sequence[Placed], dbfs: float) -> float:
    """What brings the words of `placed` to a mean level of `dbfs`."""
    spans = [(word.start, word.end) for one in placed for word in one.words]
    count = sum(end - start for start, end in spans)
    if not count:
        return 1.0
    energy = sum(float(np.square(track[start:end]).sum()) for start, end in spans)
    return _amplitude(dbfs) / max(float(np.sqrt(energy / count)), 1e-6)


def _echo(agent: np.ndarray, dbfs: float, delay_ms: int, rng: np.random.Generator) -> np.ndarray:
    """The agent as the caller's microphone hears it, float32 at 16 kHz."""
    heard = resample(agent.astype(np.float32) / 32768.0, RATE, SAMPLE_RATE)
    late = delay_ms * SAMPLE_RATE // 1000
    heard = np.concatenate((np.zeros(late, np.float32), heard[: len(heard) - late]))
    return noise.reverberate(heard, rng) * _amplitude(dbfs - AGENT_DBFS)


def _amplitude(db: float) -> float:
    return 10.0 ** (db / 20.0)
