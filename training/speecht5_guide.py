"""Where the attention should be: the time of every character, and how far attention is from it.

Guided attention (Tachibana et al. 2017, arXiv 1710.08969) rewards a diagonal, because it does not
know when anything is said. Here the synthesizer's word times are known, so the band lies around the
true time instead. Inside a word time is shared among its letters by the sounds they stand for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.speecht5_mel import HOP
from training.speecht5_speech import Span

_VIRAMA = "\u0c4d"
_LONG = frozenset("ఆఈఊఏఓఐఔాీూేోైౌ")


def sounds(word: str) -> np.ndarray:
    """How long each character sounds, in short vowels, float32 [len(word)].

    A consonant carries its vowel unless a sign or a virama follows; a virama is silent.
    """
    lengths = np.ones(len(word), np.float32)
    for at, char in enumerate(word):
        following = word[at + 1 : at + 2]
        if char == _VIRAMA or not "\u0c00" <= char <= "\u0c7f":
            lengths[at] = 0.0
        elif char in _LONG:
            lengths[at] = 1.7
        elif "\u0c15" <= char <= "\u0c39" and not "\u0c3e" <= following <= "\u0c4d":
            lengths[at] = 2.0
    return lengths


def character_times(text: str, words: Sequence[Span], frames: int) -> np.ndarray:
    """First and one past the last mel frame of every id of `text`, float32 [ids, 2].

    Ids are those of `Characters.encode`: a word mark before each word (in the text, its space), the
    characters, the end. Marks and spaces last from what precedes them to what follows.
    """
    starts = np.full(len(text), np.nan, np.float32)
    stops = np.full(len(text), np.nan, np.float32)
    for first, end, begin, stop in words:
        lengths = sounds(text[first:end])
        share = np.concatenate([[0.0], np.cumsum(lengths)]) / max(float(lengths.sum()), 1e-6)
        times = (begin + share * (stop - begin)) / HOP
        starts[first:end], stops[first:end] = times[:-1], times[1:]
    # What no word covers lies between its neighbours.
    last = 0.0
    for at in range(len(text)):
        if np.isnan(starts[at]):
            known = np.flatnonzero(~np.isnan(starts[at:]))
            starts[at] = last
            stops[at] = starts[at + known[0]] if len(known) else last
        last = float(stops[at])
    head = (0.0, float(starts[0]) if len(text) else 0.0)
    return np.concatenate(
        [[head], np.stack([starts, stops], 1), [(last, float(max(last, frames)))]]
    ).astype(np.float32)


def band(times: Tensor, steps: int, step_frames: int, width: float) -> Tensor:
    """How welcome attention is at each step and character, 0..1.

    Args:
        times: of the characters, [B, S, 2] in frames.
        steps: of the decoder, T.
        step_frames: frames a step makes.
        width: frames beside a character's own time at which the welcome has fallen to 0.6.

    Returns:
        float32 [B, T, S].
    """
    middle = (torch.arange(steps, device=times.device) + 0.5) * step_frames  # [T]
    at = middle[None, :, None]
    early = (times[:, None, :, 0] - at).clamp(min=0.0)
    late = (at - times[:, None, :, 1]).clamp(min=0.0)
    return torch.exp(-((early + late) ** 2) / (2.0 * width**2))


def astray(attention: Tensor, welcome: Tensor, spoken: Tensor) -> Tensor:
    """-log of the share of attention that is welcome, mean over heads and steps.

    The logarithm pulls hard where a head looks elsewhere altogether.

    Args:
        attention: [B, H, T, S], rows sum to one.
        welcome: of `band`, 0 where there is no character.
        spoken: bool [B, T], the steps that count.
    """
    share = (attention.float() * welcome[:, None]).sum(-1)  # [B, H, T]
    loss = -(share.clamp(min=1e-5)).log().mean(1)  # [B, T]
    return (loss * spoken).sum() / spoken.sum()
