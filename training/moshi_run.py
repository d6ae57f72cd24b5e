"""What a run of the Moshi recipe trains: steps and scores. Knows nothing of commands."""

from collections.abc import Generator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from models import codec as codecs
from models.moshi_checkpoint import fingerprint
from training.average import Average
from training.device import autocast, set_up
from training.moshi_batches import in_order
from training.moshi_data import Sets
from training.moshi_ears import start_hearing
from training.moshi_exam import Exam
from training.moshi_glance import look_back
from training.moshi_hearing import HearingExam
from training.moshi_network import Batch, Trainee
from training.moshi_optimizer import AdapterAdamW
from training.moshi_preset import Preset
from training.moshi_start import CodecIdentity, begin, export
from training.moshi_teacher import find_teacher
from training.optimizer import MuonAdamW, descend
from training.record import git_sha, write_settings
from training.run import Figures

CLIP = 1.0
# Parts of the names of matrices that are not between hidden layers.
OUTER = ("emb", "text_linear", "linears.", "condition_provider", "_head")


class MoshiRecipe:
    """A Moshi, the dialogues it hears, its place in them, and its exams."""

    curves = ("cer_text", "cer_speech", "unfitting")

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
        self.epoch = self.batch = 0
        out.mkdir(parents=True, exist_ok=True)
        set_up(device)
        self.mimi = codecs.load(codec, device=device)
        weights = fingerprint(codec / codecs.WEIGHTS)
        self.codec = CodecIdentity(weights, self.mimi.num_codebooks, self.mimi.cardinality)
        self.sets = Sets(preset, codec, out, manifest, device)
        self.start = begin(preset, data, out, self.codec, self.sets.aligned, device=device, say=say)
        if not preset.base:
            start_hearing(self.start.lm, self.mimi, preset.seed)
            look_back(self.start.lm, preset.seed)
        self.text = self.start.text
        teacher = find_teacher(codec, self.mimi)
        self.network = Trainee(self.start.lm, teacher).to(device).train()
        self.average = Average(self.network, preset.ema)
        self.optimizer = self._optimizer()
        self.exam = Exam(preset.eval_questions, preset.answer_seconds)
        self.hearing_exam = HearingExam(preset.eval_questions, self.mimi)
        write_settings(
            out,
            preset,
            device,
            codec=asdict(self.codec),
            dialogues=str(manifest or "made by training.duplex_dialogue"),
            text_card=self.text.card,
            parameters=sum(p.numel() for p in self.start.lm.parameters()),
        )

    def _optimizer(self) -> MuonAdamW | AdapterAdamW:
        preset = self.preset
        if preset.lora is not None:
            return AdapterAdamW(
                self.network, preset.learning_rate, weight_decay=preset.weight_decay
            )
        return MuonAdamW(
            self.network, preset.learning_rate, outer=OUTER, weight_decay=preset.weight_decay
        )

    def _trained(self) -> dict[str, Tensor]:
        return {n: p.detach() for n, p in self.network.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from; what is frozen is not in it."""
        return {
            "network": self._trained(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": (self.epoch, self.batch),
            "codec": self.codec.id,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where that state was taken.

        Raises ValueError when that was done with another codec.
        """
        if state["codec"] != self.codec.id:
            raise ValueError(
                "the checkpoint was written with another codec: resume with the one of run.json, "
                "or give another --out"
            )
        for name, value in self._trained().items():
            value.copy_(state["network"][name])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["place"]

    # -- training ---------------------------------------------------------------------------------

    def batches(self, _: int) -> Generator[list[Batch], None, None]:
        """From the recipe's place on: how many an epoch has is known once it is encoded."""
        try:
            while True:
                made = self.sets.epoch(self.epoch, self.text)
                self.say(f"epoch {self.epoch}, batch {self.batch} of {len(made)}")
                coming = in_order(made, self.batch, self.preset.reading_processes)
                while self.batch < len(made):
                    # An epoch's last step may have fewer batches than the others.
                    together = list(islice(coming, self.preset.accumulate))
                    self.batch += len(together)
                    yield together
                self.epoch, self.batch = self.epoch + 1, 0
        finally:
            self.sets.stop()

    def step(self, batches: list[Batch], number: int, rate: float) -> Figures:
        """Moves the weights by several batches at once."""
        figures: Figures = {}
        for batch in batches:
            with autocast(self.device):
                losses = self.network.losses(batch.to(self.device), self.preset.weights)
            (losses.total / len(batches)).backward()
            figures = vars(losses)
        if number < self.preset.heads_first:
            self.start.lm.zero_grad(set_to_none=True)
        norm = descend(self.optimizer, self.network, rate, CLIP)
        self.average.follow(number + 1)
        return {**figures, "norm": norm}

    # -- results ----------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        """Scores the averaged weights.

        What only listens yet is asked to write; what speaks, to answer as in a call.
        """
        self.network.eval()
        with self.average.applied(self.start.dtype):
            if self.sets.listening(self.epoch):
                scores = self.hearing_exam.sit(self.network, self.text, say=self.say)
            else:
                scores = self.exam.sit(self.mimi, self.start.lm, self.text, say=self.say)
        self.network.train()
        return scores

    def export(self) -> Path:
        """Writes the averaged weights: a language model's directory, or an adapter's."""
        with self.average.applied(self.start.dtype):
            target = self.out / "export"
            return export(self.start, self.codec, git_sha()[:12], target, int8=self.preset.int8)
