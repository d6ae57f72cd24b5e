"""The recogniser's own vocabulary: a small BPE over Telugu characters, laid out as Whisper's.

Text pieces first, then `<|endoftext|>`, `<|startoftranscript|>`, ..., `<|notimestamps|>`, which is
the order faster-whisper and CTranslate2 rely on. No language token: a vocabulary smaller than
the official one is served without. Words are split at white space only; the usual byte-level
regular expression would split Telugu at every vowel sign, since those are marks and not letters.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END, START = "<|endoftext|>", "<|startoftranscript|>"
NO_SPEECH, NO_TIMESTAMPS = "<|nospeech|>", "<|notimestamps|>"
SPECIALS = (
    END,
    START,
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    NO_SPEECH,
    NO_TIMESTAMPS,
)
# Every letter, vowel sign and mark of modern Telugu: a character the training text lacks must
# still be writable later. (Letters and signs of U+0C00-0C63; digits are spoken as words.)
ALPHABET = [chr(c) for c in (*range(0x0C01, 0x0C04), *range(0x0C05, 0x0C0D))]
ALPHABET += [chr(c) for c in (*range(0x0C0E, 0x0C11), *range(0x0C12, 0x0C29))]
ALPHABET += [chr(c) for c in (*range(0x0C2A, 0x0C3A), *range(0x0C3E, 0x0C45))]
ALPHABET += [chr(c) for c in (*range(0x0C46, 0x0C49), *range(0x0C4A, 0x0C4E))]

# What the CTC head tells apart: 0 is its blank, then the space, then the alphabet.
LETTERS = {letter: number for number, letter in enumerate([" ", *ALPHABET], 1)}
LETTER_COUNT = len(LETTERS) + 1
_ALL = "".join(LETTERS)


def letter_ids(text: str) -> list[int]:
    """A te-std text in single characters; one outside the alphabet (there is none) is left out."""
    return [LETTERS[letter] for letter in text if letter in LETTERS]


def letters_text(ids: list[int]) -> str:
    """The text of letter numbers; the reverse of `letter_ids`."""
    return "".join(_ALL[number - 1] for number in ids)


def train_tokenizer(sentences: Iterable[str], pieces: int) -> PreTrainedTokenizerFast:
    """A tokenizer with `pieces` text pieces (and the specials after them)."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()  # splits at spaces, marks them with U+2581
    bpe.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, initial_alphabet=ALPHABET, show_progress=False, special_tokens=[]
    )
    bpe.train_from_iterator(sentences, trainer)
    bpe.add_special_tokens(list(SPECIALS))
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=START, eos_token=END, pad_token=END, unk_token=END
    )
