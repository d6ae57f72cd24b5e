"""Random weights of a preset's shape: what a model of that size costs, before any is trained.

    python -m training.moshi_random OUT [--preset starter]

Writes OUT/codec and OUT/s2s as `maata serve --engine s2s` takes them. What such a model says is
noise; how long a step takes, and how much memory, does not depend on what the weights are.
"""

import argparse
from pathlib import Path

import torch

from models import codec, moshi_checkpoint
from models.moshi_config import build
from models.moshi_text import MoshiText
from training import codec_preset, moshi_preset, moshi_tokenizer
from training.dialogues import user_utterances


def write(out: Path, preset: str = "starter", seed: int = 0) -> tuple[Path, Path]:
    """Returns the directories of the model and of its codec."""
    torch.manual_seed(seed)
    config = codec_preset.PRESETS[preset].shape.config()
    mimi = codec.build(config)
    for book in codec.codebooks(*codec.quantizers(mimi)):  # all zero in the library: one code
        book.embedding_sum.normal_()
        book.cluster_usage.fill_(1.0)
    codec_folder = codec.save(mimi, config, out / "codec")
    chosen = moshi_preset.PRESETS[preset]
    assert chosen.shape is not None, "a preset that adapts another model has no shape of its own"
    model = moshi_tokenizer.train(user_utterances("train"), chosen.pieces)
    text = MoshiText.parse(model)
    tokenizer = out / moshi_tokenizer.file_name(text)
    tokenizer.write_bytes(model)
    shape = chosen.shape.config(text.card, mimi.num_codebooks, mimi.cardinality)
    folder = moshi_checkpoint.save(
        build(shape),
        shape,
        tokenizer,
        out / "s2s",
        codec_id=moshi_checkpoint.fingerprint(codec_folder / codec.WEIGHTS),
    )
    return folder, codec_folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Random weights of a preset's shape.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="starter")
    given = parser.parse_args()
    print(*write(given.out, given.preset))
