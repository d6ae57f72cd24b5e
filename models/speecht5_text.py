"""Telugu as SpeechT5 reads it: one id a character, from the sentencepiece file of its directory.

No character of spoken Telugu (`models.telugu.spoken`) is unknown to a vocabulary of ours: it holds
every letter and sign of the Unicode block but the figures, which are words by then. Joiners change
the look of a word and not its sound, so they are dropped. Knows nothing of sound.
"""

import re
import unicodedata
from pathlib import Path

import sentencepiece

from models.telugu.spoken import speakable

FILE = "spm_char.model"  # as in the hub's directories
MARKS = ",.?!;:"
# Letters and signs that have a code point; U+0C66..6F are figures, U+0C78..7F fractions.
LETTERS = "".join(
    char for char in map(chr, range(0x0C00, 0x0C78)) if unicodedata.category(char)[0] in "LMP"
)
_JOINERS = {0x200C: None, 0x200D: None}
_SPACES = re.compile(r"\s+")


class VocabularyMissing(ValueError):
    """A directory has no vocabulary, or one that SpeechT5 cannot use; the sentence says why."""


class Characters:
    """A vocabulary of characters. Its ids are those of the model's embeddings."""

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        self._processor = processor
        self.end: int = processor.eos_id()
        self._unknown: int = processor.unk_id()

    @classmethod
    def load(cls, folder: Path) -> "Characters":
        """Reads `spm_char.model`. Raises VocabularyMissing."""
        path = folder / FILE
        if not path.is_file():
            raise VocabularyMissing(
                f"{path} is missing: give a SpeechT5 directory, or train one with "
                "'maata train speecht5'"
            )
        try:
            processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise VocabularyMissing(f"{path} is damaged ({error}): copy it again") from error
        return cls(processor)

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    @property
    def pieces(self) -> list[str]:
        """What each id stands for; a word begins with U+2581."""
        return [self._processor.id_to_piece(number) for number in range(len(self))]

    def knows(self, text: str) -> bool:
        """Whether no character of the text would be lost."""
        return self._unknown not in self._processor.encode(written(text))

    def encode(self, text: str) -> list[int]:
        """The word mark, an id for each character of `written(text)`, and the end.

        Characters that nobody can say are left out, as figures and Latin letters are in words when
        the vocabulary lacks them.
        """
        ids = self._processor.encode(written(text))
        if self._unknown in ids:
            ids = self._processor.encode(written(speakable(text)))
        return [*(number for number in ids if number != self._unknown), self.end]


def written(text: str) -> str:
    """NFC, single spaces, no joiners."""
    text = unicodedata.normalize("NFC", text).translate(_JOINERS)
    return _SPACES.sub(" ", text).strip()
