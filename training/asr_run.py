"""A run of the recogniser's recipe: steps, scores, checkpoints. Knows nothing of commands."""

import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from models.ctc import Search, Speller
from models.telugu.wer import wer
from training.asr_batches import test_batches
from training.asr_network import Batch, HybridWhisper, Losses, whisper_config
from training.asr_preset import Preset
from training.asr_speech import Speech
from training.asr_tokenizer import LETTER_COUNT, letters_text
from training.curve import draw_curve
from training.optimizer import MuonAdamW


class Run:
    """A training run in a directory: its network, its place in the data, its files."""

    def __init__(self, preset: Preset, data: Path, out: Path, *, device: str, say=print) -> None:
        self.preset, self.out, self.device, self.say = preset, out, device, say
        self.step = self.epoch = self.batch = self.epoch_batches = 0
        self.seconds = 0.0  # of training, over all resumes
        self.stopping = False
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
        self.average = HybridWhisper(config, LETTER_COUNT).to(device).eval().requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = MuonAdamW(
            self.network, preset.learning_rate, outer=("embed", "proj_out", "ctc_head")
        )
        self.tests = self.speech.tests()

    @property
    def checkpoint(self) -> Path:
        """The file a resume starts from."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": (self.step, self.epoch, self.batch, self.seconds),
        }
        scratch = self.checkpoint.with_suffix(".part")
        torch.save(state, scratch)
        scratch.rename(self.checkpoint)

    def load(self) -> None:
        """Goes on where the checkpoint was written."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.batch, self.seconds = state["place"]

    def _log(self, **values: float) -> None:
        row = {"step": self.step, "seconds": round(self.seconds), **values}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.preset.steps, self.step + (stop_after or self.preset.steps))
        saved = time.monotonic()
        while self.step < last and not self.stopping:
            ahead = self.speech.speak_ahead(self.epoch + 1)
            loader, self.epoch_batches = self.speech.epoch(self.epoch, self.batch)
            for batch in loader:
                self._step(batch.to(self.device))
                if self.step % self.preset.eval_every == 0 or self.step == self.preset.steps:
                    self.evaluate()
                if time.monotonic() - saved > self.preset.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if self.step >= last or self.stopping:
                    break
            else:
                self.epoch, self.batch = self.epoch + 1, 0
            if ahead and not self.stopping and self.step < last:
                ahead.join()
        self.save()

    def _step(self, batch: Batch) -> None:
        started = time.monotonic()
        rate = self._rate()
        self.optimizer.set_rate(rate)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16):
            losses = self.network.losses(batch, self.preset.smoothing, self._guide())
        losses.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):  # a step over a cliff would end the run
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.step, self.batch = self.step + 1, self.batch + 1
        self._follow()
        self.seconds += time.monotonic() - started
        if self.step % self.preset.report_every == 0 or self.step == 1:
            self._report(losses, rate, len(batch.mel))

    def _guide(self) -> float:
        """How much attention is led to where the text is heard: fully at first, then ever less."""
        return max(0.0, 1.0 - self.step / self.preset.guided)

    def _follow(self) -> None:
        """Moves the averaged weights; a young average follows faster."""
        keep = min(self.preset.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                list(self.average.parameters()),
                [p.detach() for p in self.network.parameters()],
                1.0 - keep,
            )

    def _rate(self) -> float:
        """Linear warm-up, a plateau, and 1 - sqrt down to zero (Hägele et al. 2024).

        The plateau keeps the number of steps open: a resume may ask for more or fewer.
        """
        peak, step, steps = self.preset.learning_rate, self.step + 1, self.preset.steps
        falling = max(1, round(self.preset.decay * steps))
        left = min(1.0, max(0.0, (steps - step + 1) / falling))
        return peak * min(1.0, step / self.preset.warmup) * (1.0 - math.sqrt(1.0 - left))

    def _report(self, losses: Losses, rate: float, rows: int) -> None:
        values = {
            "loss": round(float(losses.total.detach()), 4),
            "attention": round(float(losses.attention.detach()), 4),
            "ctc": round(float(losses.ctc.detach()), 4),
            "astray": round(float(losses.astray.detach()), 4),
            "rate": rate,
        }
        self._log(**values)
        left = self.seconds / self.step * (self.preset.steps - self.step)
        self.say(
            f"step {self.step}/{self.preset.steps} epoch {self.epoch} "
            f"{self.batch}/{self.epoch_batches} rows {rows} loss {values['loss']:.3f} "
            f"att {values['attention']:.3f} ctc {values['ctc']:.3f} astray {values['astray']:.2f} "
            f"{self.seconds / self.step:.2f} s/step, {left / 60:.0f} min left"
        )

    def evaluate(self) -> dict[str, float]:
        """te-std WER of the averaged weights, spelled as served, logged and drawn.

        `wer_decoder_*` is what the decoder writes on the clean tests.
        """
        speller = Speller(self.speech.letter_lm, Search())
        scores: dict[str, float] = {}
        for name, items in self.tests.items():
            spelled: list[tuple[str, str]] = []
            written: list[tuple[str, str]] = []
            for mel, frames, references in test_batches(items, 32):
                with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                    rows = self._spell(speller, mel.to(self.device), frames)
                    spelled += zip(references, rows, strict=True)
                    if not name.endswith("noisy"):
                        written += zip(references, self._write(mel.to(self.device)), strict=True)
            scores[f"wer_{name}"] = round(wer(spelled).rate, 4)
            if written:
                scores[f"wer_decoder_{name}"] = round(wer(written).rate, 4)
        self._log(**scores)
        draw_curve(self.out / "metrics.jsonl", self.out / "learning_curve.svg")
        self.say("  ".join(f"{name} {score:.2%}" for name, score in scores.items()))
        return scores

    @torch.no_grad()
    def _spell(self, speller: Speller, mel: Tensor, frames: list[int]) -> list[str]:
        encoded = self.average.encode(mel)
        scores = self.average.ctc_head(encoded).float().log_softmax(-1).cpu().numpy()
        rows = zip(scores, frames, strict=True)
        found = [speller.best(row[: (count + 1) // 2]).letters for row, count in rows]
        return [letters_text(row).strip() for row in found]

    def _write(self, mel: Tensor) -> list[str]:
        prompt = [self.vocabulary.start, self.vocabulary.no_timestamps]
        rows = self.average.transcribe(mel, prompt, 100)
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True)
