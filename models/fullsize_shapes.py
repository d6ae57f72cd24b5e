"""The engines' shapes as published, and the same architectures small enough for a test.

Time depends on shapes and not on weights, so nothing here is loaded from anywhere: no hub, no
tokenizer. Knows no device and no clock.
"""

import copy
from dataclasses import dataclass
from typing import Any

from moshi.models import loaders

Config = dict[str, Any]


@dataclass(frozen=True)
class Shapes:
    """Keyword dictionaries of the libraries' own configurations."""

    moshi: Config  # of `moshi.models.loaders.get_moshi_lm`
    mimi: Config  # of `moshi.models.loaders.get_mimi`
    whisper: dict[str, Config]  # of `transformers.WhisperConfig`, by name
    llama: dict[str, Config]  # of `transformers.LlamaConfig`
    speecht5: Config  # of `transformers.SpeechT5Config`
    vocoder: Config  # of `transformers.SpeechT5HifiGanConfig`


# The shapes of openai/whisper-large-v3 and -turbo, as their config.json has them.
_WHISPER: Config = {
    "vocab_size": 51_866,
    "num_mel_bins": 128,
    "d_model": 1_280,
    "encoder_layers": 32,
    "decoder_layers": 32,
    "encoder_attention_heads": 20,
    "decoder_attention_heads": 20,
    "encoder_ffn_dim": 5_120,
    "decoder_ffn_dim": 5_120,
    "max_source_positions": 1_500,
    "max_target_positions": 448,
}
# meta-llama/Llama-3.2-1B-Instruct; its scaling of the rotary frequencies changes no shape.
_LLAMA: Config = {
    "vocab_size": 128_256,
    "hidden_size": 2_048,
    "intermediate_size": 8_192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131_072,
    "rope_theta": 500_000.0,
    "tie_word_embeddings": True,
}


def full() -> Shapes:
    """Moshi 7B with Mimi, Whisper large-v3 and turbo, Llama 3.2 1B, SpeechT5 with HiFi-GAN."""
    return Shapes(
        moshi=copy.deepcopy(loaders._lm_kwargs),
        mimi=copy.deepcopy(loaders._mimi_config),
        whisper={
            "whisper-large-v3": dict(_WHISPER),
            "whisper-large-v3-turbo": {**_WHISPER, "decoder_layers": 4},
        },
        llama={"llama-3.2-1b": dict(_LLAMA)},
        # The defaults of transformers are microsoft/speecht5_tts and speecht5_hifigan.
        speecht5={},
        vocoder={},
    )


def tiny() -> Shapes:
    """Every part there, every number small: a whole plan takes seconds on one CPU core."""
    moshi = copy.deepcopy(loaders._lm_kwargs)
    moshi.update(
        dim=32,
        text_card=50,
        card=32,
        num_heads=2,
        num_layers=2,
        context=24,
        n_q=8,
        dep_q=4,
        delays=[0, 0, 1, 1, 1, 0, 1, 1, 1],
        depformer_dim=16,
        depformer_dim_feedforward=32,
        depformer_num_heads=2,
        depformer_num_layers=1,
    )
    mimi = copy.deepcopy(loaders._mimi_config)
    mimi["seanet"].update(dimension=16, n_filters=2, ratios=[32, 30])
    mimi["quantizer"].update(dimension=8, n_q=4, bins=32, input_dimension=16, output_dimension=16)
    mimi["transformer"].update(
        d_model=16,
        num_heads=2,
        num_layers=1,
        dim_feedforward=32,
        context=20,
        input_dimension=16,
        output_dimensions=[16],
    )
    small = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 64}
    small |= {"encoder_layers": 1, "decoder_layers": 2, "num_mel_bins": 8}
    small |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    small |= {"max_source_positions": 20, "max_target_positions": 32}
    small |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    llama = {**_LLAMA, "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32}
    llama |= {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    llama |= {"head_dim": 8, "max_position_embeddings": 128}
    llama |= {"bos_token_id": 1, "eos_token_id": 2}
    return Shapes(
        moshi=moshi,
        mimi=mimi,
        whisper={"whisper-tiny-test": small},
        llama={"llama-tiny-test": llama},
        speecht5={
            "vocab_size": 40,
            "hidden_size": 16,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "speech_decoder_prenet_units": 16,
            "speech_decoder_postnet_units": 16,
            "speech_decoder_postnet_layers": 2,
            "speaker_embedding_dim": 8,
            "max_text_positions": 64,
            "max_speech_positions": 256,
        },
        vocoder={"upsample_initial_channel": 32},
    )
