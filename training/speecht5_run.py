"""A run of the acoustic model's recipe: steps, scores, checkpoints. Knows nothing of commands."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from models.speecht5_layout import load_vocoder, ready
from models.speecht5_text import FILE, Characters
from models.weights import resolve
from models.whisper import Recognizer
from training import speecht5_eval, speecht5_start, speecht5_vocabulary
from training.codec_memory import keep_freed_memory
from training.speecht5_batches import Batch, Batches
from training.speecht5_data import SpeechT5Data
from training.speecht5_log import Log, Rater, rated
from training.speecht5_network import Losses, TrainedSpeechT5
from training.speecht5_preset import Preset

CURVES = ("cer", "faults")
CLIP = 1.0


class Run:
    """A training run in a directory: its network, its place in the data, its files."""

    def __init__(
        self,
        preset: Preset,
        data: Path,
        out: Path,
        *,
        asr: Path | None,
        vocoder: Path | None = None,
        device: str,
        rate: Rater | None = None,
        tensorboard: bool = False,
        say=print,
    ) -> None:
        """`rate` scores sounds at every evaluation; `tensorboard` writes its files, too."""
        self.preset, self.chosen, self.out, self.device = preset, preset.acoustic, out, device
        self.say = say
        self.step, self.seconds = 0, 0.0  # of training, over all resumes
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        self._log, self._rate = Log(out, tensorboard=tensorboard), rate
        if device == "cpu":
            torch.set_num_threads(preset.threads)
            keep_freed_memory()
        self.data = SpeechT5Data(preset, data, out.parent / "speech", say=say)
        torch.manual_seed(preset.seed)
        self.characters, network = self._start()
        self.network = network.to(device)
        if self.chosen.frozen_encoder:
            self.network.acoustic.speecht5.encoder.wrapped_encoder.requires_grad_(False)
        if lost := self.data.unknown(self.characters):
            raise ValueError(f"the vocabulary cannot write {lost[0]!r}")
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.01},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=self.chosen.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self._recognizer = Recognizer.load(asr, threads=1) if asr else None
        self._vocoder = ready(load_vocoder(vocoder), device) if vocoder else None
        self._recordings = self.data.recordings()
        self._tests = self.data.tests()

    def _start(self) -> tuple[Characters, TrainedSpeechT5]:
        """The vocabulary and the first weights: random, or those of another SpeechT5."""
        path = self.out / FILE
        if self.preset.start:
            source = resolve(self.preset.start)
            return speecht5_start.extended(source, path, seed=self.preset.seed)
        characters = speecht5_vocabulary.make(path)
        config = self.chosen.shape.config(len(characters))
        return characters, TrainedSpeechT5.build(config)

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
        self.step, self.seconds = state["place"]

    def averaged(self) -> TrainedSpeechT5:
        """The network with the averaged weights, in evaluation mode."""
        network = TrainedSpeechT5.build(self.network.acoustic.config).to(self.device)
        network.load_state_dict(self.average)
        return network.eval().requires_grad_(False)

    # -- training ---------------------------------------------------------------------------------

    def batches(self, first: int, last: int) -> DataLoader[Batch]:
        """Batches `first`..`last` - 1."""
        workers = self.preset.loader_processes
        return DataLoader(
            Batches(
                self._recordings,
                self.characters,
                self.chosen,
                self.preset.seed,
                first,
                last - first,
            ),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.chosen.steps, self.step + (stop_after or self.chosen.steps))
        saved = time.monotonic()
        if self.step < last:
            for batch in self.batches(self.step, last):
                self.one_step(batch.to(self.device))
                if self.step % self.preset.eval_every == 0 or self.step == self.chosen.steps:
                    self.evaluate()
                if time.monotonic() - saved > self.preset.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if self.stopping:
                    break
        self.save()

    def one_step(self, batch: Batch) -> None:
        """Moves the weights."""
        started = time.monotonic()
        chosen, network = self.chosen, self.network.train()
        # The prenet draws its dropout from the global generator.
        torch.manual_seed(self.preset.seed * 1_000_003 + self.step)
        rate = falling(self.step, chosen.steps, chosen.learning_rate, chosen.warmup, chosen.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=half(self.device)):
            losses, _ = network.losses(
                batch,
                guide=self._guide(),
                width=chosen.width,
                stop=chosen.stop,
                forget=chosen.forget,
                noise=chosen.noise,
            )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        if torch.isfinite(norm):  # a step over a cliff would end the run
            self.optimizer.step()
        self.step += 1
        follow(self.average, network, self.step, chosen.ema)
        self.seconds += time.monotonic() - started
        if self.step % self.preset.report_every == 0 or self.step == 1:
            self._report(losses, float(norm), rate, len(batch.ids))

    def _guide(self) -> float:
        """Weight of the attention's loss: full at first, then a reminder."""
        chosen = self.chosen
        gone = min(1.0, self.step / max(1, chosen.guided))
        return chosen.guide + (chosen.guide_end - chosen.guide) * gone

    def _report(self, losses: Losses, norm: float, rate: float, rows: int) -> None:
        names = ("total", "before", "after", "stop", "guide", "aligned")
        values = {name: round(float(getattr(losses, name).detach()), 4) for name in names}
        figures = {"loss": values["total"], **values, "norm": round(norm, 3), "rate": rate}
        del figures["total"]
        self._log.figures(self.step, self.seconds, figures)
        pace = self.seconds / self.step
        self.say(
            f"step {self.step}/{self.chosen.steps} rows {rows} mel {values['before']:.3f} "
            f"{values['after']:.3f} stop {values['stop']:.3f} guide {values['guide']:.3f} "
            f"aligned {values['aligned']:.2f} norm {norm:.2f} {pace:.2f} s/step, "
            f"{pace * (self.chosen.steps - self.step) / 60:.0f} min left"
        )

    # -- scores -----------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        """Speaks the test clauses as they are served; scores, pictures, samples and the curve."""
        network, tests = self.averaged(), self._tests
        said = speecht5_eval.say(network.acoustic, network.voices(), self.characters, tests)
        sounds = speecht5_eval.voiced([one.mel for one in said], self._vocoder)
        scores = {"faults": round(sum(bool(one.fault) for one in said) / len(said), 4)}
        lengths = [len(one.mel) / tests.frames[number] for number, one in enumerate(said)]
        scores["length"] = round(sum(lengths) / len(lengths), 3)
        if self._recognizer:
            texts = [job.text for job in tests.jobs]
            rate = speecht5_eval.letter_error_rate(self._recognizer, sounds, texts)
            scores["cer"] = round(rate, 4)
            scores["cer_original"] = self._original()
        scores |= rated(self._rate, sounds[: speecht5_eval.KEPT])
        speecht5_eval.keep(self._log, self.step, sounds, tests)
        speecht5_eval.keep_attention(self._log, self.step, said)
        self._log.figures(self.step, self.seconds, scores)
        self._log.draw(CURVES)
        self.say("  ".join(f"{name} {score:.4g}" for name, score in scores.items()))
        return scores

    def _original(self) -> float:
        """CER of the synthesizer's own speech, heard once."""
        path = self.out / "cer_original.json"
        if not path.exists():
            assert self._recognizer is not None
            texts = [job.text for job in self._tests.jobs]
            sounds = [self._tests.pcm(number) for number in range(len(texts))]
            rate = speecht5_eval.letter_error_rate(self._recognizer, sounds, texts)
            path.write_text(json.dumps(round(rate, 4)))
        return json.loads(path.read_text())

    def vocabulary(self) -> Path:
        """The run's `spm_char.model`."""
        return self.out / FILE


def half(device: str) -> bool:
    """Whether bfloat16 is multiplied natively; elsewhere it would only be slower."""
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def follow(
    average: dict[str, torch.Tensor], network: torch.nn.Module, step: int, ema: float
) -> None:
    """Moves averaged weights towards the network's; a young average follows faster."""
    keep = min(ema, step / (9 + step))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1.0 - keep)
            else:
                average[name].copy_(value)


def falling(step: int, steps: int, peak: float, warmup: int, decay: float) -> float:
    """Linear warm-up, a plateau, and 1 - sqrt down to zero (Hägele et al. 2024)."""
    last = max(1, round(decay * steps))
    left = min(1.0, max(0.0, (steps - step) / last))
    return peak * min(1.0, (step + 1) / warmup) * (1.0 - math.sqrt(1.0 - left))
