"""A complete speech-to-speech model on disk, in the hub's layout, as small as `tiny_moshi`."""

import io
from pathlib import Path

import sentencepiece

from models import adapters, codec, moshi_checkpoint
from models.adapters_lora import fresh, taken
from models.voices import EMOTIONS, VOICES
from tests.models.tiny_adapters import learnt
from tests.models.tiny_moshi import CODEBOOKS, tiny_lm, tiny_lm_config, tiny_mimi, tiny_mimi_config

SENTENCES = (
    "నమస్కారం మీరు ఎలా ఉన్నారు",
    "ఈ రోజు వాతావరణం చాలా బాగుంది",
    "నాకు ఒక టికెట్ కావాలి అండి",
    "మీ పేరు ఏమిటో చెప్పగలరా",
    "సరే ధన్యవాదాలు మళ్ళీ కలుద్దాం",
    "స్త్రీలకు ప్రత్యేక బస్సు ఉందా",
)
PIECES = 330  # 256 of them bytes


def write(folder: Path, *, conditioned: bool = True) -> tuple[Path, Path]:
    """Writes a random model and codec below `folder`; returns their directories.

    Not `conditioned`: without voices and emotions, as the published Moshis are.
    """
    tokenizer = folder / "tokenizer_spm_tiny.model"
    stored = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=stored,
        vocab_size=PIECES,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=1.0,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        minloglevel=2,
    )
    tokenizer.write_bytes(stored.getvalue())
    card = sentencepiece.SentencePieceProcessor(model_proto=stored.getvalue()).get_piece_size()
    voices: list[str] = [v.id for v in VOICES] if conditioned else []
    emotions: list[str] = list(EMOTIONS) if conditioned else []
    mimi_config = {**tiny_mimi_config(), "codebooks": CODEBOOKS}
    codec_folder = codec.save(tiny_mimi(), mimi_config, folder / "codec")
    lm = tiny_lm(voices=voices, emotions=emotions, text_card=card)
    model_folder = moshi_checkpoint.save(
        lm,
        tiny_lm_config(voices=voices, emotions=emotions, text_card=card),
        tokenizer,
        folder / "s2s",
        codec_id=moshi_checkpoint.fingerprint(codec_folder / codec.WEIGHTS),
    )
    return model_folder, codec_folder


def write_adapter(folder: Path, model: Path, name: str) -> Path:
    """Writes a LoRA adapter for a model of `write`; another name, other weights."""
    lm = moshi_checkpoint.load(moshi_checkpoint.read(model))
    fresh(lm, rank=4, scaling=2.0)
    learnt(lm, len(name))
    adapters.write(taken(lm, name=name, revision="1", licence="CC0-1.0"), folder / name)
    return folder / name
