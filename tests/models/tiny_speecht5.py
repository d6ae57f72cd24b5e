"""A SpeechT5 as small as it can be, in the layout it is served from; random weights."""

import io
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

from models.speecht5_layout import SpeechT5Parts, ready, save
from models.speecht5_text import FILE, LETTERS, MARKS, Characters
from models.speecht5_voices import Decoding, Voices
from models.voices import EMOTIONS, VOICES

WIDTH, SPEAKER = 16, 8
# Attention that cannot look back gets to the end, whatever random weights say.
HELD = Decoding(behind=0, ahead=8)
ENGLISH = " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'.,-?!;:"


def vocabulary(folder: Path, letters: str = LETTERS + MARKS) -> Characters:
    """Writes a character vocabulary in sentencepiece's format."""
    stored = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter([*letters.replace(" ", ""), "a b"] if " " in letters else letters),
        model_writer=stored,
        model_type="char",
        vocab_size=1000,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(stored.getvalue())
    return Characters.load(folder)


def acoustic(
    vocabulary_size: int, *, speaker: int = SPEAKER, width: int = WIDTH
) -> SpeechT5ForTextToSpeech:
    """One layer on either side."""
    torch.manual_seed(0)
    return SpeechT5ForTextToSpeech(
        SpeechT5Config(
            vocab_size=vocabulary_size,
            hidden_size=width,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=2 * width,
            decoder_ffn_dim=2 * width,
            speech_decoder_prenet_units=16,
            speech_decoder_postnet_units=16,
            speaker_embedding_dim=speaker,
            max_text_positions=600,
        )
    )


def vocoder(**shape) -> SpeechT5HifiGan:
    """A generator of the hub's proportions unless `shape` says otherwise, 16 channels wide."""
    torch.manual_seed(0)
    made = SpeechT5HifiGan(SpeechT5HifiGanConfig(**{"upsample_initial_channel": 16, **shape}))
    for parameter in made.parameters():  # loud enough that a wrong sample shows
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    return made


def voices(width: int = SPEAKER, decoding: Decoding = HELD) -> Voices:
    """The agent's four, at random."""
    torch.manual_seed(0)
    names = tuple(voice.id for voice in VOICES)
    tables = torch.randn(len(VOICES), width), 0.1 * torch.randn(len(EMOTIONS), width)
    return Voices(*tables, names, EMOTIONS, decoding)


def parts(folder: Path, decoding: Decoding = HELD, *, width: int = WIDTH) -> SpeechT5Parts:
    """A voice; its vocabulary lies in `folder`."""
    characters = vocabulary(folder)
    quick = vocoder(
        upsample_initial_channel=8,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
    )
    model = acoustic(len(characters), width=width)
    return SpeechT5Parts(
        ready(model, "cpu"), ready(quick, "cpu"), characters, voices(decoding=decoding)
    )


def write(folder: Path, decoding: Decoding = HELD, *, never_stops: bool = False) -> Path:
    """A whole voice on disk, as a recipe exports it."""
    made = parts(folder / "parts", decoding)
    if never_stops:
        made.acoustic.speech_decoder_postnet.prob_out.bias.fill_(-20.0)
    return save(made, folder / "voice", vocabulary=folder / "parts" / FILE, floor=1e-4)


def write_hub(folder: Path) -> tuple[Path, Path]:
    """Directories with the files of `microsoft/speecht5_tts` and `microsoft/speecht5_hifigan`.

    English characters, two added tokens behind them, x-vectors of 512 numbers, `pytorch_model.bin`.
    """
    speech, sound = folder / "speecht5_tts", folder / "speecht5_hifigan"
    characters = vocabulary(speech, ENGLISH)
    model = acoustic(len(characters) + 2, speaker=512)
    model.config.save_pretrained(speech)
    # The hub's file keeps the masked embedding of the speech encoder, which is not used here.
    state = {**model.state_dict(), "speecht5.encoder.prenet.masked_spec_embed": torch.zeros(4)}
    torch.save(state, speech / "pytorch_model.bin")
    made = vocoder()
    made.config.save_pretrained(sound)
    torch.save(made.state_dict(), sound / "pytorch_model.bin")
    return speech, sound
