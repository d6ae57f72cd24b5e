"""A run of the codec's recipe: steps, scores, checkpoints. Knows nothing of commands."""

import json
import math
import time
from pathlib import Path

import torch
from moshi.utils.compile import no_compile

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
from training.codec_memory import keep_freed_memory
from training.codec_network import Losses, TrainedCodec
from training.codec_preset import Preset
from training.curve import draw_curve
from training.optimizer import MuonAdamW

CURVES = ("wer_", "cer_", "log_mel_")
# Parts of the names of what sees or makes samples, and of the heads that are dropped.
OUTER = ("encoder.model.0.", "decoder.model.14.", "letter_head.out", "pointer")
# The last convolution alone has a norm of 80 at first, for its weights are small; lower limits
# would scale every other layer's gradient by how quiet the batch is.
CLIP = 200.0


class Run:
    """A training run in a directory: its network, its place in the data, its files."""

    def __init__(
        self, preset: Preset, data: Path, asr: Path, out: Path, *, device: str, say=print
    ) -> None:
        self.preset, self.out, self.device, self.say = preset, out, device, say
        self.step = 0
        self.seconds = 0.0  # of training, over all resumes
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        if device == "cpu":
            torch.set_num_threads(preset.threads)
            keep_freed_memory()
        else:  # the sound is sensitive to half precision, not to TF32
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
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

    # -- files ------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        """The file a resume starts from."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversary": self.adversary.state_dict() if self.adversary else None,
            "place": (self.step, self.seconds),
        }
        scratch = self.checkpoint.with_suffix(".part")
        torch.save(state, scratch)
        scratch.rename(self.checkpoint)

    def load(self) -> None:
        """Goes on where the checkpoint was written."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        codecs.forget_centroids(self.network.mimi)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary:
            self.adversary.load_state_dict(state["adversary"])
        self.step, self.seconds = state["place"]

    def export(self) -> Path:
        """Writes the codec as it is served into `export/`."""
        return codecs.save(self.network.mimi, self.preset.shape.config(), self.out / "export")

    def _log(self, **values: float | list[float]) -> None:
        row = {"step": self.step, "seconds": round(self.seconds), **values}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    # -- training ---------------------------------------------------------------------------------

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.preset.steps, self.step + (stop_after or self.preset.steps))
        saved = time.monotonic()
        with no_compile():
            while self.step < last and not self.stopping:
                of_set = self.preset.steps_per_set
                for batch in self.data.batches(
                    self.step, min(last, (self.step // of_set + 1) * of_set)
                ):
                    self._step(batch.to(self.device))
                    if self.step % self.preset.eval_every == 0 or self.step == self.preset.steps:
                        self.evaluate()
                    if time.monotonic() - saved > self.preset.checkpoint_seconds:
                        self.save()
                        saved = time.monotonic()
                    if self.stopping:
                        break
        self.save()

    def _step(self, batch: Batch) -> None:
        started = time.monotonic()
        preset, network = self.preset, self.network.train()
        if self.step >= preset.continuous and not network.quantized:
            self._make_codebooks()
        network.set_step(self.step, preset.seed, preset.quantizer_dropout)
        rate = self._rate()
        self.optimizer.set_rate(rate)
        losses, coded = network.losses(batch, preset.weights, preset.spoken_rows)
        total = losses.total
        if self.adversary:
            total = total + self.adversary.judge(
                coded.sound, batch.said[: preset.spoken_rows], rate
            )
        self.optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        if torch.isfinite(norm):  # a step over a cliff would end the run
            self.optimizer.step()
        self.step += 1
        self.seconds += time.monotonic() - started
        if self.step % preset.report_every == 0 or self.step == 1:
            self._report(losses, float(norm), rate)

    @torch.no_grad()
    def _make_codebooks(self) -> None:
        """Clusters the first codebooks from the batches that come now, which train later too."""
        torch.manual_seed(self.preset.seed)
        count = self.preset.codebook_batches
        batches = self.data.batches(self.step, self.step + count)
        latents = [self.network.encode(batch.heard.to(self.device)) for batch in batches]
        self.network.make_codebooks(torch.cat(latents))
        self.say(f"made the codebooks from {count} batches")

    def _rate(self) -> float:
        """Linear warm-up, a plateau, and 1 - sqrt down to zero (Hägele et al. 2024).

        The plateau keeps the number of steps open: a resume may ask for more or fewer.
        """
        peak, step, steps = self.preset.learning_rate, self.step + 1, self.preset.steps
        falling = max(1, round(self.preset.decay * steps))
        left = min(1.0, max(0.0, (steps - step + 1) / falling))
        return peak * min(1.0, step / self.preset.warmup) * (1.0 - math.sqrt(1.0 - left))

    def _report(self, losses: Losses, norm: float, rate: float) -> None:
        names = ("total", "log_mel", "commitment", "direction", "letters")
        values = {name: round(float(getattr(losses, name).detach()), 4) for name in names}
        adversary = self.adversary.figures if self.adversary else {}
        self._log(loss=values.pop("total"), **values, norm=round(norm, 3), rate=rate, **adversary)
        pace = self.seconds / self.step
        self.say(
            f"step {self.step}/{self.preset.steps} mel {values['log_mel']:.3f} "
            f"commitment {values['commitment']:.3f} direction {values['direction']:.3f} "
            f"letters {values['letters']:.3f} norm {norm:.2f} {pace:.2f} s/step, "
            f"{pace * (self.preset.steps - self.step) / 60:.0f} min left"
        )

    # -- scores -----------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Scores, samples and the curve; before there are codebooks, nothing."""
        if not self.network.quantized:
            return {}
        network = self.network.eval()
        mimi, head = network.mimi, network.letter_head
        scores = {"idle_peak": round(idle_peak(mimi), 6)}
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
        perplexity = [round(p, 1) for p in network.perplexity()]
        self._log(**scores, perplexity=perplexity)
        draw_curve(self.out / "metrics.jsonl", self.out / "learning_curve.svg", CURVES)
        shown = "  ".join(f"{name} {score:.4g}" for name, score in scores.items())
        self.say(f"{shown}  perplexity {perplexity}")
        return scores

    def _original(self, name: str) -> float:
        if name not in self._originals:
            clips = self.tests[name]
            rate = word_error_rate(self.recognizer, [pcm for pcm, _ in clips], clips)
            self._originals[name] = round(rate, 4)
        return self._originals[name]
