"""What a run of the language model's recipe trains: steps and scores. Knows nothing of commands."""

import math
from collections.abc import Generator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import GenerationConfig

from models import int8_files
from training import llm_tokenizer
from training.average import Average
from training.device import autocast, set_up
from training.dialogues import Composer, intent_numbers, user_utterances
from training.llm_batches import PAD_ID, Batch, Encoder, batches
from training.llm_network import build, intent_head, loss_of
from training.llm_preset import Preset
from training.llm_tokenizer import BOS, EOS
from training.optimizer import MuonAdamW, descend
from training.run import Figures

CLIP = 1.0


class LlmRecipe:
    """A small Llama, a head that names intents, and the conversations both learn from."""

    curves = ("held_out_loss", "loss")

    def __init__(self, preset: Preset, out: Path, *, device: str) -> None:
        self.preset, self.out, self.device = preset, out, device
        out.mkdir(parents=True, exist_ok=True)
        set_up(device, preset.threads)
        self.tokenizer = self._tokenizer()
        self.model = build(preset, self.tokenizer)
        self.head = intent_head(preset, len(intent_numbers()))
        self.network = nn.ModuleDict({"model": self.model, "intent": self.head}).to(device)
        self.average = Average(self.network, preset.ema)
        self.optimizer = MuonAdamW(
            self.network,
            preset.learning_rate,
            outer=("embed", "lm_head", "intent"),
            weight_decay=preset.weight_decay,
        )

    def _tokenizer(self) -> Tokenizer:
        path = self.out / "tokenizer.json"
        if path.exists():
            return Tokenizer.from_file(str(path))
        composer = Composer(self.preset.seed, noise=0.0)
        talks = (composer.conversation() for _ in range(3000))
        texts = [message["content"] for talk in talks for message in talk.messages()]
        tokenizer = llm_tokenizer.train(
            texts + user_utterances("train", self.preset.seed), self.preset.vocabulary
        )
        tokenizer.save(str(path))
        return tokenizer

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where that state was taken."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """Batches from number `first` on, composed as they are asked for."""
        encoder = Encoder(self.tokenizer, self.preset.piece_dropout, self.preset.context)
        yield from batches(self.preset, encoder, "train", first)

    def step(self, batch: Batch, number: int, rate: float) -> Figures:
        """Moves the weights."""
        with autocast(self.device):
            words, intents = loss_of(self.model, batch, self.device, self.head)
        (words + self.preset.intent_weight * intents).backward()
        descend(self.optimizer, self.network, rate, CLIP)
        self.average.follow(number + 1)
        return {"loss": words, "intents": intents}

    @cached_property
    def _held_out(self) -> list[Batch]:
        """Batches whose wordings the training never uses."""
        exact = Encoder(self.tokenizer, 0.0, self.preset.context)
        return list(islice(batches(self.preset, exact, "held_out"), 4))

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Loss of the averaged weights on held-out wordings, nats, and its perplexity."""
        self.network.eval()
        with self.average.applied(), autocast(self.device):
            losses = [loss_of(self.model, b, self.device)[0].item() for b in self._held_out]
        self.network.train()
        held = sum(losses) / len(losses)
        return {"held_out_loss": round(held, 4), "perplexity": round(math.exp(held), 4)}

    def export(self) -> Path:
        """Writes the averaged weights, fp16 or 8 bits, with tokenizer and generation config."""
        target = self.out / "export"
        (target / int8_files.PACKED).unlink(missing_ok=True)
        with self.average.applied(torch.float16):
            self.model.save_pretrained(target)
        if self.preset.int8:
            int8_files.pack_directory(target, target)
        llm_tokenizer.save(self.tokenizer, target, self.preset.context)
        GenerationConfig(
            bos_token_id=self.tokenizer.token_to_id(BOS),
            eos_token_id=self.tokenizer.token_to_id(EOS),
            pad_token_id=PAD_ID,
            do_sample=False,
            max_new_tokens=96,
        ).save_pretrained(target)
        return target
