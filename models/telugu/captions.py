"""Captions from a model's text tokens as they come: whole aksharas only, never bytes or halves.

A token is a SentencePiece piece: a few letters, one vowel sign, or a single byte of one. What is
shown cannot be taken back, so the last akshara waits until no virama or vowel sign can join it any
more: until another letter or a space comes, the model is silent, or the text ends. Knows nothing
of the model but its pieces and its padding tokens.
"""

import codecs
import re
import unicodedata
from collections.abc import Collection, Sequence

from models.telugu.standard import complete

PADDING = (0, 3)  # Moshi's "end of padding" and "padding" (moshi/models/lm.py)
PAUSE_TOKENS = 5  # 0.4 s at 12.5 Hz: a word's tokens follow each other, so its last one has come
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"  # SentencePiece's mark for a space
_VIRAMA, _ZWNJ = "\u0c4d", "\u200c"


def piece_bytes(piece: str) -> bytes:
    """UTF-8 of one SentencePiece piece; `<0xE0>` is the byte E0, the mark U+2581 a space."""
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_SPACE, " ").encode()


class CaptionDecoder:
    """Pieces of UTF-8 in, text to append to the caption out.

    All that is returned, joined, is the text without the white space it begins with, without bytes
    that are no UTF-8, without control characters (a vocabulary has all 256 bytes), and without
    signs that have no letter to sit on. No return value ends within a grapheme of the text.
    """

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("ignore")
        self._held = ""
        self._shown = False  # has anything been?
        self._bare = False  # a pause has shown a consonant with a virama, which could yet join

    def feed(self, data: bytes) -> str:
        """The next bytes of the text, cut anywhere."""
        self._held += "".join(filter(_shown, self._utf8.decode(data)))
        if not self._shown:
            self._held = self._held.lstrip()
        if not self._held:
            return ""
        # What was shown is closed: a sign that comes after it, or after a space, has no letter.
        self._held = _without_orphans(self._held)
        if self._held and self._bare:
            self._bare = False
            if not self._held[0].isspace():
                self._held = _ZWNJ + self._held  # keeps it from slipping under the shown virama
        return self._show(complete(self._held))

    def pause(self) -> str:
        """The model is silent: shows the last akshara, though not the bytes of half a letter."""
        self._bare = self._bare or self._held.endswith(_VIRAMA)
        return self._show(self._held)

    def flush(self) -> str:
        """The text is over: shows whatever is left of it."""
        self._utf8.reset()
        return self._show(self._held)

    def _show(self, text: str) -> str:
        self._held = self._held[len(text) :]
        self._shown = self._shown or bool(text)
        return text


class CaptionStream:
    """Token ids in, text to append to the caption out; padding shows what a word had held back."""

    def __init__(self, pieces: Sequence[bytes], padding: Collection[int] = PADDING) -> None:
        """`pieces[id]` is the UTF-8 of a token (see `piece_bytes`); control tokens are empty."""
        self._pieces = pieces
        self._padding = frozenset(padding)
        self._decoder = CaptionDecoder()
        self._quiet = 0

    def token(self, token: int) -> str:
        """The model's next text token, one a frame; ids beyond the pieces are silent too."""
        if token in self._padding or not 0 <= token < len(self._pieces):
            self._quiet += 1
            return self._decoder.pause() if self._quiet == PAUSE_TOKENS else ""
        self._quiet = 0
        return self._decoder.feed(self._pieces[token])

    def flush(self) -> str:
        """The call is over."""
        return self._decoder.flush()


def _shown(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) != "Cc"


def _without_orphans(text: str) -> str:
    """Drops the combining marks that a text begins with, or that follow its white space."""
    kept = ""
    for char in text:
        if unicodedata.category(char)[0] != "M" or (kept and not kept[-1].isspace()):
            kept += char
    return kept
