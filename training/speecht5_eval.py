"""What a voice says, listened to: is it all there, is it understood, does attention keep its place?

Speaks test clauses through the very code that serves them. Knows nothing of training.
"""

from dataclasses import dataclass

import numpy as np
import torch

from models.mel import SAMPLE_RATE as HEARD_RATE
from models.speecht5_decoder import Decoder
from models.speecht5_mel import SAMPLE_RATE
from models.speecht5_text import Characters
from models.speecht5_voices import Voices
from models.speecht5_watch import Watch, step_limit
from models.telugu.wer import cer
from models.whisper import Recognizer
from training import speecht5_griffin
from training.speecht5_log import Log
from training.speecht5_speech import Recordings

KEPT = 4  # clauses whose sound and pictures are kept, and rated
assert SAMPLE_RATE == HEARD_RATE  # the recogniser hears what is spoken, without resampling


@dataclass(frozen=True)
class Said:
    """One clause, decoded on its own."""

    mel: np.ndarray  # float32 [F, BANDS]
    attention: np.ndarray  # float32 [T, S], mean over heads
    fault: str  # of `speecht5_watch`; empty when it was said to its end


@torch.inference_mode()
def say(acoustic, voices: Voices, characters: Characters, recordings: Recordings) -> list[Said]:
    """Every test clause in its own voice and emotion, all at once."""
    encoded = [characters.encode(job.text) for job in recordings.jobs]
    longest = max(map(len, encoded))
    # Spoken once with these weights: nothing is worth recording.
    decoder = Decoder(acoustic, voices.decoding, rows=len(encoded), characters=longest, fixed=False)
    held = bool(voices.decoding.ahead)
    rows, frames, looks, watches = {}, {}, {}, {}
    for number, (ids, job) in enumerate(zip(encoded, recordings.jobs, strict=True)):
        speaker = voices.embedding(job.voice, job.emotion)
        row = decoder.join(ids, speaker, seed=number, limit=step_limit(len(ids)))
        rows[id(row)] = number
        frames[number], looks[number] = [], []
        watches[number] = Watch(len(ids), row.limit, held)
    while made := decoder.step():
        for row, step in made:
            number = rows[id(row)]
            frames[number].append(step.frames)
            looks[number].append(step.attention[: len(encoded[number])].clone())
            watches[number].step(step.at, step.stop)
            if watches[number].over or watches[number].fault:
                decoder.leave(row)
    return [
        Said(
            decoder.postnet(torch.cat(frames[number])).cpu().numpy(),
            torch.stack(looks[number]).cpu().numpy(),
            watches[number].fault,
        )
        for number in range(len(encoded))
    ]


@torch.inference_mode()
def voiced(mels: list[np.ndarray], vocoder) -> list[np.ndarray]:
    """float32 sound of each spectrogram; by Griffin-Lim where there is no vocoder."""
    if vocoder is None:
        return [speecht5_griffin.sound(mel) for mel in mels]
    device = next(vocoder.parameters()).device
    return [vocoder(torch.from_numpy(mel).to(device)).cpu().numpy() for mel in mels]


def letter_error_rate(recognizer: Recognizer, sounds: list[np.ndarray], texts: list[str]) -> float:
    """te-std CER, pooled, of what the recogniser hears at 16 kHz."""
    heard = [recognizer.transcribe(np.pad(sound, 1600)).text for sound in sounds]
    return cer(list(zip(texts, heard, strict=True))).rate


def keep(log: Log, step: int, sounds: list[np.ndarray], recordings: Recordings) -> None:
    """Writes the first clauses as they were said, beside the originals."""
    for number, sound in enumerate(sounds[:KEPT]):
        log.sound(step, f"said-{number}", sound)
        log.sound(step, f"original-{number}", recordings.pcm(number))


def keep_attention(log: Log, step: int, said: list[Said]) -> None:
    """Writes pictures of the first clauses' attention: steps to the right, characters upwards."""
    for number, one in enumerate(said[:KEPT]):
        log.picture(step, f"attention-{number}", one.attention.T)
