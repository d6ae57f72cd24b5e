"""Trains the starter recogniser: a small Whisper on synthetic Telugu speech.

    maata train asr --preset starter --data DIR [--out runs/asr] [--resume]

Speaks the sentences of `corpus.py` with espeak-ng in many voices, damages the audio as rooms and
telephones do, and trains encoder, decoder and a CTC head together. Presets: `starter` (two CPU
cores, an hour and a half), `gpu` (larger, minutes on one GPU), `tiny` (tests). Writes checkpoints
every few minutes, `metrics.jsonl`, `learning_curve.svg` and `export/`, the weights in transformers'
layout. Interrupt it whenever you like: `--resume` goes on with the very next batch.
"""

import dataclasses
import itertools
import json
import math
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from models.espeak import variants
from models.telugu.wer import wer
from training import corpus
from training.asr_batches import EpochBatches, Spoken, Vocabulary, test_batches
from training.asr_curve import draw_curve
from training.asr_export import export
from training.asr_network import Batch, HybridWhisper, Losses, Size, whisper_config
from training.asr_tokenizer import (
    END,
    LETTER_COUNT,
    NO_SPEECH,
    NO_TIMESTAMPS,
    START,
    train_tokenizer,
)
from training.noise import augment, cut
from training.optimizer import MuonAdamW
from training.utterances import (
    HELD_OUT_VARIANTS,
    Renditions,
    progress_line,
    speak_all,
    training_variants,
)


@dataclass(frozen=True)
class Preset:
    """Everything that decides a run, but for data and place."""

    steps: int
    size: Size = dataclasses.field(default_factory=Size)
    pieces: int = 640  # text pieces of the vocabulary
    frames_per_batch: int = 6_000  # mel frames, padding included
    learning_rate: float = 1e-3
    warmup: int = 250  # steps
    decay: float = 0.3  # the last part of the steps, in which the rate falls to zero
    smoothing: float = 0.05
    guided: int = 9_000  # steps, over which leading the decoder's attention fades out
    ema: float = 0.998
    rendition_sets: int = 5  # voices each sentence gets before the first one is heard again
    dialogue_share: int = 6_000  # sentences of our own dialogues an epoch takes
    language_seeds: int = 4  # times our dialogues are composed for the letter model
    report_every: int = 20  # steps
    eval_every: int = 500
    eval_sentences: int = 100  # of each test
    checkpoint_seconds: float = 180.0
    loader_processes: int = 1
    render_processes: int = 2
    seed: int = 1


PRESETS = {
    "tiny": Preset(
        steps=2,
        size=Size(32, 2, 1, 1),
        pieces=128,
        frames_per_batch=1_500,
        warmup=1,
        eval_every=2,
        eval_sentences=2,
        rendition_sets=1,
        loader_processes=0,
        render_processes=1,
    ),
    "starter": Preset(steps=10_000),
    "gpu": Preset(
        steps=30_000,
        size=Size(384, 6, 6, 3),
        pieces=1_000,
        frames_per_batch=60_000,
        learning_rate=1e-3,
        rendition_sets=12,
        loader_processes=12,
        render_processes=12,
    ),
}


class _Steps(Dataset):
    """Batches `first`.. of an epoch, for the loader's worker processes."""

    def __init__(self, batches: EpochBatches, first: int) -> None:
        self._batches, self._first = batches, first

    def __len__(self) -> int:
        return len(self._batches) - self._first

    def __getitem__(self, index: int):
        return self._batches[self._first + index]


