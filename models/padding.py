"""Whether a frame has text, drawn apart from which text it has.

A Moshi's text stream is padding for most of its frames, and one distribution says both whether it
pads on and what it would say. Text is drawn steadily at a low temperature; but at a low temperature
a beginning that is likely in none of the next ten frames, though certain within them, is drawn in
none: the model stays silent. So padding keeps a temperature of its own. Knows nothing of streams.
"""

import torch
from torch import Tensor

from models.moshi_text import PADDING


def reweigh_padding(logits: Tensor, *, temperature: float, padding: float) -> None:
    """Changes `logits` [..., card] so that a draw at `temperature` pads as one at `padding` would.

    The odds of padding against all the rest are those of the unchanged logits at `padding`; the
    rest among itself is that of `temperature`. Both above 0.
    """
    of_padding = logits[..., PADDING].float()
    rest = logits.float()
    rest = torch.cat([rest[..., :PADDING], rest[..., PADDING + 1 :]], -1)
    odds = (of_padding - rest.logsumexp(-1)) / padding
    shifted = temperature * (odds + (rest / temperature).logsumexp(-1))
    logits[..., PADDING] = shifted.to(logits.dtype)
