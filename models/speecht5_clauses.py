"""A text in the pieces SpeechT5 decodes: a few words each, and the silence a mark asks for.

Training cuts its sentences with this, and serving what it speaks. Knows nothing of sound.
"""

from models.speecht5_mel import SAMPLE_RATE
from models.speecht5_text import written
from models.telugu.clauses import ClauseChunker
from models.telugu.spoken import speakable

WORDS = 6  # of a clause, at most; what the starter was trained on
LONGEST_WORD = 120  # characters; more is no word and is cut
LONGEST_CLAUSE = 200  # characters
_PAUSES = {".": 0.2, "?": 0.2, "!": 0.2, ",": 0.08, ";": 0.12, ":": 0.12}  # s, beside the tail


def split(text: str, words: int) -> list[str]:
    """A text's clauses as they are decoded: at most `words` words, none without a letter."""
    chunker = ClauseChunker(first_words=words, later_words=words)
    clauses: list[str] = []
    # Word by word, as it would stream in: of a whole text the chunker takes whole sentences.
    found = [clause for word in speakable(text).split() for clause in chunker.feed(f"{word} ")]
    for clause in (*found, *chunker.flush()):
        line = ""
        for word in map(written, clause.split()):
            pieces = [word[at : at + LONGEST_WORD] for at in range(0, len(word), LONGEST_WORD)]
            for piece in pieces:
                if line and len(line) + 1 + len(piece) > LONGEST_CLAUSE:
                    clauses.append(line)
                    line = ""
                line = f"{line} {piece}" if line else piece
        clauses.append(line)
    return [clause for clause in clauses if any(char.isalpha() for char in clause)]


def pause(clause: str) -> int:
    """Samples of silence that a clause's last mark asks for."""
    return round(_PAUSES.get(clause[-1:], 0.0) * SAMPLE_RATE)
