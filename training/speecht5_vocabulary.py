"""The character vocabularies of SpeechT5: made for Telugu, or the hub's with Telugu behind it.

Where a model starts from the hub's English, a Telugu letter begins as the Latin ones it is
transliterated with, since the encoder knows their sounds. Knows nothing of networks but the shape
of an embedding table.
"""

import io
from pathlib import Path

import sentencepiece
import torch
from torch import Tensor
from transformers.utils import sentencepiece_model_pb2_new as schema

from models.speecht5_text import LETTERS, MARKS, Characters

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, as the hub's configs say
HUB_EXTRAS = ("<mask>", "<ctc_blank>")  # behind the hub's pieces, in its added_tokens.json

# What the letters sound like, in the ISO 15919 manner without its dots: a start, not a spelling.
_LATIN = {
    "అ": "a", "ఆ": "aa", "ఇ": "i", "ఈ": "ee", "ఉ": "u", "ఊ": "oo", "ఋ": "ru", "ఎ": "e", "ఏ": "ay",
    "ఐ": "ai", "ఒ": "o", "ఓ": "oh", "ఔ": "ow", "క": "k", "ఖ": "kh", "గ": "g", "ఘ": "gh", "ఙ": "ng",
    "చ": "ch", "ఛ": "chh", "జ": "j", "ఝ": "jh", "ఞ": "ny", "ట": "t", "ఠ": "th", "డ": "d", "ఢ": "dh",
    "ణ": "n", "త": "th", "థ": "th", "ద": "d", "ధ": "dh", "న": "n", "ప": "p", "ఫ": "f", "బ": "b",
    "భ": "bh", "మ": "m", "య": "y", "ర": "r", "ఱ": "r", "ల": "l", "ళ": "l", "ఴ": "l", "వ": "v",
    "శ": "sh", "ష": "sh", "స": "s", "హ": "h", "ా": "aa", "ి": "i", "ీ": "ee", "ు": "u", "ూ": "oo",
    "ృ": "ru", "ె": "e", "ే": "ay", "ై": "ai", "ొ": "o", "ో": "oh", "ౌ": "ow", "ం": "m", "ః": "h",
    "ఁ": "n", "ఀ": "n", "ౘ": "ts", "ౙ": "dz", "ౚ": "r", "ౠ": "ru", "ఌ": "lu", "ౡ": "lu", "ౄ": "ru",
}  # fmt: skip


def make(path: Path) -> Characters:
    """Writes a vocabulary of Telugu letters and marks to `path`."""
    stored = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter([*LETTERS, *MARKS] * 2),
        model_writer=stored,
        model_type="char",
        vocab_size=len(SPECIALS) + len(LETTERS) + len(MARKS) + 1,
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    return _written(stored.getvalue(), path)


def extend(source: Path, path: Path, rows: int) -> Characters:
    """Writes the vocabulary at `source` with the Telugu it lacks behind its last embedding.

    Args:
        source: the hub's `spm_char.model`.
        path: where to write.
        rows: of the model's embeddings; those without a piece are the hub's added tokens.
    """
    proto = schema.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    proto.ParseFromString(source.read_bytes())
    extras = iter(HUB_EXTRAS)
    while len(proto.pieces) < rows:
        name = next(extras, f"<unused{len(proto.pieces)}>")
        proto.pieces.add(piece=name, score=0.0, type=4)  # USER_DEFINED
    known = {piece.piece for piece in proto.pieces}
    for char in (*LETTERS, *MARKS):
        if char not in known:
            proto.pieces.add(piece=char, score=0.0, type=1)  # NORMAL
    return _written(proto.SerializeToString(), path)


def neighbours(characters: Characters) -> dict[int, list[int]]:
    """For each Telugu character's id the ids of the Latin letters that it starts as.

    A sign without a sound of its own (the virama) starts as the mean of all letters.
    """
    pieces = characters.pieces
    ids = {piece: number for number, piece in enumerate(pieces)}
    latin = [number for piece, number in ids.items() if piece.isascii() and piece.isalpha()]
    found = {}
    for char in LETTERS:
        sounds = [ids[letter] for letter in _LATIN.get(char, "") if letter in ids]
        found[ids[char]] = sounds or latin
    return found


def start_rows(table: Tensor, rows: int, near: dict[int, list[int]], seed: int) -> Tensor:
    """float [V, D] -> [rows, D]: old rows as they are, new ones the mean of their neighbours.

    A tenth of the table's spread is added, so that letters with the same neighbours can part.
    """
    generator = torch.Generator().manual_seed(seed)
    grown = torch.zeros(rows, table.shape[1], dtype=table.dtype)
    grown[: len(table)] = table
    noise = torch.randn(grown.shape, generator=generator).to(table) * table.std() * 0.1
    for number, others in near.items():
        if number >= len(table):
            mean = table[others].mean(0) if others else table.mean(0)
            grown[number] = mean + noise[number]
    return grown


def _written(model: bytes, path: Path) -> Characters:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model)
    return Characters.load(path.parent)
