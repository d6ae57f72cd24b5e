"""A Moshi's text tokenizer: a SentencePiece model and the ids that carry the stream's structure.

The text stream has one token a frame, most of them padding (Défossez et al. 2024, "Moshi", section
3.4.4). 3 is padding, 0 the last padding before a word, and the id after the last piece starts the
sequence; all three are structure, never text. A tokenizer may bring pieces that name what a caller
wants: a model writes one in the frame before an answer, and nobody is shown it. Knows nothing of
frames, times or networks.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from models.telugu.captions import piece_bytes

# `existing_text_end_padding_id` and `existing_text_padding_id` of moshi/models/lm.py (0.2.13).
END_OF_PADDING, PADDING = 0, 3
_INTENT = re.compile(r"<intent:(.+)>")


def intent_piece(intent: str) -> str:
    """How a tokenizer's piece for an intent is called."""
    return f"<intent:{intent}>"


class TokenizerInvalid(ValueError):
    """The file is no SentencePiece model, or none that a Moshi can use; the sentence says why."""


class MoshiText:
    """A loaded tokenizer. Words are encoded one by one, as the text stream places them."""

    def __init__(self, processor: SentencePieceProcessor) -> None:
        """Raises TokenizerInvalid when an id of the structure is an ordinary piece of text."""
        self._processor = processor
        self.card: int = processor.get_piece_size()  # `text_card` of the language model
        for id_ in (END_OF_PADDING, PADDING):
            if self.card <= id_ or not self._silent(id_):
                raise TokenizerInvalid(
                    f"the tokenizer's id {id_} is a piece of text, but Moshi's text stream uses it "
                    "for padding: train it with unk_id=0, bos_id=1, eos_id=2, pad_id=3"
                )

    @classmethod
    def load(cls, path: Path) -> "MoshiText":
        """Reads a `tokenizer_spm_*.model`.

        Raises:
            TokenizerInvalid: no such file, no SentencePiece model, or one without padding ids.
        """
        if not path.is_file():
            raise TokenizerInvalid(f"{path} is missing: a Moshi needs its SentencePiece model")
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, model: bytes, name: str = "the tokenizer") -> "MoshiText":
        """The same from the file's bytes."""
        processor = SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
        except (RuntimeError, OSError) as e:
            raise TokenizerInvalid(
                f"{name} is no SentencePiece model: give the tokenizer_spm_*.model that belongs "
                "to the language model"
            ) from e
        return cls(processor)

    @property
    def start(self) -> int:
        """The id that starts a text stream: one past the last piece, as `text_card` has it."""
        return self.card

    @cached_property
    def pieces(self) -> list[bytes]:
        """UTF-8 of every id for `CaptionStream`; ids of the structure are empty."""
        silent, name = self._silent, self._processor.id_to_piece
        return [b"" if silent(id_) else piece_bytes(name(id_)) for id_ in range(self.card)]

    @cached_property
    def intents(self) -> dict[str, int]:
        """The id of every intent that has a piece; empty for a tokenizer without such pieces."""
        named = ((_INTENT.fullmatch(self._processor.id_to_piece(i)), i) for i in range(self.card))
        return {match[1]: id_ for match, id_ in named if match and self._silent(id_)}

    def encode(self, text: str) -> list[int]:
        """Ids of a word (or several), never one of the structure's; "" and spaces give none."""
        ids = self._processor.encode(unicodedata.normalize("NFC", text.strip()))
        return [id_ for id_ in ids if not self._silent(id_)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a stream, structure left out; bytes that are no UTF-8 are dropped."""
        pieces = self.pieces
        data = b"".join(pieces[id_] for id_ in ids if 0 <= id_ < len(pieces))
        return data.decode("utf-8", "ignore").strip()

    def intent(self, ids: Iterable[int]) -> str:
        """The first intent that a stream names; "" where it names none."""
        names = {id_: name for name, id_ in self.intents.items()}
        return next((names[id_] for id_ in ids if id_ in names), "")

    def falls_to_bytes(self, text: str) -> float:
        """Share of the text's tokens that are single bytes, 0..1."""
        ids = self.encode(text)
        return sum(self._processor.is_byte(id_) for id_ in ids) / max(1, len(ids))

    def _silent(self, id_: int) -> bool:
        p = self._processor
        return p.is_control(id_) or p.is_unknown(id_) or p.is_unused(id_)
