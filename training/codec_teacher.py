"""A recogniser's encoder states beside the recordings: what the semantic codebook is to carry.

Distillation as in Mimi (Moshi, arXiv 2410.00037, section 3.3.2): the states of a speech encoder,
averaged over 160 ms, are what a projection of the first quantizer's output is to point at. They are
computed once for each recording, clean and whole, and averaged every 40 ms, so that crops may begin
on any of those. Knows nothing of the codec.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import WhisperForConditionalGeneration

from models.audio import resample
from models.codec import SAMPLE_RATE
from models.mel import SAMPLE_RATE as HEARD_RATE
from models.mel import log_mel, pad_frames
from training.asr_network import HybridWhisper
from training.codec_speech import Recordings
from training.utterances import Progress

STEP = SAMPLE_RATE // 25  # samples between two averages: 40 ms, two of Whisper's states


class TeacherMissing(ValueError):
    """There is no recogniser to learn from where one was named."""


class Teacher:
    """A Whisper's encoder on windows of any length."""

    def __init__(self, folder: Path) -> None:
        """Loads a directory in transformers' layout.

        Raises:
            TeacherMissing: the directory holds no Whisper checkpoint.
        """
        weights = folder / "model.safetensors"
        if not weights.is_file() or not (folder / "config.json").is_file():
            raise TeacherMissing(
                f"{folder} holds no recogniser: train one with 'maata train asr' or give another "
                "directory with --asr"
            )
        whisper = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self._network = HybridWhisper(whisper.config, 1)
        self._network.whisper = whisper
        self._network.eval().requires_grad_(False)
        self.width: int = whisper.config.d_model
        self.name = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]

    def states(self, pcm: np.ndarray) -> np.ndarray:
        """float32 [T] at 24 kHz -> float32 [N, width], one average a 40 ms."""
        mel = log_mel(resample(pcm, SAMPLE_RATE, HEARD_RATE))
        mel = pad_frames(mel, mel.shape[1] + mel.shape[1] % 2)
        with torch.no_grad():
            states = self._network.encode(torch.from_numpy(mel)[None])  # [1, 20 ms, width]
            if states.shape[1] < 8:
                return np.zeros((0, self.width), np.float32)
            # Average k covers states 2k-2 .. 2k+5: 160 ms around the middle of an 80 ms frame
            # that begins at 40 k ms.
            pooled = F.avg_pool1d(
                states.transpose(1, 2), 8, stride=2, padding=2, count_include_pad=False
            )
        return pooled[0].T.numpy()


class States:
    """The states of some recordings, on disk."""

    def __init__(self, path: Path) -> None:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self._offsets: list[int] = index["offsets"]
        stored = np.memmap(path.with_suffix(".f16"), np.float16, "r")
        self._states = stored.reshape(-1, index["width"])
        self.mean = np.array(index["mean"], np.float32)
        self.deviation = np.array(index["deviation"], np.float32)

    def at(self, index: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Every second average from `first` on: float32 [count, width], and bool [count].

        Each dimension has mean 0 and variance 1 over all recordings: raw states share a direction
        that says nothing. Frames outside the recording are zero, and False.
        """
        begin, end = self._offsets[index], self._offsets[index + 1]
        places = begin + first + 2 * np.arange(count)
        known = (places >= begin) & (places < end)
        rows = np.zeros((count, self._states.shape[1]), np.float32)
        rows[known] = (self._states[places[known]] - self.mean) / self.deviation
        return rows, known


def remember(recordings: Recordings, teacher: Teacher, *, progress: Progress | None = None) -> Path:
    """Computes the states of every recording once, or finds them; returns what `States` reads."""
    path = recordings.path.with_name(f"{recordings.path.name}-{teacher.name}")
    if path.with_suffix(".json").exists():
        return path
    offsets = [0]
    total, squares = np.zeros((2, teacher.width))
    scratch = path.with_suffix(f".{os.getpid()}.part")
    with scratch.open("wb") as file:
        for index in range(len(recordings)):
            states = teacher.states(recordings.pcm(index))
            file.write(states.astype(np.float16).tobytes())
            offsets.append(offsets[-1] + len(states))
            total += states.sum(0)
            squares += np.square(states).sum(0)
            if progress and ((index + 1) % 100 == 0 or index + 1 == len(recordings)):
                progress(index + 1, len(recordings))
    mean = total / max(1, offsets[-1])
    deviation = np.sqrt(np.maximum(squares / max(1, offsets[-1]) - mean**2, 1e-6))
    scratch.rename(path.with_suffix(".f16"))
    index_file = path.with_suffix(f".{os.getpid()}.json.part")
    shape = {"width": teacher.width, "mean": mean.tolist(), "deviation": deviation.tolist()}
    index_file.write_text(json.dumps({"offsets": offsets, **shape}))
    index_file.rename(path.with_suffix(".json"))
    return path
