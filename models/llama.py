"""A Llama that answers chat messages in a stream of text, on CTranslate2.

Knows nothing about calls, turns or Telugu grammar. CTranslate2 computes outside the interpreter
lock, so several replies may be read in threads at once from one set of weights.
"""

import json
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.converted import ct2_dir

Message = dict[str, str]

# Sampling keeps to the likely tokens: the usual chat settings, and a small model needs no more.
_TOP_K, _TOP_P = 40, 0.9
_VIRAMAS = frozenset(
    "\u0c4d\u094d\u0ccd\u0d4d\u0bcd\u0acd\u09cd\u0b4d\u0a4d"
)  # they join the next consonant to the same cluster


class PromptTooLong(ValueError):
    """The system prompt and the newest message alone do not fit the model's context."""


class Llama:
    """One set of weights with its tokenizer, shared by every call of the process."""

    def __init__(
        self,
        generator: ctranslate2.Generator,
        tokenizer: PreTrainedTokenizerFast,
        *,
        context: int,
        stops: Iterable[int] = (),
    ) -> None:
        """Wrap loaded parts; `load` is the usual way in.

        Args:
            generator: the converted model.
            tokenizer: a fast one with a chat template.
            context: tokens of prompt and reply together.
            stops: token ids that end a reply, besides the tokenizer's own end of sequence.
        """
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template, so messages cannot be written")
        self._generator = generator
        self._tokenizer = tokenizer
        self._pieces = tokenizer.backend_tokenizer
        self._pieces.no_truncation()
        self._pieces.no_padding()
        self._context = context
        end = tokenizer.eos_token_id
        self._stops = sorted({*stops, *([end] if isinstance(end, int) else [])})
        specials = sorted(tokenizer.all_special_tokens, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, specials)))

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "cpu",
        compute_type: str = "int8",
        threads: int = 1,
        parallel: int = 4,
    ) -> "Llama":
        """Load a transformers directory (converted once, cached) or a CTranslate2 one.

        Args:
            path: holds the weights, tokenizer.json and a chat template.
            device: `cpu`, `cuda` or `cuda:1`.
            compute_type: CTranslate2's name (`int8`, `float16`, `float32`, ...).
            threads: CPU threads of one reply.
            parallel: replies computed at the same time; further ones wait their turn.

        Raises:
            ValueError: neither layout is there, or the tokenizer has no chat template.
        """
        kind, _, index = device.partition(":")
        generator = ctranslate2.Generator(
            str(ct2_dir(path, compute_type)),
            device=kind,
            device_index=int(index or 0),
            compute_type=compute_type,
            intra_threads=threads,
            inter_threads=parallel if kind == "cpu" else 1,
        )
        tokenizer = AutoTokenizer.from_pretrained(str(path))
        return cls(generator, tokenizer, context=_context(path, tokenizer), stops=_stops(path))

    @property
    def context(self) -> int:
        """Tokens of prompt and reply together."""
        return self._context

    def stream(
        self,
        messages: list[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: threading.Event | None = None,
    ) -> Iterator[str]:
        """Yield the reply to `messages` as it is computed, whole grapheme clusters only.

        Blocks; safe to call from several threads. Closing the iterator, or setting `stop`, ends
        the computation at the next token.

        Args:
            messages: `role` and `content` each, oldest first. Old turns are left out when all do
                not fit; system messages and the newest message stay.
            max_tokens: most tokens of the reply.
            temperature: 0 takes the likeliest token each time; above that it samples.
            stop: looked at before every token.

        Raises:
            PromptTooLong: system and newest message leave no room for `max_tokens`.
        """
        prompt = self.prompt(messages, room=self._context - max_tokens)
        halted = stop or threading.Event()
        steps = self._generator.generate_tokens(
            self._tokenizer.convert_ids_to_tokens(prompt),
            max_length=max_tokens,
            sampling_topk=_TOP_K if temperature > 0 else 1,
            sampling_topp=_TOP_P if temperature > 0 else 1,
            sampling_temperature=max(temperature, 0.01),
            end_token=self._stops,
            callback=lambda _: halted.is_set(),
        )
        ids: list[int] = []
        shown = 0
        for step in steps:
            if halted.is_set():
                return
            if step.token_id in self._stops:
                break
            ids.append(step.token_id)
            text = self._pieces.decode(ids, skip_special_tokens=True)
            settled = _settled(text)
            if settled > shown:
                yield text[shown:settled]
                shown = settled
        if rest := self._pieces.decode(ids, skip_special_tokens=True)[shown:].rstrip("\ufffd"):
            yield rest

    def reply(
        self,
        messages: list[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: threading.Event | None = None,
    ) -> str:
        """The whole reply at once: what `stream` yields, joined."""
        pieces = self.stream(messages, max_tokens=max_tokens, temperature=temperature, stop=stop)
        return "".join(pieces)

    def prompt(self, messages: list[Message], room: int) -> list[int]:
        """Token ids of the chat template over as many of the newest messages as fit in `room`.

        Raises:
            PromptTooLong: system and newest message alone take more.
        """
        kept = [{**m, "content": self._special.sub(" ", m["content"])} for m in messages]
        while len(ids := self._render(kept)) > room:
            spoken = [at for at, message in enumerate(kept) if message["role"] != "system"]
            if len(spoken) <= 1:
                raise PromptTooLong(
                    f"the prompt takes {len(ids)} tokens and only {max(room, 0)} of "
                    f"{self._context} are free: shorten the system prompt or lower max_tokens"
                )
            del kept[spoken[0]]
            # An answer without its question would open the talk; it goes with it.
            if len(spoken) > 2 and kept[spoken[0]]["role"] == "assistant":
                del kept[spoken[0]]
        return ids

    def _render(self, messages: list[Message]) -> list[int]:
        written = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return self._pieces.encode(str(written), add_special_tokens=False).ids


def _settled(text: str) -> int:
    """How many characters of `text` no further token can change: all but the last cluster.

    A vowel sign, virama or joiner still to come would change how the last consonant is drawn, and
    a code point may have arrived only in part (the decoder writes U+FFFD for it).
    """
    at = len(text.rstrip("\ufffd"))
    while at > 0:
        at -= 1
        extends = unicodedata.category(text[at]) in ("Mn", "Mc", "Me", "Cf")
        joined = at > 0 and (text[at - 1] in _VIRAMAS or text[at - 1] in "\u200c\u200d")
        if not extends and not joined:
            break
    return at


def _read(path: Path, *names: str) -> dict[str, object]:
    for name in names:
        if (path / name).exists():
            return json.loads((path / name).read_text(encoding="utf-8"))
    return {}


def _context(path: Path, tokenizer: PreTrainedTokenizerFast) -> int:
    """The model's positions; a CTranslate2 directory keeps the original config beside its own."""
    config = _read(path, "transformers_config.json", "config.json")
    positions = config.get("max_position_embeddings")
    return positions if isinstance(positions, int) else tokenizer.model_max_length


def _stops(path: Path) -> list[int]:
    """Ids of generation_config.json that end a reply: one, several (Llama 3), or none."""
    ends = _read(path, "generation_config.json").get("eos_token_id")
    if isinstance(ends, int):
        return [ends]
    return [end for end in ends if isinstance(end, int)] if isinstance(ends, list) else []
