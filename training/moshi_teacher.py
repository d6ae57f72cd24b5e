"""A Moshi's first teacher: the head that spelled words off the codec's first codes.

That head learnt along with the codec's encoder, from sound; a Moshi sees codes alone, and from
letters that are only known word by word it takes tens of thousands of questions to find out what
the codes say. The head tells it for every 20 ms of whatever is heard, needs no transcript, and
costs next to nothing. Hinton et al. 2015 (arXiv 1503.02531), without a temperature; what it gains
is measured in docs/decisions.md. Knows nothing of optimisation.
"""

from pathlib import Path

import torch
from moshi.models.compression import MimiModel
from torch import Tensor

from models.codec import quantizers
from training.codec_letters import A_FRAME, LetterHead, read_head

# The head sees two frames to either side, and its last layer 20 ms more. A step of the model has
# read the frame before its own; told of the one two before that, it has seen what matters.
LATE = 3


class Teacher:
    """The letter head of a codec; not part of what is trained."""

    def __init__(self, mimi: MimiModel, head: LetterHead) -> None:
        first, _ = quantizers(mimi)
        device = next(mimi.parameters()).device
        codes = torch.arange(mimi.cardinality, device=device)[None, None]
        with torch.no_grad():
            self._semantic = first.decode(codes)[0].T.contiguous()  # [card, width]
        self._head = head.to(device)

    @torch.no_grad()
    def spell(self, heard: Tensor) -> tuple[Tensor, Tensor]:
        """What the model should think of the letters at each of its steps.

        Args:
            heard: the first codes of the user, int64 [B, T]; negative where nobody encoded any.

        Returns:
            Log probabilities float32 [B, T, A_FRAME, letters], and at which steps they count,
            bool [B, T]: not before the first frames are heard, nor after the last.
        """
        known = heard >= 0
        vectors = self._semantic[heard.clamp(min=0)] * known[..., None]  # silence is zero
        spelled = self._head(vectors.transpose(1, 2).float()).unflatten(
            1, (-1, A_FRAME)
        )  # [B, T, A_FRAME, letters]
        late = min(LATE, heard.shape[1])
        told = spelled.new_zeros(*heard.shape, *spelled.shape[2:])
        told[:, late:] = spelled[:, : heard.shape[1] - late]
        counts = torch.zeros_like(known)
        counts[:, late:] = known[:, : heard.shape[1] - late]
        return told, counts


def find_teacher(codec: Path, mimi: MimiModel) -> Teacher | None:
    """The teacher that lies beside a codec; a codec trained elsewhere brings none.

    Raises CodecError when its file does not fit the codec.
    """
    head = read_head(codec, mimi.dimension)
    return Teacher(mimi, head) if head else None


def distance(spread: Tensor, told: Tensor, counts: Tensor) -> Tensor:
    """Kullback-Leibler divergence from what is told, nats a frame, a mean over what counts.

    Args:
        spread: log probabilities of the model, float32 [B, T, A_FRAME, letters].
        told, counts: as `Teacher.spell` gives them.
    """
    right, found = told[counts], spread[counts]
    return (right.exp() * (right - found)).sum() / counts.sum().clamp(min=1)
