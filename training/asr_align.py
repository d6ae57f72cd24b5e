"""Where in the sound each piece of a text is heard, by the network's own CTC head.

The best CTC path gives every letter its frames, and through them every piece of the decoder's
vocabulary. The decoder's attention is led there while it learns: on its own it takes many times
longer to find the place than the encoder takes to hear the letters. Knows nothing of the network.
"""

import torch
from torch import Tensor

_NEVER = -1e9
NEAR = 4.0  # encoder frames (80 ms): attention may look this far beside the letters


@torch.no_grad()
def letter_moments(log_probs: Tensor, letters: Tensor, counts: Tensor, frames: Tensor) -> Tensor:
    """The encoder frame in the middle of each letter, float [B, L]; 0 after a text's end.

    Args:
        log_probs: of the CTC head, [S, B, V], blank first.
        letters: int64 [B, L], 0 after the end.
        counts: letters of each text, int64 [B].
        frames: encoder frames of each sound, int64 [B], at most S.
    """
    steps, rows = log_probs.shape[:2]
    states = 2 * letters.shape[1] + 1  # blank, letter, blank, letter, ..., blank
    labels = letters.new_zeros(rows, states)
    labels[:, 1::2] = letters
    repeated = torch.zeros_like(labels, dtype=torch.bool)
    repeated[:, 3::2] = letters[:, 1:] == letters[:, :-1]
    no_skip = repeated.clone()  # a blank may not be left out between equal letters
    no_skip[:, 0::2] = True  # nor may one enter a blank from a blank
    heard = log_probs.gather(2, labels.expand(steps, -1, -1))  # [S, B, states]
    score = torch.full_like(heard[0], _NEVER)
    score[:, :2] = heard[0, :, :2]
    came_from = torch.zeros(steps, rows, states, dtype=torch.int64, device=labels.device)
    for step in range(1, steps):
        one = torch.nn.functional.pad(score, (1, 0), value=_NEVER)[:, :-1]
        two = torch.nn.functional.pad(score, (2, 0), value=_NEVER)[:, :-2]
        best, came_from[step] = torch.stack([score, one, two.masked_fill(no_skip, _NEVER)]).max(0)
        running = (step < frames)[:, None]
        score = torch.where(running, best + heard[step], score)
    return _middles(score, came_from, counts, frames, letters.shape[1])


def _middles(
    score: Tensor, came_from: Tensor, counts: Tensor, frames: Tensor, width: int
) -> Tensor:
    """Follows the best path back, [S, B, states] -> mean frame of every letter [B, width]."""
    last = 2 * counts  # the final blank
    before = (last - 1).clamp(min=0)
    ends = score.gather(1, torch.stack([last, before], 1))
    state = torch.where(ends[:, 1] > ends[:, 0], before, last)  # [B]
    sums = torch.zeros(len(counts), width + 1, device=score.device)
    seen = torch.zeros_like(sums)
    for step in range(len(came_from) - 1, -1, -1):
        running = step < frames
        # Blanks are counted in a spare last column.
        letter = torch.where((state % 2 == 1) & running, state // 2, width)[:, None]
        sums.scatter_add_(1, letter, torch.full_like(letter, step, dtype=sums.dtype))
        seen.scatter_add_(1, letter, torch.ones_like(letter, dtype=sums.dtype))
        back = came_from[step].gather(1, state[:, None])[:, 0]
        state = torch.where(running, (state - back).clamp(min=0), state)
    return (sums / seen.clamp(min=1))[:, :width]


def astray(looks: Tensor, moments: Tensor, spans: Tensor) -> Tensor:
    """How little the decoder looks where its next piece is heard; a mean in nats, 0 at best.

    Args:
        looks: cross-attention weights [layers, B, heads, U, S].
        moments: frame of every letter, [B, L].
        spans: first letter of the piece that position u writes, and the one after its last, int64
            [B, U, 2]; equal where no piece is written.
    """
    first, end = spans[..., 0], spans[..., 1]
    written = end > first  # [B, U]
    limit = moments.shape[1] - 1
    left = moments.gather(1, first.clamp(max=limit))
    right = moments.gather(1, (end - 1).clamp(min=0, max=limit))
    frame = torch.arange(looks.shape[-1], device=looks.device)
    beside = torch.maximum(left[..., None] - frame, frame - right[..., None]).clamp(min=0)
    near = torch.exp(-0.5 * (beside / NEAR) ** 2)  # [B, U, S]
    mass = (looks * near[None, :, None]).sum(-1)  # [layers, B, heads, U]
    nats = -(mass + 1e-3).log().mean((0, 2))  # [B, U]
    return (nats * written).sum() / written.sum().clamp(min=1)
