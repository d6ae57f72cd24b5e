"""maata train llm --preset starter|gpu|tiny [--resume] [--out DIR]

Trains a small Llama on the authored Telugu dialogues and writes a directory that transformers,
vLLM and CTranslate2 load. Conversations are composed while training, never twice the same; the
loss counts the assistant's tokens only. Knows nothing about serving.
"""

import json
import math
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from training import llm_tokenizer
from training.dialogues import Composer, Conversation, Split, template_words, user_utterances
from training.llm_tokenizer import BOS, EOS, PAD, ROLES, SPECIAL
from training.optimizer import MuonAdamW

IGNORED = -100  # the label cross_entropy skips
_PAD_ID = SPECIAL.index(PAD)
_POOL = 8  # batches drawn together and cut by length, so that little is padded


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights."""

    vocabulary: int = 3072
    width: int = 320
    layers: int = 6
    heads: int = 5
    inner: int = 864
    context: int = 512  # tokens
    steps: int = 6000
    batch: int = 16  # conversations
    turns: int = 10  # of a conversation, at most
    short_share: float = 0.4  # of the steps come first, with conversations of one or two turns:
    # which words decide the answer is found much sooner when there are few to choose from
    rate: float = 1e-3
    warmup: int = 100  # steps
    cooldown: float = 0.25  # share of the steps over which the rate falls to nothing
    decay: float = 0.05
    average: float = 0.995  # of the exponential moving average that is exported
    piece_dropout: float = 0.1  # BPE merges skipped on the caller's side
    save_every: int = 100  # steps
    seed: int = 0
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


PRESETS = {
    "starter": Recipe(),
    "gpu": replace(Recipe(), steps=12_000, batch=64, device="cuda"),
    "tiny": Recipe(640, 32, 2, 2, 64, 256, steps=4, batch=2, turns=2, warmup=1, save_every=2),
}


class Encoder:
    """Conversations as token ids and labels, the caller's words split at random."""

    def __init__(self, tokenizer: Tokenizer, piece_dropout: float, context: int) -> None:
        self._exact = tokenizer
        # Names and numbers keep their pieces: the answer copies them piece by piece.
        self._splittable = template_words() if piece_dropout else frozenset[str]()
        self._loose = Tokenizer.from_str(tokenizer.to_str())
        if piece_dropout:
            self._loose.model.dropout = piece_dropout  # pyright: ignore[reportAttributeAccessIssue]
        self._context = context
        self._id = {token: SPECIAL.index(token) for token in (BOS, EOS, *ROLES.values())}

    def encode(self, talk: Conversation) -> tuple[list[int], list[int]]:
        """Ids and labels `[T]`; the same ids the chat template gives when nothing is dropped."""
        ids, labels = [self._id[BOS]], [IGNORED]
        for message in talk.messages():
            role = message["role"]
            words = self._split(message["content"], loose=role == "user")
            turn = [self._id[ROLES[role]], *words, self._id[EOS]]
            learned = role == "assistant"
            if len(ids) + len(turn) > self._context:
                break
            ids += turn
            labels += [IGNORED, *turn[1:]] if learned else [IGNORED] * len(turn)
        return ids, labels

    def _split(self, text: str, loose: bool) -> list[int]:
        if not (loose and self._splittable):
            return self._exact.encode(text, add_special_tokens=False).ids
        ids: list[int] = []
        for word in text.split():  # pieces never cross a space
            tokenizer = self._loose if word in self._splittable else self._exact
            ids += tokenizer.encode(word, add_special_tokens=False).ids
        return ids


Batch = tuple[torch.Tensor, torch.Tensor]


