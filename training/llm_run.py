"""A run of the language model's recipe: steps, scores, checkpoints. Knows nothing of commands."""

import json
import math
import os
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaForCausalLM

from training import llm_tokenizer
from training.dialogues import Composer, user_utterances
from training.llm_batches import PAD_ID, Batch, Encoder, batches, intent_numbers
from training.llm_network import build, intent_head, loss_of
from training.llm_preset import Recipe
from training.llm_tokenizer import BOS, EOS
from training.optimizer import MuonAdamW


def rate_at(step: int, recipe: Recipe) -> float:
    """The learning rate: a warm-up, a plateau, a straight fall to nothing."""
    cooldown = max(1, round(recipe.cooldown * recipe.steps))
    left = recipe.steps - step
    return recipe.rate * min(1.0, (step + 1) / recipe.warmup, left / cooldown)


def autocast(device: str) -> torch.autocast:
    """bfloat16 where the processor multiplies it natively; elsewhere it would only be slower."""
    kind = torch.device(device).type
    native = kind == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(kind, torch.bfloat16, enabled=native)


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, fixed: list[Batch], device: str) -> float:
    """Mean loss over batches whose wordings the training never uses."""
    model.eval()
    with autocast(device):
        losses = [loss_of(model, batch, device)[0].item() for batch in fixed]
    model.train()
    return sum(losses) / len(losses)


class Run:
    """One training run in a directory it can be resumed from."""

    def __init__(self, recipe: Recipe, out: Path, resume: bool) -> None:
        self.recipe, self.out = recipe, out
        torch.set_num_threads(recipe.threads)
        out.mkdir(parents=True, exist_ok=True)
        saved = out / "checkpoint.pt"
        if saved.exists() and not resume:
            raise FileExistsError(f"{saved} is there already: add --resume, or give another --out")
        self.tokenizer = self._tokenizer()
        self.model = build(recipe, self.tokenizer)
        self.average = build(recipe, self.tokenizer).eval()
        self.head = intent_head(recipe, len(intent_numbers()))
        for model in (self.model, self.average, self.head):
            torch.nn.Module.to(model, recipe.device)
        self.optimizer = MuonAdamW(
            torch.nn.ModuleDict({"model": self.model, "intent": self.head}),
            recipe.rate,
            outer=("embed", "lm_head", "intent"),
            weight_decay=recipe.decay,
        )
        self.step, self.seconds = 0, 0.0
        if resume and saved.exists():
            self._load(saved)

    def train(self) -> None:
        """Run the remaining steps; a checkpoint every `save_every`, and when interrupted."""
        recipe = self.recipe
        encoder = Encoder(self.tokenizer, recipe.piece_dropout, recipe.context)
        exact = Encoder(self.tokenizer, 0.0, recipe.context)
        fixed = list(islice(batches(recipe, exact, "held_out"), 4))
        stream = batches(recipe, encoder, "train", first=self.step)
        began, first = time.monotonic() - self.seconds, self.step
        started = time.monotonic()
        try:
            while self.step < recipe.steps:
                loss, intents = self._step(next(stream))
                self.step += 1
                self.seconds = time.monotonic() - began
                if self.step % 10 == 0 or self.step == recipe.steps:
                    a_step = (time.monotonic() - started) / (self.step - first)
                    self._note({"step": self.step, "loss": loss, "intents": intents}, a_step)
                if self.step % recipe.save_every == 0 and self.step < recipe.steps:
                    held = held_out_loss(self.average, fixed, recipe.device)
                    self._note({"step": self.step, "held_out_loss": held})
                    self.save()
        finally:  # Ctrl-C loses nothing
            self.save()
        held = held_out_loss(self.average, fixed, recipe.device)
        self._note({"step": self.step, "held_out_loss": held, "perplexity": math.exp(held)})

    def _step(self, batch: Batch) -> tuple[float, float]:
        """Moves the weights; returns both losses."""
        self.optimizer.set_rate(rate_at(self.step, self.recipe))
        with autocast(self.recipe.device):
            words, intents = loss_of(self.model, batch, self.recipe.device, self.head)
        self.optimizer.zero_grad()
        (words + self.recipe.intent_weight * intents).backward()
        trained = [*self.model.parameters(), *self.head.parameters()]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        self.optimizer.step()
        # Early on the average follows closely, or it would remember the random beginning.
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for averaged, current in pairs:
                averaged.lerp_(current, 1 - keep)
        return words.item(), intents.item()

    def export(self) -> Path:
        """Write the averaged weights as fp16 safetensors with tokenizer and generation config."""
        target = self.out / "export"
        model = build(self.recipe, self.tokenizer)
        model.load_state_dict(self.average.state_dict())
        model.half().save_pretrained(target)
        llm_tokenizer.save(self.tokenizer, target, self.recipe.context)
        GenerationConfig(
            bos_token_id=self.tokenizer.token_to_id(BOS),
            eos_token_id=self.tokenizer.token_to_id(EOS),
            pad_token_id=PAD_ID,
            do_sample=False,
            max_new_tokens=96,
        ).save_pretrained(target)
        return target

    def save(self) -> None:
        """Write the checkpoint and rename it into place, so that a kill leaves the last one."""
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        scratch = self.out / "checkpoint.tmp"
        torch.save(state, scratch)
        os.replace(scratch, self.out / "checkpoint.pt")

    def _load(self, saved: Path) -> None:
        state = torch.load(saved, map_location=self.recipe.device, weights_only=True)
        shape = ("vocabulary", "width", "layers", "heads", "inner", "context", "seed")
        for key in shape:
            if state["recipe"][key] != getattr(self.recipe, key):
                raise ValueError(f"{saved} was trained with another {key}: give another --out")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _tokenizer(self) -> Tokenizer:
        path = self.out / "tokenizer.json"
        if path.exists():
            return Tokenizer.from_file(str(path))
        composer = Composer(self.recipe.seed, noise=0.0)
        talks = (composer.conversation() for _ in range(3000))
        texts = [message["content"] for talk in talks for message in talk.messages()]
        tokenizer = llm_tokenizer.train(
            texts + user_utterances("train", self.recipe.seed), self.recipe.vocabulary
        )
        tokenizer.save(str(path))
        return tokenizer

    def _note(self, row: dict[str, float], a_step: float | None = None) -> None:
        row["seconds"] = round(self.seconds, 1)
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        shown = "  ".join(
            f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
            if key != "seconds"
        )
        left = (
            f"  {a_step:.2f} s a step, {_span(a_step * (self.recipe.steps - self.step))} left"
            if a_step
            else ""
        )
        print(f"{shown}{left}", flush=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
