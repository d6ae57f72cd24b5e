"""The head that spells words off a codec's first codebook, and the file it is kept in.

It trains along with the codec, is not needed in a call, and teaches a Moshi to hear
(`training/moshi_teacher.py`). Knows nothing of training.
"""

from pathlib import Path

import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

from models.codec import CodecError
from training.asr_tokenizer import LETTER_COUNT

LETTERS = "letters.safetensors"  # beside the codec's weights
HEAD = 192  # channels
A_FRAME = 4  # letters that may be told apart within 80 ms


class LetterHead(nn.Module):
    """Letters every 20 ms: [B, width, S] -> log probabilities [B, A_FRAME * S, letters].

    The first is none of them, the blank of CTC. Sees two frames to either side, as anyone who
    reads codes may.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gather = nn.Conv1d(width, HEAD, 5, padding=2)
        self.spread = nn.Conv1d(HEAD, A_FRAME * HEAD, 1)
        self.out = nn.Conv1d(HEAD, LETTER_COUNT, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spread(F.gelu(self.gather(x)))  # [B, A_FRAME * HEAD, S]
        x = x.unflatten(1, (HEAD, A_FRAME)).transpose(2, 3).flatten(2)  # [B, HEAD, A_FRAME * S]
        return self.out(F.gelu(x)).transpose(1, 2).log_softmax(-1)


def write_head(head: LetterHead, folder: Path) -> Path:
    """Writes the head beside its codec in fp16, whole or not at all."""
    path = folder / LETTERS
    part = path.with_suffix(".part")
    state = {name: p.detach().half().cpu().contiguous() for name, p in head.named_parameters()}
    part.write_bytes(serialize(state, metadata={"format": "pt"}))
    part.replace(path)
    return path


def read_head(folder: Path, width: int) -> LetterHead | None:
    """The head beside a codec of that width, frozen; None where there is none.

    Raises CodecError when the file is damaged or does not fit the codec.
    """
    path = folder / LETTERS
    if not path.is_file():
        return None
    head = LetterHead(width)
    try:
        head.load_state_dict(load_file(path))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise CodecError(
            f"{path} does not fit the codec beside it ({error}): copy it again, or delete it to "
            "train without"
        ) from error
    return head.requires_grad_(False).eval()
