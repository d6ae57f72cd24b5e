"""Speech recognition with Whisper checkpoints through CTranslate2: samples in, Telugu text out.

Serves two kinds of checkpoint. One trained on windows of any length (the starter recogniser; its
`preprocessor_config.json` says so) encodes just the audio there is, which on a CPU is ten times
faster than Whisper's 30 seconds; its letter head (`letters.py`) spells what was heard. Official
multilingual ones get their 30 seconds, are told that the language is Telugu and write with their
decoder. Knows nothing of turns, streams or Pipecat.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import Tokenizer

from models.audio import to_float32
from models.converted import ct2_dir
from models.letters import LetterHead
from models.mel import BANDS, HOP, SAMPLE_RATE, log_mel, pad_frames

FRAME_RATE = SAMPLE_RATE // HOP  # mel frames a second
CONTEXT = 448  # decoder positions of every Whisper
SHORTEST = SAMPLE_RATE // 10  # samples; no Telugu word is shorter than 100 ms
_QUIET_WINDOW = SAMPLE_RATE // 20  # 50 ms, a pause between words


@dataclass(frozen=True)
class Transcript:
    """What was said in one stretch of audio."""

    text: str  # empty when nothing was said, or nothing that can be relied on
    avg_logprob: float  # nats a token (of a letter head: a letter), 0 is certain
    no_speech_prob: float  # 0..1; 1 for audio that was not worth decoding or has no letters
    seconds: float  # of audio


@dataclass(frozen=True)
class Guards:
    """When a transcript is dropped: Whispers write fluent text for noise if nobody stops them."""

    speech_dbfs: float = -55.0  # the loudest 50 ms must pass this
    no_speech_prob: float = 0.6  # as in Whisper's own transcribe()
    avg_logprob: float = -1.0  # ditto
    # Of a letter head, nats a letter: 1 % of 240 damaged clips were under -1.4, none of 400 noises
    # that it found letters in was over -2.
    letter_logprob: float = -1.5
    tokens_per_second: float = 24.0  # of a Telugu vocabulary, about twice the fastest speaker
    repeats: int = 4  # the same phrase more often in a row is a decoder loop


# Byte-level vocabularies need 13 to 15 tokens for a Telugu word, and people say 3 words a second.
_BYTES_PER_SECOND = 48.0


@dataclass(frozen=True)
class Windows:
    """How long the pieces of audio are that the encoder gets."""

    longest: int  # mel frames
    step: int  # windows are padded to a multiple of this; equal to `longest` for 30 s padding
    bands: int


class Recognizer:
    """A loaded checkpoint. `transcribe` may be called from several threads at once."""

    def __init__(
        self,
        model: ctranslate2.models.Whisper,
        tokenizer: Tokenizer,
        windows: Windows,
        guards: Guards,
        letters: LetterHead | None,
    ) -> None:
        """Use `load`."""
        self._model = model
        self._letters = letters
        self._tokenizer = tokenizer
        self._windows = windows
        self._guards = guards
        self._end = tokenizer.token_to_id("<|endoftext|>")
        self._prompt = _prompt(tokenizer)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "cpu",
        compute_type: str = "int8",
        threads: int = 2,
        guards: Guards | None = None,
    ) -> "Recognizer":
        """Loads a transformers or CTranslate2 directory.

        Args:
            path: the directory; converted once if it is in transformers' layout.
            device: `cpu` or `cuda`.
            compute_type: a CTranslate2 type, such as `int8`, `float32`, `float16`.
            threads: how many transcriptions run at once on a CPU, each on one core.
            guards: when to drop a transcript; the default suits calls.

        Raises:
            ValueError: the directory is no Whisper checkpoint with a tokenizer.json.
        """
        folder = ct2_dir(Path(path), compute_type)
        if not (folder / "tokenizer.json").is_file():
            raise ValueError(f"{path} has no tokenizer.json: it is no complete Whisper checkpoint")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        if tokenizer.token_to_id("<|startoftranscript|>") is None:
            raise ValueError(f"{path}: its tokenizer.json is not a Whisper's")
        model = ctranslate2.models.Whisper(
            str(folder),
            device=device,
            compute_type=compute_type,
            inter_threads=threads if device == "cpu" else 1,
            intra_threads=1,
        )
        letters = LetterHead.load(folder)
        return cls(model, tokenizer, _windows(folder), guards or _guards(tokenizer), letters)

    def transcribe(self, pcm: np.ndarray) -> Transcript:
        """What is said in float32 (or int16) [T] at 16 kHz; blocks and releases the GIL.

        Empty text for silence, noise, and what the guards do not believe. Audio longer than the
        model's window is cut at its quietest moments and transcribed piece by piece.
        """
        pcm = np.nan_to_num(to_float32(np.asarray(pcm)).reshape(-1))
        seconds = len(pcm) / SAMPLE_RATE
        if len(pcm) < SHORTEST or loudest_dbfs(pcm) < self._guards.speech_dbfs:
            return Transcript("", 0.0, 1.0, seconds)
        # One frame less than the window: the mel of n hops has n + 1 frames.
        pieces = split_at_pauses(pcm, (self._windows.longest - 1) * HOP)
        parts = [self._transcribe_window(piece) for piece in pieces]
        heard = [part for part in parts if part.text] or parts[:1]
        return Transcript(
            " ".join(part.text for part in heard if part.text),
            float(np.mean([part.avg_logprob for part in heard])),
            min(part.no_speech_prob for part in parts),
            seconds,
        )

    def _transcribe_window(self, pcm: np.ndarray) -> Transcript:
        seconds = len(pcm) / SAMPLE_RATE
        if len(pcm) < SHORTEST or loudest_dbfs(pcm) < self._guards.speech_dbfs:
            return Transcript("", 0.0, 1.0, seconds)
        mel = log_mel(pcm, self._windows.bands)
        frames = math.ceil(mel.shape[1] / self._windows.step) * self._windows.step
        features = ctranslate2.StorageView.from_array(
            np.ascontiguousarray(pad_frames(mel, min(frames, self._windows.longest))[None])
        )
        if self._letters:
            return self._spell(self._letters, features, mel.shape[1], seconds)
        return self._write(features, seconds)

    def _spell(
        self,
        letters: LetterHead,
        features: ctranslate2.StorageView,
        frames: int,
        seconds: float,
    ) -> Transcript:
        """By the letter head, from the encoder alone; `frames` of the features are sound."""
        encoded = self._model.encode(features, to_cpu=True)
        states = np.array(encoded.to(ctranslate2.DataType.float32))[0, : (frames + 1) // 2]
        heard = letters.hear(states)
        text = without_loops(heard.text, self._guards.repeats)
        believed = text and heard.avg_logprob > self._guards.letter_logprob
        return Transcript(
            text if believed else "", heard.avg_logprob, 0.0 if text else 1.0, seconds
        )

    def _write(self, features: ctranslate2.StorageView, seconds: float) -> Transcript:
        """By the decoder, token after token."""
        limit = 8 + math.ceil(seconds * self._guards.tokens_per_second)
        result = self._model.generate(
            features,
            [self._prompt],
            beam_size=1,
            max_length=min(CONTEXT, 2 * limit),  # CTranslate2 writes at most half of it
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        ids = [token for token in result.sequences_ids[0] if token < self._end]
        text = without_loops(self._tokenizer.decode(ids).strip(), self._guards.repeats)
        believed = (
            result.no_speech_prob < self._guards.no_speech_prob
            and result.scores[0] > self._guards.avg_logprob
        )
        return Transcript(
            text if believed else "", float(result.scores[0]), result.no_speech_prob, seconds
        )


def loudest_dbfs(pcm: np.ndarray) -> float:
    """RMS of the loudest 50 ms of float32 [T], relative to full scale."""
    usable = len(pcm) // _QUIET_WINDOW * _QUIET_WINDOW
    if usable == 0:
        return -math.inf
    power = np.square(pcm[:usable].reshape(-1, _QUIET_WINDOW)).mean(axis=1).max()
    return 10.0 * math.log10(power) if power > 0 else -math.inf


def split_at_pauses(pcm: np.ndarray, longest: int) -> list[np.ndarray]:
    """[T] -> consecutive pieces of at most `longest` samples, cut in the quietest 50 ms.

    The cut lies in the last half of what would fit, so pieces do not become fragments.
    """
    pieces: list[np.ndarray] = []
    while len(pcm) > longest:
        first = longest // 2
        windows = pcm[first:longest][: (longest - first) // _QUIET_WINDOW * _QUIET_WINDOW]
        power = np.square(windows.reshape(-1, _QUIET_WINDOW)).mean(axis=1)
        # Of equally quiet moments the latest: fewer pieces.
        quietest = len(power) - 1 - int(power[::-1].argmin())
        at = first + quietest * _QUIET_WINDOW + _QUIET_WINDOW // 2
        pieces.append(pcm[:at])
        pcm = pcm[at:]
    return [*pieces, pcm]


def without_loops(text: str, repeats: int) -> str:
    """Keeps one of a phrase of 1 to 6 words that stands more than `repeats` times in a row."""
    words = text.split()
    for size in range(1, 7):
        at = 0
        while at + size <= len(words):
            phrase, end = words[at : at + size], at + size
            while words[end : end + size] == phrase:
                end += size
            if (end - at) // size > repeats:
                words[at:end] = phrase
            at += 1
    return " ".join(words)


def _prompt(tokenizer: Tokenizer) -> list[int]:
    """Start, language and task where the vocabulary has them, no timestamps."""
    tokens = ["<|startoftranscript|>"]
    if tokenizer.token_to_id("<|te|>") is not None:
        tokens += ["<|te|>", "<|transcribe|>"]
    ids = [tokenizer.token_to_id(token) for token in (*tokens, "<|notimestamps|>")]
    return [token for token in ids if token is not None]


def _guards(tokenizer: Tokenizer) -> Guards:
    multilingual = tokenizer.token_to_id("<|te|>") is not None
    return Guards(tokens_per_second=_BYTES_PER_SECOND) if multilingual else Guards()


def _windows(folder: Path) -> Windows:
    """Whisper's 30 seconds, unless the checkpoint says it was trained on windows of any length."""
    path = folder / "preprocessor_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    bands = int(config.get("feature_size", BANDS))
    if not config.get("variable_windows"):
        return Windows(3000, 3000, bands)
    longest = round(float(config["max_window_seconds"]) * FRAME_RATE)
    return Windows(longest, int(config["window_step_frames"]), bands)
