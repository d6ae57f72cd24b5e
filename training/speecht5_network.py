"""SpeechT5 as it is trained: transformers' own model, a table of speakers, a table of emotions.

Knows nothing of data or optimisation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SpeechT5Config, SpeechT5ForTextToSpeech
from transformers.models.speecht5.modeling_speecht5 import shift_spectrograms_right

from models.speecht5_voices import Decoding, Voices, blend
from models.voices import EMOTIONS, VOICES
from training.speecht5_batches import STOPPED, Batch
from training.speecht5_guide import astray, band

# Characters the attention may look back and ahead of where it was: the band is 200 ms either side.
HELD = Decoding(behind=3, ahead=8)
_STOP_WEIGHT = 5.0  # of a frame that stops, as upstream: there are few of them
_EMOTION = 0.1  # spread of the emotions' first values, beside speakers of unit length


@dataclass(frozen=True)
class Losses:
    """Means of a batch; `total` has the gradient."""

    total: Tensor
    before: Tensor  # log10 of magnitudes, in front of the postnet
    after: Tensor
    stop: Tensor  # nats
    guide: Tensor  # nats: -log of the share of attention that is where the words are
    aligned: Tensor  # that share, of all heads together


class TrainedSpeechT5(nn.Module):
    """The acoustic model and its voices."""

    def __init__(self, acoustic: SpeechT5ForTextToSpeech) -> None:
        super().__init__()
        width = acoustic.config.speaker_embedding_dim
        self.acoustic = acoustic
        self.speakers = nn.Parameter(F.normalize(torch.randn(len(VOICES), width), dim=-1))
        self.emotions = nn.Parameter(torch.randn(len(EMOTIONS), width) * _EMOTION / width**0.5)

    @classmethod
    def build(cls, config: SpeechT5Config) -> "TrainedSpeechT5":
        """With random weights."""
        return cls(SpeechT5ForTextToSpeech(config))

    def voices(self) -> Voices:
        """The tables as they are served."""
        return Voices(
            self.speakers.detach().cpu(),
            self.emotions.detach().cpu(),
            tuple(voice.id for voice in VOICES),
            EMOTIONS,
            HELD,
        )

    def losses(
        self,
        batch: Batch,
        *,
        guide: float,
        width: float,
        stop: float,
        forget: float = 0.0,
        noise: float = 0.0,
    ) -> tuple[Losses, Tensor]:
        """The losses, and the attention of all heads [B, H, T, S].

        Args:
            batch: clauses.
            guide: weight of the attention's loss.
            width: of its band, frames.
            stop: weight of the stop loss.
            forget: share of the frames the decoder hears that are made zero.
            noise: spread of what is added to the frames it hears.
        """
        step_frames = self.acoustic.config.reduction_factor
        heard, _ = shift_spectrograms_right(batch.mel, step_frames)
        if noise:
            heard = heard + noise * torch.randn_like(heard)
        if forget:
            heard = heard * (torch.rand_like(heard[:, :, :1]) >= forget)
        made = self.acoustic.speecht5(
            input_values=batch.ids,
            attention_mask=batch.known,
            decoder_input_values=heard,
            speaker_embeddings=blend(self.speakers[batch.voices], self.emotions[batch.emotions]),
            use_cache=False,
            output_attentions=True,
            return_dict=True,
        )
        before, after, logits = self.acoustic.speech_decoder_postnet(made.last_hidden_state)
        place = torch.arange(batch.mel.shape[1], device=batch.mel.device)[None]  # [1, F]
        real = place < batch.frames[:, None]
        ahead, behind = (_apart(spectrum, batch.mel, real) for spectrum in (before, after))
        over = (place >= batch.frames[:, None] - STOPPED).float()
        stopping = F.binary_cross_entropy_with_logits(
            logits.float(), over, weight=real * (1.0 + (_STOP_WEIGHT - 1.0) * over), reduction="sum"
        )
        stopping = stopping / real.sum()
        attention = torch.cat(made.cross_attentions, dim=1)  # [B, H, T, S]
        welcome = band(batch.times, attention.shape[2], step_frames, width)
        spoken = real[:, ::step_frames]
        led = astray(attention, welcome, spoken)
        with torch.no_grad():
            share = (attention.float().mean(1) * welcome).sum(-1)
            aligned = (share * spoken).sum() / spoken.sum()
        total = ahead + behind + stop * stopping + guide * led
        return Losses(total, ahead, behind, stopping, led, aligned), attention


def _apart(made: Tensor, wanted: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference over real frames."""
    distance = (made.float() - wanted).abs().mean(-1)
    return (distance * real).sum() / real.sum()
