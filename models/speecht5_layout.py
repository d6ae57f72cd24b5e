"""A SpeechT5 voice on disk: transformers' own files, read from the hub's directories as they are.

The acoustic model's directory is that of `microsoft/speecht5_tts`; ours hold the voices beside it
and the vocoder (the files of `microsoft/speecht5_hifigan`) in `vocoder/`. One thing is ours alone:
the weights of a small voice may lie there in 8 bits (`int8_files`). Knows nothing of how they are
run.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import SpeechT5Config, SpeechT5ForTextToSpeech, SpeechT5HifiGan
from transformers.utils import logging

from models import int8_files
from models.speecht5_mel import BANDS, FLOOR, HIGHEST, HOP, LOWEST, SAMPLE_RATE, WINDOW
from models.speecht5_text import FILE, Characters
from models.speecht5_voices import Voices

VOCODER = "vocoder"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", int8_files.PACKED)


class SpeechT5Invalid(ValueError):
    """A directory that no SpeechT5 can be made of; the sentence names what is wrong."""


@dataclass(frozen=True)
class SpeechT5Parts:
    """What speaks. Frozen, in evaluation mode, float32."""

    acoustic: SpeechT5ForTextToSpeech
    vocoder: SpeechT5HifiGan
    characters: Characters
    voices: Voices


def load(
    folder: Path | str,
    vocoder: Path | str | None = None,
    *,
    voices: Voices | None = None,
    device: str = "cpu",
) -> SpeechT5Parts:
    """Reads a voice.

    Args:
        folder: the acoustic model, its vocabulary and (unless given) the voices.
        vocoder: another directory than `folder`/vocoder.
        voices: who speaks, instead of the directory's own.
        device: where it runs.

    Raises:
        SpeechT5Invalid: a file is missing or does not fit the others.
        VocabularyMissing, VoicesMissing: of those files.
    """
    folder = Path(folder)
    where = Path(vocoder) if vocoder else folder / VOCODER
    acoustic = load_acoustic(folder)
    characters = Characters.load(folder)
    rows = acoustic.config.vocab_size or 0
    if rows < len(characters):
        raise SpeechT5Invalid(
            f"{folder}: {FILE} has {len(characters)} characters, the model {rows}"
        )
    voices = voices or Voices.load(folder)
    width = acoustic.config.speaker_embedding_dim
    if voices.speakers.shape[1] != width:
        raise SpeechT5Invalid(
            f"{folder}: its voices have {voices.speakers.shape[1]} numbers, the model takes {width}"
        )
    made = load_vocoder(where)
    if made.config.model_in_dim != acoustic.config.num_mel_bins:
        raise SpeechT5Invalid(
            f"{where} takes {made.config.model_in_dim} mel bands, {folder} makes "
            f"{acoustic.config.num_mel_bins}"
        )
    return SpeechT5Parts(ready(acoustic, device), ready(made, device), characters, voices)


def load_acoustic(folder: Path) -> SpeechT5ForTextToSpeech:
    """The acoustic model, float32 on the CPU. Raises SpeechT5Invalid."""
    return _pretrained(SpeechT5ForTextToSpeech, folder, "maata train speecht5")


def load_vocoder(folder: Path) -> SpeechT5HifiGan:
    """The vocoder, float32 on the CPU. Raises SpeechT5Invalid."""
    made = _pretrained(SpeechT5HifiGan, folder, "maata train speecht5 --part vocoder")
    hop = 1
    for rate in made.config.upsample_rates:
        hop *= rate
    if hop != HOP or made.config.sampling_rate != SAMPLE_RATE:
        raise SpeechT5Invalid(
            f"{folder}: a vocoder of {hop} samples a frame at {made.config.sampling_rate} Hz; "
            f"SpeechT5 has {HOP} at {SAMPLE_RATE}"
        )
    return made


def _pretrained(kind, folder: Path, recipe: str):
    if not (folder / "config.json").is_file() or not any((folder / n).is_file() for n in _WEIGHTS):
        raise SpeechT5Invalid(
            f"{folder} holds no {kind.__name__} (config.json and {' or '.join(_WEIGHTS)}): fetch "
            f"it, or train one with '{recipe}'"
        )
    how = {"dtype": torch.float32, "output_loading_info": True, "local_files_only": True}
    try:
        with _quietly():
            if int8_files.is_packed(folder):
                config = kind.config_class.from_pretrained(folder, local_files_only=True)
                state = int8_files.read(folder)
                model, told = kind.from_pretrained(None, config=config, state_dict=state, **how)
            else:
                model, told = kind.from_pretrained(folder, **how)
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise SpeechT5Invalid(f"{folder} cannot be read ({error}): copy it again") from error
    if missing := sorted(told["missing_keys"]):
        raise SpeechT5Invalid(f"{folder}: its weights lack {missing[0]}: copy it again")
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' progress bars, nor its words on what a hub's file holds beside."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def ready(model, device: str):
    """Frozen, without dropout (but for the decoder's prenet, which keeps its own)."""
    return model.eval().requires_grad_(False).to(device)


def save(
    parts: SpeechT5Parts,
    folder: Path,
    *,
    vocabulary: Path,
    floor: float = FLOOR,
    int8: bool = False,
) -> Path:
    """Writes a directory that `load` reads, and transformers if it is fp16; whole or not at all.

    Args:
        parts: what is written; they are left as they are.
        folder: replaced when it is there.
        vocabulary: the `spm_char.model` of `parts.characters`.
        floor: the quietest mel value the model was trained on.
        int8: store matrices in 8 bits, half of fp16; only `load` here reads that.
    """
    write = write_int8 if int8 else write_half
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    write(parts.acoustic, scratch)
    write(parts.vocoder, scratch / VOCODER)
    shutil.copyfile(vocabulary, scratch / FILE)
    parts.voices.save(scratch)
    write_json(scratch / "preprocessor_config.json", _features(floor))
    write_json(scratch / "tokenizer_config.json", _tokenizer(parts.acoustic.config))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return folder


def write_half(model, folder: Path) -> None:
    """Writes config and fp16 weights; the model keeps its own precision."""
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    kept = model.config.dtype
    model.config.dtype = torch.float16
    with _quietly():
        model.save_pretrained(folder, state_dict=halves)
    (folder / _WEIGHTS[0]).chmod(0o644)  # safetensors lets nobody else read what it writes
    model.config.dtype = kept
    (folder / "generation_config.json").unlink(missing_ok=True)


def write_int8(model, folder: Path) -> None:
    """Writes config and weights in 8 bits."""
    model.config.save_pretrained(folder)
    int8_files.write(model.state_dict(), folder)


def write_json(path: Path, content: dict[str, object]) -> None:
    """Writes an object as readers of the hub's files expect it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_floor(folder: Path) -> float:
    """The mel floor of a directory; the hub's when it names none."""
    path = folder / "preprocessor_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return float(config.get("mel_floor", FLOOR))


def _features(floor: float) -> dict[str, object]:
    """As `SpeechT5FeatureExtractor` reads it; lengths in milliseconds."""
    return {
        "feature_extractor_type": "SpeechT5FeatureExtractor",
        "processor_class": "SpeechT5Processor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "num_mel_bins": BANDS,
        "hop_length": HOP * 1000 // SAMPLE_RATE,
        "win_length": WINDOW * 1000 // SAMPLE_RATE,
        "win_function": "hann_window",
        "fmin": LOWEST,
        "fmax": HIGHEST,
        "mel_floor": floor,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": False,
        "return_attention_mask": True,
    }


def _tokenizer(config: SpeechT5Config) -> dict[str, object]:
    return {
        "tokenizer_class": "SpeechT5Tokenizer",
        "processor_class": "SpeechT5Processor",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": config.max_text_positions,
        "normalize": False,
    }
