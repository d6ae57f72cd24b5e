"""The language model as it is trained: a Llama, and a head that names what the caller wants.

Knows nothing of data or optimisation.
"""

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from training.llm_batches import IGNORED, PAD_ID, Batch
from training.llm_preset import Preset
from training.llm_tokenizer import BOS, EOS


def build(preset: Preset, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A fresh model of the preset's shape."""
    torch.manual_seed(preset.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=preset.width,
            intermediate_size=preset.inner,
            num_hidden_layers=preset.layers,
            num_attention_heads=preset.heads,
            num_key_value_heads=preset.heads,
            max_position_embeddings=preset.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.token_to_id(BOS),
            eos_token_id=tokenizer.token_to_id(EOS),
            pad_token_id=PAD_ID,
        )
    )
    return model


def intent_head(preset: Preset, intents: int) -> nn.Linear:
    """Names what the caller wants from the state in which an answer begins.

    Only there while training. Which of the replies of an intent follows is chance, so their words
    alone teach slowly which questions are alike; this says it outright. Not exported.
    """
    return nn.Linear(preset.width, intents)


def loss_of(
    model: LlamaForCausalLM, batch: Batch, device: str, head: nn.Linear | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropies, nats: of the assistant's tokens, of the intents (0 without head)."""
    batch = batch.to(device)
    # Rows are padded on the right and attention is causal: no mask is needed, and the heads run
    # only where there is something to learn.
    hidden = model.model(batch.ids[:, :-1]).last_hidden_state  # [B, T-1, D]
    wanted = batch.labels[:, 1:]
    learned = wanted != IGNORED
    logits = model.lm_head(hidden[learned])  # [N, V]
    words = functional.cross_entropy(logits.float(), wanted[learned])
    if head is None:
        return words, words.new_zeros(())
    asked = batch.intents[:, :-1]
    known = asked != IGNORED
    named = head(hidden[known]).float()  # [M, intents]
    return words, functional.cross_entropy(named, asked[known])
