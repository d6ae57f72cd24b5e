"""What a codec does to speech it never heard: spectra, words, noise of its own.

Works on a Mimi and clips; knows nothing of how it was trained.
"""

from pathlib import Path

import numpy as np
import torch
from moshi.models.compression import MimiModel
from torch import Tensor

from models.audio import resample, write_wav
from models.codec import SAMPLE_RATE, codes_of, pcm_of, quantizers
from models.mel import SAMPLE_RATE as HEARD_RATE
from models.telugu.wer import cer, wer
from models.whisper import Recognizer
from training.asr_tokenizer import letters_text
from training.codec_batches import damage
from training.codec_letters import LetterHead
from training.codec_losses import SpectralDistance

Clip = tuple[np.ndarray, str]  # float32 [T] at 24 kHz, reference

QUIET_FRAMES = 25  # 2 s


def reconstruct(mimi: MimiModel, clips: list[Clip]) -> list[np.ndarray]:
    """Every clip through the codec, cut to its length."""
    return [pcm_of(mimi, codes_of(mimi, pcm))[: len(pcm)] for pcm, _ in clips]


def log_mel_distance(made: list[np.ndarray], clips: list[Clip]) -> float:
    """Nats, mean over clips and the resolutions of `codec_losses.SCALES`."""
    distance = SpectralDistance()
    pairs = zip(made, clips, strict=True)
    found = [
        distance(torch.from_numpy(a)[None], torch.from_numpy(b)[None])[1] for a, (b, _) in pairs
    ]
    return float(torch.stack(found).mean())


def word_error_rate(recognizer: Recognizer, sounds: list[np.ndarray], clips: list[Clip]) -> float:
    """te-std, pooled, of what the recogniser hears in `sounds` at 24 kHz."""
    heard = [recognizer.transcribe(resample(s, SAMPLE_RATE, HEARD_RATE)).text for s in sounds]
    return wer([(text, said) for (_, text), said in zip(clips, heard, strict=True)]).rate


@torch.no_grad()
def letter_error_rate(
    mimi: MimiModel, head: LetterHead, clips: list[Clip], *, noisy: bool = False
) -> float:
    """CER of the letters that the training's head reads off the first codebook, greedily."""
    rng = np.random.default_rng(0)
    pairs = []
    for pcm, text in clips:
        heard = damage(pcm, rng)[0] if noisy else pcm
        # Half a frame of silence on either side: the grid of 80 ms must not cut the last letter.
        codes = torch.from_numpy(codes_of(mimi, np.pad(heard, (960, 1_920))))[None]
        semantic = quantizers(mimi)[0].decode(codes[:, :1])
        pairs.append((text, greedy(head(semantic)[0])))
    return cer(pairs).rate


def greedy(log_probs: Tensor) -> str:
    """The text of the likeliest CTC path of [S, V]."""
    best = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return letters_text([letter for letter in best if letter])


def idle_peak(mimi: MimiModel) -> float:
    """Largest sample (full scale 1) that comes of two seconds of digital silence."""
    silence = np.zeros(QUIET_FRAMES * mimi.frame_size, np.float32)
    return float(np.abs(pcm_of(mimi, codes_of(mimi, silence))).max())


def write_samples(folder: Path, name: str, made: list[np.ndarray], clips: list[Clip]) -> None:
    """The first two clips and what became of them, as WAVs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (pcm, (original, _)) in enumerate(zip(made[:2], clips[:2], strict=True)):
        write_wav(folder / f"{name}-{number}.wav", pcm, SAMPLE_RATE)
        write_wav(folder / f"{name}-{number}-original.wav", original, SAMPLE_RATE)
