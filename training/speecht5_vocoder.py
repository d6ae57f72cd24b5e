"""A run of the vocoder's recipe: a HiFi-GAN generator on the agent's own voices.

Learns by the distance of spectra at several resolutions (`codec_losses.py`), and on a GPU also from
discriminators (`codec_adversary.py`), which make it sound less like a machine and cost several
times a step. It hears true spectrograms, so it can train beside the acoustic model. Knows nothing
of text.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import SpeechT5HifiGan

from models.speecht5_layout import load_vocoder, write_half
from models.weights import resolve
from models.whisper import Recognizer
from training import codec_preset
from training.codec_adversary import Adversary
from training.codec_losses import SpectralDistance
from training.codec_memory import keep_freed_memory
from training.speecht5_crops import Crops, balance
from training.speecht5_data import SpeechT5Data
from training.speecht5_eval import KEPT, keep, letter_error_rate, voiced
from training.speecht5_log import Log, Rater, rated
from training.speecht5_preset import Preset
from training.speecht5_run import falling, follow, half

CURVES = ("cer", "log_mel")
CLIP = 30.0


class VocoderRun:
    """A training run in a directory."""

    def __init__(
        self,
        preset: Preset,
        data: Path,
        out: Path,
        *,
        asr: Path | None,
        device: str,
        rate: Rater | None = None,
        tensorboard: bool = False,
        say=print,
    ) -> None:
        """`rate` scores sounds at every evaluation; `tensorboard` writes its files, too."""
        self.preset, self.chosen, self.out, self.device = preset, preset.vocoder, out, device
        self.say = say
        self.step, self.seconds = 0, 0.0
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        self._log, self._rate = Log(out, tensorboard=tensorboard), rate
        if device == "cpu":
            torch.set_num_threads(preset.threads)
            keep_freed_memory()
        self.data = SpeechT5Data(preset, data, out.parent / "speech", say=say)
        self._recordings = self.data.recordings()
        self._tests = self.data.tests()
        torch.manual_seed(preset.seed)
        self.network = cast(SpeechT5HifiGan, torch.nn.Module.to(self._start(), device))
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.chosen.learning_rate,
            betas=(0.8, 0.99),  # as HiFi-GAN's
            weight_decay=0.01,
            fused=True,
        )
        self._distance = SpectralDistance().to(device)
        weights = codec_preset.Weights(
            adversary=self.chosen.adversary, features=self.chosen.features
        )
        judged = replace(codec_preset.PRESETS["gpu"], weights=weights)
        self.adversary = Adversary(judged, device) if self.chosen.adversary else None
        self._recognizer = Recognizer.load(asr, threads=1) if asr else None

    def _start(self) -> SpeechT5HifiGan:
        """Random weights that see spectrograms of mean 0 and spread 1, or another vocoder's."""
        if self.preset.start_vocoder:
            return load_vocoder(resolve(self.preset.start_vocoder)).train().requires_grad_(True)
        network = SpeechT5HifiGan(self.chosen.shape.config())
        numbers = range(0, len(self._recordings), max(1, len(self._recordings) // 200))
        frames = np.concatenate([self._recordings.mel(number) for number in numbers])
        network.mean.copy_(torch.from_numpy(frames.mean(0)))
        network.scale.copy_(torch.from_numpy(frames.std(0)))
        balance(network)
        return network

    # -- files ------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        """The file a resume starts from."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "adversary": self.adversary.state_dict() if self.adversary else None,
            "place": (self.step, self.seconds),
        }
        scratch = self.checkpoint.with_suffix(".part")
        torch.save(state, scratch)
        os.replace(scratch, self.checkpoint)

    def load(self) -> None:
        """Goes on where the checkpoint was written."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary:
            self.adversary.load_state_dict(state["adversary"])
        self.step, self.seconds = state["place"]

    def averaged(self) -> SpeechT5HifiGan:
        """The generator with the averaged weights, in evaluation mode."""
        network = SpeechT5HifiGan(self.network.config)
        torch.nn.Module.to(network, self.device)
        network.load_state_dict(self.average)
        return network.eval().requires_grad_(False)

    def export(self) -> Path:
        """Writes the vocoder as it is served into `export/`."""
        folder = self.out / "export"
        write_half(self.averaged(), folder)
        return folder

    # -- training ---------------------------------------------------------------------------------

    def batches(self, first: int, last: int) -> DataLoader[tuple[Tensor, Tensor]]:
        """Batches `first`..`last` - 1."""
        workers = self.preset.loader_processes
        return DataLoader(
            Crops(self._recordings, self.preset, first, last - first),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.chosen.steps, self.step + (stop_after or self.chosen.steps))
        saved = time.monotonic()
        if self.step < last:
            for mel, sound in self.batches(self.step, last):
                self.one_step(mel.to(self.device), sound.to(self.device))
                if self.step % self.preset.eval_every == 0 or self.step == self.chosen.steps:
                    self.evaluate()
                if time.monotonic() - saved > self.preset.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if self.stopping:
                    break
        self.save()

    def one_step(self, mel: Tensor, sound: Tensor) -> None:
        """Moves the weights by a batch [B, C, BANDS], [B, C * HOP]."""
        started = time.monotonic()
        chosen = self.chosen
        rate = falling(self.step, chosen.steps, chosen.learning_rate, chosen.warmup, chosen.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=half(self.device)):
            made = self.network(mel)
        made = made.float()
        loss, log_mel = self._distance(made, sound)
        total = loss
        if self.adversary:
            total = total + self.adversary.judge(made[:, None], sound[:, None], rate)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        if torch.isfinite(norm):  # a step over a cliff would end the run
            self.optimizer.step()
        self.step += 1
        follow(self.average, self.network, self.step, chosen.ema)
        self.seconds += time.monotonic() - started
        if self.step % self.preset.report_every == 0 or self.step == 1:
            self._report(float(loss.detach()), float(log_mel.detach()), float(norm), rate)

    def _report(self, loss: float, log_mel: float, norm: float, rate: float) -> None:
        figures = {"loss": round(loss, 4), "spectra": round(log_mel, 4), "norm": round(norm, 3)}
        more = self.adversary.figures if self.adversary else {}
        self._log.figures(self.step, self.seconds, {**figures, "rate": rate, **more})
        pace = self.seconds / self.step
        self.say(
            f"step {self.step}/{self.chosen.steps} loss {loss:.3f} log mel {log_mel:.3f} "
            f"norm {norm:.2f} {pace:.2f} s/step, "
            f"{pace * (self.chosen.steps - self.step) / 60:.0f} min left"
        )

    # -- scores -----------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        """Says the test clauses again from their spectrograms."""
        tests, count = self._tests, len(self._tests)
        mels = [tests.mel(number) for number in range(count)]
        originals = [tests.pcm(number) for number in range(count)]
        sounds = [
            s[: len(o)] for s, o in zip(voiced(mels, self.averaged()), originals, strict=True)
        ]
        device = self._distance.get_buffer("window_256").device
        apart = [
            self._distance(*(torch.from_numpy(x)[None].to(device) for x in (made, wanted)))[1]
            for made, wanted in zip(sounds, originals, strict=True)
        ]
        scores = {"log_mel": round(float(torch.stack(apart).mean()), 4)}
        if self._recognizer:
            texts = [job.text for job in tests.jobs]
            for name, heard in (("cer", sounds), ("cer_original", originals)):
                scores[name] = round(letter_error_rate(self._recognizer, heard, texts), 4)
        scores |= rated(self._rate, sounds[:KEPT])
        keep(self._log, self.step, sounds, tests)
        self._log.figures(self.step, self.seconds, scores)
        self._log.draw(CURVES)
        self.say("  ".join(f"{name} {score:.4g}" for name, score in scores.items()))
        return scores
