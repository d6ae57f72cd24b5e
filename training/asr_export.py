"""A trained recogniser as a transformers directory: what `models.whisper` and CTranslate2 read.

Beside Whisper's own files lie the CTC head and a letter model (`models.letters`), which other
readers of the directory do not mind. Written whole or not at all, so that nobody reads a mixture.
"""

import json
import shutil
from pathlib import Path

from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperForConditionalGeneration

from models.letter_lm import LetterLM
from models.letters import save_head
from models.mel import BANDS, HOP, N_FFT, SAMPLE_RATE
from training.asr_batches import FRAME_STEP
from training.asr_network import HybridWhisper
from training.asr_tokenizer import LETTERS, SPECIALS

# Longest window in training: 8 s of speech and up to half a second of silence on both sides.
MAX_WINDOW_SECONDS = 9.0


def export(
    network: HybridWhisper, tokenizer: PreTrainedTokenizerFast, letter_lm: LetterLM, target: Path
) -> Path:
    """Writes weights (fp16), tokenizer and configs to `target`, replacing what was there.

    `letter_lm` is what the CTC head's letters are weighed with when they are served.
    """
    scratch = target.with_name(target.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    whisper = WhisperForConditionalGeneration(network.whisper.config)
    whisper.load_state_dict(network.whisper.state_dict())
    whisper.generation_config = _generation_config(tokenizer)
    whisper.half().save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    (scratch / "preprocessor_config.json").write_text(json.dumps(_preprocessor(), indent=2) + "\n")
    head = network.ctc_head
    weight, bias = (p.detach().float().cpu().numpy() for p in (head.weight, head.bias))
    save_head(scratch, weight, bias, "".join(LETTERS), letter_lm)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    return target


def _generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """Never write a special token inside a text, never end before one when one is begun."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIALS}
    end = ids["<|endoftext|>"]
    return GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        suppress_tokens=sorted(i for t, i in ids.items() if t != "<|endoftext|>"),
        begin_suppress_tokens=[],
        no_timestamps_token_id=ids["<|notimestamps|>"],
        max_length=448,
        is_multilingual=False,
    )


def _preprocessor() -> dict[str, object]:
    """Whisper's feature extractor, and in the last two what windows the model was trained on."""
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": BANDS,
        "sampling_rate": SAMPLE_RATE,
        "hop_length": HOP,
        "n_fft": N_FFT,
        "chunk_length": 30,
        "n_samples": 30 * SAMPLE_RATE,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "variable_windows": True,
        "max_window_seconds": MAX_WINDOW_SECONDS,
        "window_step_frames": FRAME_STEP,
    }
