"""The language model's own tokenizer: BPE over Telugu characters, with a chat template.

Knows nothing about the model. Pieces are split at white space and punctuation only: the usual
byte-level regex treats every Telugu vowel sign as the start of a new piece, which costs five
tokens a word. Whatever lies outside the alphabet falls back to bytes.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers import models as token_models
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, UNK = "<s>", "<|end|>", "<pad>", "<unk>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL = [PAD, UNK, BOS, EOS, *ROLES.values()]

# The Telugu block's assigned letters, marks and digits; joiners; danda; ASCII; rupee; ellipsis.
_TELUGU = [chr(point) for point in range(0x0C00, 0x0C80) if chr(point).isprintable()]
ALPHABET = [*_TELUGU, "\u200c", "\u200d", "।", "₹", "…", "‘", "’", "“", "”", "–", "\n", "▁"]
ALPHABET += [chr(point) for point in range(0x21, 0x7F)]

# Any role that is not a speaker's (developer, tool) instructs, so it is read as the system's.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% set role = message['role'] if message['role'] in ['user', 'assistant'] else 'system' %}"
    "{{ '<|' + role + '|>' + (message['content'] | trim) + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of `vocabulary` entries learned from `texts`, byte fallback included."""
    learner = Tokenizer(token_models.BPE(unk_token=UNK))
    learner.normalizer = normalizers.NFC()  # pyright: ignore[reportAttributeAccessIssue]
    learner.pre_tokenizer = _pre_tokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    learner.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary - len(SPECIAL) - len(fallback),
            min_frequency=2,
            show_progress=False,
            initial_alphabet=ALPHABET,
        ),
    )
    learned = learner.get_vocab()
    pieces = [*SPECIAL, *fallback, *sorted(learned, key=learned.__getitem__)]
    merges = _merges(learner)
    model = token_models.BPE(
        vocab={piece: id_ for id_, piece in enumerate(pieces)},
        merges=merges,
        unk_token=UNK,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = _pre_tokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    return tokenizer


def save(tokenizer: Tokenizer, out: Path, context: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja into `out`."""
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        additional_special_tokens=list(ROLES.values()),
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(out)
    # transformers 5 names its own back end here, which 4.x (in vLLM's environment) does not know;
    # both know the older name.
    config = out / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.pop("backend", None)
    settings["additional_special_tokens"] = settings.pop("extra_special_tokens", [])
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            # Punctuation on its own, or "వారం" and "వారం." would be two words to learn.
            pre_tokenizers.Split(Regex(r"[\p{P}\p{Sc}]|\p{Nd}"), behavior="isolated"),
        ]
    )


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