class Run:
    """A training run in a directory: its network, its place in the data, its files."""

    def __init__(self, preset: Preset, data: Path, out: Path, *, device: str, say=print) -> None:
        self.preset, self.data, self.out, self.device = preset, data, out, device
        self.say = say
        self.step = self.epoch = self.batch = 0
        self.seconds = 0.0  # of training, over all resumes
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()
        self.vocabulary = _vocabulary(self.tokenizer)
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
        self.tests = self._tests()

    # -- files ------------------------------------------------------------------------------------

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        path = self.out / "tokenizer"
        if not path.is_dir():
            lists = corpus.training_sentences(self.data, 0, self.preset.dialogue_share)
            tokenizer = train_tokenizer(itertools.chain(*lists.values()), self.preset.pieces)
            tokenizer.save_pretrained(path)
        return PreTrainedTokenizerFast.from_pretrained(path)

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

    # -- data -------------------------------------------------------------------------------------

    def _renditions(self, epoch: int) -> Renditions:
        number = epoch % self.preset.rendition_sets
        lists = corpus.training_sentences(self.data, number, self.preset.dialogue_share)
        if epoch == 0:
            self.say("sentences: " + ", ".join(f"{k} {len(v)}" for k, v in lists.items()))
        return Renditions(_speak_set(lists, self.preset, number, self.out, progress=True))

    def _speak_ahead(self, epoch: int) -> multiprocessing.Process | None:
        """Speaks the next epoch's set in a process of its own, if nobody did yet."""
        if epoch >= self.preset.rendition_sets or self.preset.loader_processes == 0:
            return None
        preset = dataclasses.replace(self.preset, render_processes=1)
        process = multiprocessing.get_context("spawn").Process(
            target=_speak_quietly, args=(self.data, preset, epoch, self.out), daemon=True
        )
        process.start()
        return process  # pyright: ignore[reportReturnType]

    def _tests(self) -> dict[str, list[tuple[np.ndarray, str]]]:
        """Unseen sentences in unseen voices, clean and (`noisy`) through augmentation."""
        tests: dict[str, list[tuple[np.ndarray, str]]] = {}
        lists = corpus.held_out(self.data)
        rng = np.random.default_rng(0)
        for name in ("dialogues", "everyday"):
            sentences = corpus.subsample(lists[name], self.preset.eval_sentences, 0)
            cache = self.out / "speech"
            path = speak_all(sentences, "test", HELD_OUT_VARIANTS, cache, processes=1)
            spoken = Renditions([path])
            pairs = [(spoken.pcm(i), text) for i, text in enumerate(spoken.texts)]
            tests[name] = [(cut(pcm, rng), text) for pcm, text in pairs]
            tests[f"{name}_noisy"] = [(augment(pcm, rng), text) for pcm, text in pairs[::2]]
        return tests

    def _loader(self) -> DataLoader:
        renditions = self._renditions(self.epoch)
        spoken = spell(self.tokenizer, list(dict.fromkeys(renditions.texts)))
        batches = EpochBatches(
            renditions,
            spoken,
            self.vocabulary,
            self.preset.frames_per_batch,
            (self.preset.seed, self.epoch),
        )
        self.epoch_batches = len(batches)
        workers = self.preset.loader_processes
        return DataLoader(
            _Steps(batches, min(self.batch, len(batches))),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
        )

    # -- training ---------------------------------------------------------------------------------

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the preset's last step, a signal, or `stop_after` steps of this call."""
        last = min(self.preset.steps, self.step + (stop_after or self.preset.steps))
        saved = time.monotonic()
        while self.step < last and not self.stopping:
            ahead = self._speak_ahead(self.epoch + 1)
            for batch in self._loader():
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
        """te-std WER of the averaged weights on every test, logged and drawn."""
        prompt = [self.vocabulary.start, self.vocabulary.no_timestamps]
        scores: dict[str, float] = {}
        for name, items in self.tests.items():
            pairs: list[tuple[str, str]] = []
            for mel, references in test_batches(items, 32):
                with torch.autocast(self.device.split(":")[0], torch.bfloat16):
                    rows = self.average.transcribe(mel.to(self.device), prompt, 100)
                texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
                pairs += zip(references, texts, strict=True)
            scores[f"wer_{name}"] = round(wer(pairs).rate, 4)
        self._log(**scores)
        draw_curve(self.out / "metrics.jsonl", self.out / "learning_curve.svg")
        self.say("  ".join(f"{name} {score:.2%}" for name, score in scores.items()))
        return scores


def spell(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, Spoken]:
    """What the network writes for each text."""
    coded = tokenizer(texts, return_offsets_mapping=True)
    rows = zip(texts, coded["input_ids"], coded["offset_mapping"], strict=True)
    return {text: Spoken(text, ids, [end for _, end in spans]) for text, ids, spans in rows}


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> Vocabulary:
    def token(text: str) -> int:
        found = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(found, int)
        return found

    return Vocabulary(
        end=token(END),
        start=token(START),
        no_timestamps=token(NO_TIMESTAMPS),
        no_speech=token(NO_SPEECH),
    )


def _speak_set(
    lists: dict[str, list[str]], preset: Preset, number: int, out: Path, *, progress: bool
) -> list[Path]:
    """Speaks rendition set `number`; a file per source, so that one can change without the rest."""
    return [
        speak_all(
            sentences,
            f"{preset.seed}/{number}",
            training_variants(variants()),
            out / "speech",
            processes=preset.render_processes if len(sentences) > 500 else 1,
            progress=progress_line(f"speaking {name}, set {number}") if progress else None,
        )
        for name, sentences in lists.items()
    ]


def _speak_quietly(data: Path, preset: Preset, number: int, out: Path) -> None:
    os.nice(5)  # training comes first
    lists = corpus.training_sentences(data, number, preset.dialogue_share)
    _speak_set(lists, preset, number, out, progress=False)


def main(
    preset: str = "starter",
    data: Path | str | None = None,
    out: Path | str = "runs/asr",
    *,
    resume: bool = False,
    steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> Path:
    """Trains and exports; returns the directory of the exported weights.

    Args:
        preset: a name of PRESETS.
        data: directory with `text/`; default `MAATA_DATA`, then `data/`.
        out: the run's directory.
        resume: go on with the checkpoint in `out`.
        steps: another number of steps than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, or a finished run without `resume`.
        corpus.DataMissing: no text where `data` says.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    if steps:
        chosen = dataclasses.replace(chosen, steps=steps)
    root, folder = corpus.data_root(data), Path(out)
    if resume != (folder / "checkpoint.pt").exists():
        remedy = "leave out --resume" if resume else "add --resume, or give another --out"
        raise ValueError(f"{folder} holds {'no' if resume else 'a'} checkpoint: {remedy}")
    run = Run(chosen, root, folder, device=device or _device())
    if resume:
        run.load()

    def stop(*_: object) -> None:
        run.stopping = True
        run.say("stopping after this step")

    previous = [signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)]
    try:
        run.train(stop_after)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), previous, strict=True):
            signal.signal(number, handler)
    texts = corpus.language_sentences(root, chosen.language_seeds)
    return export(run.average, run.tokenizer, texts, folder / "export")


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
