"""What a run of the recogniser's recipe trains: steps and scores. Knows nothing of commands."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.ctc import Search, Speller
from models.telugu.wer import wer
from training.asr_batches import test_batches
from training.asr_export import export
from training.asr_network import Batch, HybridWhisper, whisper_config
from training.asr_preset import Preset
from training.asr_speech import Speech
from training.asr_tokenizer import LETTER_COUNT, letters_text
from training.average import Average
from training.device import autocast
from training.optimizer import MuonAdamW, descend
from training.run import Figures

CLIP = 1.0


class AsrRecipe:
    """A small Whisper, the speech it hears, and its place in that."""

    curves = ("wer_",)

    def __init__(self, preset: Preset, data: Path, out: Path, *, device: str, say=print) -> None:
        self.preset, self.out, self.device, self.say = preset, out, device, say
        self.epoch = self.batch = 0
        out.mkdir(parents=True, exist_ok=True)
        self.speech = Speech(preset, data, out, say=say)
        self.tokenizer, self.vocabulary = self.speech.tokenizer, self.speech.vocabulary
        torch.manual_seed(preset.seed)
        config = whisper_config(
            preset.size, len(self.tokenizer), self.vocabulary.end, self.vocabulary.start
        )
        # Plain products: guided attention needs the weights, and on CPUs torch's fused attention
        # is slower than they are for windows this short.
        config._attn_implementation = "eager"
        self.network = HybridWhisper(config, LETTER_COUNT).to(device)
        self.average = Average(self.network, preset.ema)
        self.optimizer = MuonAdamW(
            self.network, preset.learning_rate, outer=("embed", "proj_out", "ctc_head")
        )
        self.tests = self.speech.tests()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": (self.epoch, self.batch),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where that state was taken."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["place"]

    def batches(self, _: int) -> Generator[Batch, None, None]:
        """From the recipe's place on: how many an epoch has is known once it is spoken."""
        while True:
            ahead = self.speech.speak_ahead(self.epoch + 1)
            loader, count = self.speech.epoch(self.epoch, self.batch)
            self.say(f"epoch {self.epoch}, batch {self.batch} of {count}")
            for batch in loader:
                self.batch += 1
                yield batch
            self.epoch, self.batch = self.epoch + 1, 0
            if ahead:
                ahead.join()

    def step(self, batch: Batch, number: int, rate: float) -> Figures:
        """Moves the weights; the decoder's attention is led fully at first, then ever less."""
        guide = max(0.0, 1.0 - number / self.preset.guided)
        with autocast(self.device):
            losses = self.network.losses(batch.to(self.device), self.preset.smoothing, guide)
        losses.total.backward()
        descend(self.optimizer, self.network, rate, CLIP)
        self.average.follow(number + 1)
        return {
            "loss": losses.total,
            "attention": losses.attention,
            "ctc": losses.ctc,
            "astray": losses.astray,
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """te-std WER of the averaged weights, spelled as served.

        `wer_decoder_*` is what the decoder writes on the clean tests.
        """
        speller = Speller(self.speech.letter_lm, Search())
        scores: dict[str, float] = {}
        self.network.eval()
        with self.average.applied(), autocast(self.device):
            for name, items in self.tests.items():
                spelled: list[tuple[str, str]] = []
                written: list[tuple[str, str]] = []
                for mel, frames, references in test_batches(items, 32):
                    rows = self._spell(speller, mel.to(self.device), frames)
                    spelled += zip(references, rows, strict=True)
                    if not name.endswith("noisy"):
                        written += zip(references, self._write(mel.to(self.device)), strict=True)
                scores[f"wer_{name}"] = round(wer(spelled).rate, 4)
                if written:
                    scores[f"wer_decoder_{name}"] = round(wer(written).rate, 4)
        self.network.train()
        return scores

    def _spell(self, speller: Speller, mel: Tensor, frames: list[int]) -> list[str]:
        encoded = self.network.encode(mel)
        scores = self.network.ctc_head(encoded).float().log_softmax(-1).cpu().numpy()
        rows = zip(scores, frames, strict=True)
        found = [speller.best(row[: (count + 1) // 2]).letters for row, count in rows]
        return [letters_text(row).strip() for row in found]

    def _write(self, mel: Tensor) -> list[str]:
        prompt = [self.vocabulary.start, self.vocabulary.no_timestamps]
        rows = self.network.transcribe(mel, prompt, 100)
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True)

    def export(self) -> Path:
        """Writes the averaged weights as they are served into `export/`."""
        with self.average.applied():
            return export(self.network, self.tokenizer, self.speech.letter_lm, self.out / "export")
