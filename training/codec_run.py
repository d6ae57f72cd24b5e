"""What a run of the codec's recipe trains: steps and scores. Knows nothing of commands."""

from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import torch

from models import codec as codecs
from models.whisper import Recognizer
from training.codec_adversary import Adversary
from training.codec_batches import Batch
from training.codec_data import CodecData
from training.codec_eval import (
    idle_peak,
    letter_error_rate,
    log_mel_distance,
    reconstruct,
    word_error_rate,
    write_samples,
)
from training.codec_letters import write_head
from training.codec_network import TrainedCodec
from training.codec_preset import Preset
from training.device import set_up
from training.optimizer import MuonAdamW, descend
from training.run import Figures

# Parts of the names of what sees or makes samples, and of the heads that are dropped.
OUTER = ("encoder.model.0.", "decoder.model.14.", "letter_head.out", "pointer")
# The last convolution alone has a norm of 80 at first, for its weights are small; lower limits
# would scale every other layer's gradient by how quiet the batch is.
CLIP = 200.0


class CodecRecipe:
    """A small Mimi, the speech it hears, and who judges it."""

    curves = ("wer_", "cer_", "log_mel_")

    def __init__(
        self, preset: Preset, data: Path, asr: Path, out: Path, *, device: str, say=print
    ) -> None:
        self.preset, self.out, self.device, self.say = preset, out, device, say
        out.mkdir(parents=True, exist_ok=True)
        set_up(device, preset.threads)
        self.data = CodecData(preset, data, asr, out, say=say)
        torch.manual_seed(preset.seed)
        self.network = TrainedCodec(preset.shape, self.data.teacher.width).to(device)
        self.optimizer = MuonAdamW(
            self.network, preset.learning_rate, outer=OUTER, convolutions=True
        )
        self.adversary = Adversary(preset, device) if preset.weights.adversary else None
        self.recognizer = Recognizer.load(asr, threads=1)
        self.tests = self.data.tests()
        self._originals: dict[str, float] = {}  # WER before coding

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversary": self.adversary.state_dict() if self.adversary else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where that state was taken."""
        self.network.load_state_dict(state["network"])
        codecs.forget_centroids(self.network.mimi)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary:
            self.adversary.load_state_dict(state["adversary"])

    # -- training ---------------------------------------------------------------------------------

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """Batches from number `first` on, a set of recordings after the other."""
        of_set = self.preset.steps_per_set
        for number in count(first // of_set):
            yield from self.data.batches(max(first, number * of_set), (number + 1) * of_set)

    def step(self, batch: Batch, number: int, rate: float) -> Figures:
        """Moves the weights; when it is time, the codebooks are made first."""
        preset, network, batch = self.preset, self.network.train(), batch.to(self.device)
        if number >= preset.continuous and not network.quantized:
            self._make_codebooks(number)
        network.set_step(number, preset.seed, preset.quantizer_dropout)
        losses, coded = network.losses(batch, preset.weights, preset.spoken_rows)
        total = losses.total
        if self.adversary:
            total = total + self.adversary.judge(
                coded.sound, batch.said[: preset.spoken_rows], rate
            )
        total.backward()
        norm = descend(self.optimizer, network, rate, CLIP)
        return {
            "loss": losses.total,
            "log_mel": losses.log_mel,
            "commitment": losses.commitment,
            "direction": losses.direction,
            "letters": losses.letters,
            "norm": norm,
            **(self.adversary.figures if self.adversary else {}),
        }

    @torch.no_grad()
    def _make_codebooks(self, number: int) -> None:
        """Clusters the first codebooks from the batches that come now, which train later too."""
        torch.manual_seed(self.preset.seed)
        last = number + self.preset.codebook_batches
        batches = self.data.batches(number, last)
        latents = [self.network.encode(batch.heard.to(self.device)) for batch in batches]
        self.network.make_codebooks(torch.cat(latents))
        self.say(f"made the codebooks from batches {number} to {last - 1}")

    # -- results ----------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> dict[str, float | list[float]]:
        """Scores and samples; before there are codebooks, nothing."""
        if not self.network.quantized:
            return {}
        network = self.network.eval()
        mimi, head = network.mimi, network.letter_head
        scores: dict[str, float | list[float]] = {"idle_peak": round(idle_peak(mimi), 6)}
        for name, clips in self.tests.items():
            scores[f"cer_codes_{name}"] = round(letter_error_rate(mimi, head, clips), 4)
            if name == "callers" and self.preset.agent_share == 1.0:
                continue  # never learnt to say them
            made = reconstruct(mimi, clips)
            scores[f"log_mel_{name}"] = round(log_mel_distance(made, clips), 4)
            scores[f"wer_{name}"] = round(word_error_rate(self.recognizer, made, clips), 4)
            scores[f"wer_{name}_original"] = self._original(name)
            write_samples(self.out / "samples", name, made, clips)
        noisy = letter_error_rate(mimi, head, self.tests["callers"], noisy=True)
        scores["cer_codes_callers_noisy"] = round(noisy, 4)
        scores["perplexity"] = [round(p, 1) for p in network.perplexity()]
        return scores

    def _original(self, name: str) -> float:
        if name not in self._originals:
            clips = self.tests[name]
            rate = word_error_rate(self.recognizer, [pcm for pcm, _ in clips], clips)
            self._originals[name] = round(rate, 4)
        return self._originals[name]

    def export(self) -> Path:
        """Writes the codec as it is served into `export/`, and the head that teaches a Moshi."""
        folder = codecs.save(self.network.mimi, self.preset.shape.config(), self.out / "export")
        write_head(self.network.letter_head, folder)
        return folder