def batches(recipe: Recipe, encoder: Encoder, split: Split, first: int = 0) -> Iterator[Batch]:
    """Ids and labels `[B, T]`, endless; batch `first` onwards of the seed's own sequence."""
    pool = first // _POOL
    skip = first % _POOL
    while True:
        seed = recipe.seed * 1_000_003 + pool
        short = split == "train" and pool * _POOL < recipe.short_share * recipe.steps
        turns = min(2, recipe.turns) if short else recipe.turns
        composer = Composer(seed, split, prompted=0.35 if short else 0.95)
        rows_a_batch = recipe.batch * (5 if short else 1)  # about as many tokens either way
        talks = [composer.conversation(turns) for _ in range(_POOL * rows_a_batch)]
        rows = sorted((encoder.encode(talk) for talk in talks), key=lambda row: len(row[0]))
        cuts = [rows[at : at + rows_a_batch] for at in range(0, len(rows), rows_a_batch)]
        random.Random(seed).shuffle(cuts)
        for cut in cuts[skip:]:
            longest = max(len(ids) for ids, _ in cut)
            yield (
                torch.tensor([ids + [_PAD_ID] * (longest - len(ids)) for ids, _ in cut]),
                torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in cut]),
            )
        pool, skip = pool + 1, 0


def build(recipe: Recipe, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A fresh model of the recipe's shape."""
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=recipe.width,
            intermediate_size=recipe.inner,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.token_to_id(BOS),
            eos_token_id=tokenizer.token_to_id(EOS),
            pad_token_id=_PAD_ID,
        )
    )
    return model


def loss_of(model: LlamaForCausalLM, batch: Batch, device: str) -> torch.Tensor:
    """Mean cross-entropy in nats over the assistant's tokens of `batch`."""
    ids, labels = (part.to(device) for part in batch)
    # Rows are padded on the right and attention is causal: no mask is needed, and the head runs
    # only where there is something to learn.
    hidden = model.model(ids[:, :-1]).last_hidden_state  # [B, T-1, D]
    wanted = labels[:, 1:]
    learned = wanted != IGNORED
    logits = model.lm_head(hidden[learned])  # [N, V]
    return functional.cross_entropy(logits.float(), wanted[learned])


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
        losses = [loss_of(model, batch, device).item() for batch in fixed]
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
        for model in (self.model, self.average):
            torch.nn.Module.to(model, recipe.device)
        self.optimizer = MuonAdamW(
            self.model, recipe.rate, outer=("embed", "lm_head"), weight_decay=recipe.decay
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
                loss = self._step(next(stream))
                self.step += 1
                self.seconds = time.monotonic() - began
                if self.step % 10 == 0 or self.step == recipe.steps:
                    a_step = (time.monotonic() - started) / (self.step - first)
                    self._note({"step": self.step, "loss": loss}, a_step)
                if self.step % recipe.save_every == 0 and self.step < recipe.steps:
                    held = held_out_loss(self.average, fixed, recipe.device)
                    self._note({"step": self.step, "held_out_loss": held})
                    self.save()
        finally:  # Ctrl-C loses nothing
            self.save()
        held = held_out_loss(self.average, fixed, recipe.device)
        self._note({"step": self.step, "held_out_loss": held, "perplexity": math.exp(held)})

    def _step(self, batch: Batch) -> float:
        self.optimizer.set_rate(rate_at(self.step, self.recipe))
        with autocast(self.recipe.device):
            loss = loss_of(self.model, batch, self.recipe.device)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        # Early on the average follows closely, or it would remember the random beginning.
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for averaged, current in pairs:
                averaged.lerp_(current, 1 - keep)
        return loss.item()

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
            pad_token_id=_PAD_ID,
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


def main(preset: str = "starter", *, resume: bool = False, out: Path | None = None) -> Path:
    """Train, export, evaluate; returns the exported directory.

    Raises:
        ValueError: no such preset, or a checkpoint of another shape in `out`.
        FileExistsError: `out` holds a run and `resume` was not asked for.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    from training.llm_score import report

    # A kill ends like Ctrl-C: after a checkpoint.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = Run(PRESETS[preset], out or Path("runs") / f"llm-{preset}", resume)
    run.train()
    exported = run.export()
    report(exported, run.out / "quality.json")
    return exported
