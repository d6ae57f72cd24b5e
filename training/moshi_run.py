"""A run of the Moshi recipe: steps, scores, checkpoints. Knows nothing of commands."""

import json
import math
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import torch

from models import codec as codecs
from models.moshi_checkpoint import fingerprint
from models.weights import ROOT
from training.codec_memory import keep_freed_memory
from training.curve import draw_curve
from training.llm_run import autocast
from training.moshi_average import Average
from training.moshi_data import Sets
from training.moshi_ears import start_hearing
from training.moshi_exam import Exam
from training.moshi_glance import look_back
from training.moshi_hearing import HearingExam
from training.moshi_network import Losses, Trainee
from training.moshi_optimizer import AdapterAdamW
from training.moshi_preset import Preset
from training.moshi_start import CodecIdentity, begin, export
from training.optimizer import MuonAdamW

CURVES = ("cer_text", "cer_speech", "unfitting")
# Parts of the names of matrices that are not between hidden layers.
OUTER = ("emb", "text_linear", "linears.", "condition_provider", "_head")


class Run:
    """A training run in a directory: its network, its place in the data, its files."""

    def __init__(
        self,
        preset: Preset,
        data: Path,
        codec: Path,
        out: Path,
        *,
        manifest: Path | None = None,
        device: str = "cpu",
        say=print,
    ) -> None:
        self.preset, self.out, self.device, self.say = preset, out, device, say
        self.step = self.epoch = self.batch = self.epoch_batches = 0
        self.seconds = 0.0  # of training, over all resumes
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        if device == "cpu":
            keep_freed_memory()
        self.mimi = codecs.load(codec, device=device)
        weights = fingerprint(codec / codecs.WEIGHTS)
        self.codec = CodecIdentity(weights, self.mimi.num_codebooks, self.mimi.cardinality)
        self.sets = Sets(preset, codec, out, manifest, device)
        self.start = begin(preset, data, out, self.codec, self.sets.aligned, device=device, say=say)
        if not preset.base:
            start_hearing(self.start.lm, self.mimi, preset.seed)
            look_back(self.start.lm, preset.seed)
        self.text = self.start.text
        self.network = Trainee(self.start.lm).to(device).train()
        self.average = Average(self.network, preset.ema)
        self.optimizer = self._optimizer()
        self.exam = Exam(preset.eval_questions, preset.answer_seconds)
        self.hearing_exam = HearingExam(preset.eval_questions, self.mimi)
        self._note_settings(manifest)

    def _optimizer(self) -> MuonAdamW | AdapterAdamW:
        preset = self.preset
        if preset.lora is not None:
            return AdapterAdamW(
                self.network, preset.learning_rate, weight_decay=preset.weight_decay
            )
        return MuonAdamW(
            self.network, preset.learning_rate, outer=OUTER, weight_decay=preset.weight_decay
        )

    def _note_settings(self, manifest: Path | None) -> None:
        """What decides this run, beside what came of it."""
        settings = {
            "preset": asdict(self.preset),
            "codec": asdict(self.codec),
            "dialogues": str(manifest or "made by training.duplex_dialogue"),
            "text_card": self.text.card,
            "parameters": sum(p.numel() for p in self.start.lm.parameters()),
            "git": git_sha(),
            "torch": torch.__version__,
            "device": self.device,
        }
        path = self.out / "run.json"
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")

    # -- checkpoints ------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        """The file a resume starts from."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint whole or not at all; what is frozen is not in it."""
        trained = {n: p.detach() for n, p in self.network.named_parameters() if p.requires_grad}
        state = {
            "network": trained,
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": (self.step, self.epoch, self.batch, self.seconds),
            "codec": self.codec.id,
        }
        scratch = self.checkpoint.with_suffix(".part")
        torch.save(state, scratch)
        scratch.rename(self.checkpoint)

    def load(self) -> None:
        """Goes on where the checkpoint was written.

        Raises ValueError for the checkpoint of another shape or codec.
        """
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        trained = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        shapes = {name: p.shape for name, p in trained.items()}
        stored = {name: value.shape for name, value in state["network"].items()}
        if shapes != stored or state["codec"] != self.codec.id:
            what = "codec" if state["codec"] != self.codec.id else "preset"
            raise ValueError(
                f"{self.checkpoint} was written with another {what}: resume with the one of "
                "run.json, or give another --out"
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(state["network"][name])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.epoch, self.batch, self.seconds = state["place"]

    # -- training ---------------------------------------------------------------------------------

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.preset.steps, self.step + (stop_after or self.preset.steps))
        saved = time.monotonic()
        try:
            while self.step < last and not self.stopping:
                batches = self.sets.epoch(self.epoch, self.text)
                self.epoch_batches = len(batches)
                while self.batch < len(batches) and self.step < last and not self.stopping:
                    # An epoch's last step may have fewer batches than the others.
                    numbers = range(
                        self.batch, min(self.batch + self.preset.accumulate, len(batches))
                    )
                    self._step([batches[number] for number in numbers])
                    if self.step % self.preset.eval_every == 0 or self.step == self.preset.steps:
                        self.evaluate()
                    if time.monotonic() - saved > self.preset.checkpoint_seconds:
                        self.save()
                        saved = time.monotonic()
                if self.batch >= len(batches):
                    self.epoch, self.batch = self.epoch + 1, 0
        finally:
            self.sets.stop()
        self.save()

    def _step(self, batches: list) -> None:
        started = time.monotonic()
        rate = self.rate()
        self.optimizer.set_rate(rate)
        losses: Losses | None = None
        for batch in batches:
            with autocast(self.device):
                losses = self.network.losses(batch.to(self.device), self.preset.weights)
            (losses.total / len(batches)).backward()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        if torch.isfinite(norm):  # a step over a cliff would end the run
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.step, self.batch = self.step + 1, self.batch + len(batches)
        self.average.follow(self.step)
        self.seconds += time.monotonic() - started
        if losses and (self.step % self.preset.report_every == 0 or self.step == 1):
            self._report(losses, rate, float(norm))

    def rate(self) -> float:
        """Linear warm-up, a plateau, and 1 - sqrt down to zero (Hägele et al. 2024).

        The plateau keeps the number of steps open: a resume may ask for more or fewer.
        """
        peak, step, steps = self.preset.learning_rate, self.step + 1, self.preset.steps
        falling = max(1, round(self.preset.decay * steps))
        left = min(1.0, max(0.0, (steps - step + 1) / falling))
        return peak * min(1.0, step / self.preset.warmup) * (1.0 - math.sqrt(1.0 - left))

    def _report(self, losses: Losses, rate: float, norm: float) -> None:
        values = losses.items()
        self._log(**values, rate=rate, norm=round(norm, 3))
        left = self.seconds / self.step * (self.preset.steps - self.step)
        shown = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        self.say(
            f"step {self.step}/{self.preset.steps} epoch {self.epoch} "
            f"{self.batch}/{self.epoch_batches} {shown} "
            f"{self.seconds / self.step:.2f} s/step, {left / 60:.0f} min left"
        )

    def _log(self, **values: float) -> None:
        row = {"step": self.step, "seconds": round(self.seconds), **values}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    # -- results ----------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        """Scores the averaged weights, logs and draws the scores.

        What only listens yet is asked to write; what speaks, to answer as in a call.
        """
        self.network.eval()
        with self.average.applied(self.start.dtype):
            if self.sets.listening(self.epoch):
                scores = self.hearing_exam.sit(self.network, self.text, say=self.say)
            else:
                scores = self.exam.sit(self.mimi, self.start.lm, self.text, say=self.say)
        self.network.train()
        self._log(**scores)
        draw_curve(self.out / "metrics.jsonl", self.out / "learning_curve.svg", CURVES)
        self.say("  ".join(f"{name} {value:g}" for name, value in scores.items()))
        return scores

    def export(self) -> Path:
        """Writes the averaged weights: a language model's directory, or an adapter's."""
        with self.average.applied(self.start.dtype):
            target = self.out / "export"
            return export(self.start, self.codec, git_sha()[:12], target, int8=self.preset.int8)


def git_sha() -> str:
    """The commit of this code, "unknown" outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
