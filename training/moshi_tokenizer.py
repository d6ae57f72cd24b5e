"""Trains the Telugu SentencePiece of a Moshi's text stream.

    maata train moshi does this first; by itself: train(sentences, pieces) -> the model's bytes

Unigram with full character coverage: every Telugu letter and sign, the non-joiner, ASCII letters
and digits are pieces of their own, anything rarer falls to bytes. Ids 0..3 are the structure a
Moshi expects. Knows nothing of networks or audio.
"""

import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from models.moshi_text import MoshiText, intent_piece
from training import corpus
from training.dialogues import Composer

# Telugu block, joiner and non-joiner, ASCII, and the punctuation of the dialogues.
_ALPHABET = [chr(point) for point in range(0x0C00, 0x0C80) if chr(point).isprintable()]
_ALPHABET += [chr(point) for point in range(0x21, 0x7F)]
_ALPHABET += ["\u200c", "\u200d", "।", "₹", "…", "‘", "’", "“", "”", "–"]
SMALLEST = 4 + 256 + len(_ALPHABET) + 2  # structure, bytes, alphabet, the space


def training_texts(data: Path, seeds: int) -> list[str]:
    """What callers say and what the agent answers, plus the open text of the data directory."""
    texts = corpus.language_sentences(data, seeds)
    for seed in range(seeds):
        composer = Composer(seed, noise=0.0, prompted=0.0)
        turns = [t for _ in range(1500) for t in composer.conversation(6).turns]
        texts += [text for turn in turns for text in (turn.user, turn.reply)]
    return texts


def train(texts: Iterable[str], pieces: int, intents: Sequence[str] = ()) -> bytes:
    """The serialized SentencePiece model; at most `pieces` ids, fewer if the text has no more.

    Every one of the `intents` gets an id besides: no text is read as one, none decodes to any.
    The same texts give the same model. Raises ValueError for fewer pieces than the alphabet needs.
    """
    if pieces < SMALLEST:
        raise ValueError(f"{pieces} text pieces do not hold bytes and alphabet: ask for {SMALLEST}")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=(unicodedata.normalize("NFC", text) for text in texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces + len(intents),
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=True,
        required_chars="".join(_ALPHABET),
        # The default normaliser deletes the non-joiner, which is seen on screen.
        normalization_rule_name="identity",
        split_by_unicode_script=False,  # the non-joiner has no script: it would stand alone
        split_digits=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        control_symbols=[intent_piece(intent) for intent in intents],
        num_threads=1,  # the sums of the EM steps depend on how the text is divided
        minloglevel=2,
    )
    return model.getvalue()


def file_name(text: MoshiText) -> str:
    """`tokenizer_spm_3k_te.model` for about 3,000 pieces, after Moshi's own naming."""
    return f"tokenizer_spm_{max(1, round(text.card / 1000))}k_te.model"
