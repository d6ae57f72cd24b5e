"""The cascade's two transformers at full size from random weights: Whisper and Llama, timed.

Both are transformers' own modules with static caches; a decoding step is one CUDA graph where the
device has them, and one token a row goes to the CPU after it, as in a reply that is streamed.
Output lengths are the plan's. Knows no tokenizer, no text and no GPU's name.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from transformers.cache_utils import EncoderDecoderCache, StaticCache

from models.fullsize_clock import Clock, Row, figures, used_bytes, weight_bytes

DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}
_PROMPT = 4  # Whisper: start, language, task, no timestamps


class Replay:
    """A function of no arguments on tensors that stay where they are; a CUDA graph on CUDA."""

    def __init__(self, work: Callable[[], object], clock: Clock) -> None:
        self._work, self._clock, self._graph = work, clock, None
        self.trouble = ""  # why it is no graph, on CUDA
        if clock.cuda:
            self._capture()

    def __call__(self) -> None:
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()

    @property
    def how(self) -> str:
        """For a row."""
        if self._graph is not None:
            return "CUDA graph"
        return f"eager ({self.trouble})" if self.trouble else "eager"

    def _capture(self) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries allocate their workspaces at first use
                self._work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._work()
        except RuntimeError as e:
            # Ending the capture fails as well; what went wrong first is what the other came from.
            first = e.__context__ or e
            self.trouble = f"{type(first).__name__}: {first}".splitlines()[0][:200]
            self._clock.spoilt = True
        else:
            self._graph = graph


class Decoding:
    """Greedy decoding of a fixed batch into static caches, one token a row a step."""

    def __init__(
        self,
        forward: Callable[..., Any],
        cache: StaticCache | EncoderDecoderCache,
        *,
        batch: int,
        clock: Clock,
        positions: str,
    ) -> None:
        """`forward` takes tokens [B, T], the keyword `positions` names [B, T], and the cache."""
        self._forward, self._cache, self._positions = forward, cache, positions
        self._token = torch.zeros(batch, 1, dtype=torch.long, device=clock.device)
        self._position = torch.zeros(batch, 1, dtype=torch.long, device=clock.device)
        self._clock = clock
        self.replay: Replay | None = None

    @torch.inference_mode()
    def prefill(self, ids: torch.Tensor) -> None:
        """A prompt [B, T] into emptied caches."""
        self._cache.reset()
        length = ids.shape[1]
        places = torch.arange(length, device=self._clock.device).expand_as(ids)
        self._next(self._forward(ids, **self._kwargs(places)))
        self._position.fill_(length)

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Reads the last token of every row and gives the next ones."""
        if self.replay is None:
            self.replay = Replay(self._one, self._clock)
            if self._clock.cuda:
                return []  # capturing ran it several times: prefill again
        self.replay()
        return self._token[:, 0].tolist()

    def first(self) -> list[int]:
        """The tokens the prompt led to."""
        return self._token[:, 0].tolist()

    def _one(self) -> None:
        self._next(self._forward(self._token, **self._kwargs(self._position)))
        self._position.add_(1)

    def _kwargs(self, places: torch.Tensor) -> dict[str, Any]:
        return {self._positions: places, "past_key_values": self._cache, "use_cache": True}

    def _next(self, answer: Any) -> None:
        self._token.copy_(answer.logits[:, -1].argmax(-1, keepdim=True))


def whisper(
    config: dict[str, Any],
    clock: Clock,
    *,
    batches: list[int],
    tokens: int,
    dtype: str,
    seconds: float,
) -> Iterator[Row]:
    """Encoder, prompt, tokens and their sum for one 30 s window a row (Whisper knows no other)."""
    torch.manual_seed(0)
    model = _built(WhisperForConditionalGeneration, WhisperConfig(**config), clock.device, dtype)
    shape = model.config
    encoder, decoder = model.get_encoder(), model.get_decoder()
    width, layers, length = shape.d_model, shape.decoder_layers, shape.max_source_positions
    size = DTYPES[dtype].itemsize
    # Embeddings of tokens are tied to the head, which every step reads whole.
    read = weight_bytes(decoder.parameters())
    for batch in batches:
        mel = torch.randn(
            batch, shape.num_mel_bins, 2 * length, dtype=DTYPES[dtype], device=clock.device
        )
        heard = torch.zeros(batch, length, width, dtype=DTYPES[dtype], device=clock.device)

        @torch.inference_mode()
        def encode(mel: torch.Tensor = mel, heard: torch.Tensor = heard) -> None:
            heard.copy_(encoder(mel).last_hidden_state)

        def forward(ids: torch.Tensor, heard: torch.Tensor = heard, **rest: Any) -> Any:
            return model(decoder_input_ids=ids, encoder_outputs=(heard,), **rest)

        with torch.inference_mode():
            listen = Replay(encode, clock)
        cache = EncoderDecoderCache(
            StaticCache(config=shape, max_cache_len=_PROMPT + tokens + 8),
            StaticCache(config=shape, max_cache_len=length),
        )
        decoding = Decoding(
            forward, cache, batch=batch, clock=clock, positions="decoder_position_ids"
        )
        prompt = torch.zeros(batch, _PROMPT, dtype=torch.long, device=clock.device)
        common = {"batch": batch, "dtype": dtype, "tokens": tokens}
        flops = 2 * sum(p.numel() for p in encoder.parameters()) * length * batch
        attention = 4 * batch * shape.encoder_layers * length * length * width
        cached = 2 * layers * width * size * batch * (length + _PROMPT + tokens // 2)
        for row in _turns(clock, [("encode", listen)], decoding, prompt, tokens, seconds):
            if row["stage"] == "encode":
                row |= {"read_bytes": weight_bytes(encoder.parameters())}
                row |= {"flops": flops + attention, "how": listen.how}
            elif row["stage"] == "token":
                row |= {"read_bytes": read, "cached_bytes": cached}
            yield common | row | {"memory_bytes": used_bytes(clock.device)}


def llama(
    config: dict[str, Any],
    clock: Clock,
    *,
    batches: list[int],
    prompt: int,
    tokens: int,
    dtype: str,
    seconds: float,
) -> Iterator[Row]:
    """Prompt, tokens and their sum of a first clause."""
    torch.manual_seed(0)
    model = _built(LlamaForCausalLM, LlamaConfig(**config), clock.device, dtype)
    shape = model.config
    read = weight_bytes(model.parameters())  # the embedding is the head: read whole
    per_token = 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim
    for batch in batches:
        cache = StaticCache(config=shape, max_cache_len=prompt + tokens + 8)

        def forward(ids: torch.Tensor, **rest: Any) -> Any:
            return model(ids, logits_to_keep=1, **rest)

        decoding = Decoding(forward, cache, batch=batch, clock=clock, positions="position_ids")
        ids = torch.randint(shape.vocab_size, (batch, prompt), device=clock.device)
        common = {"batch": batch, "dtype": dtype, "prompt": prompt, "tokens": tokens}
        cached = per_token * DTYPES[dtype].itemsize * batch * (prompt + tokens // 2)
        for row in _turns(clock, [], decoding, ids, tokens, seconds):
            if row["stage"] == "prompt":
                counted = sum(p.numel() for p in model.model.layers.parameters())
                row |= {"read_bytes": read, "flops": 2 * counted * prompt * batch}
            elif row["stage"] == "token":
                row |= {"read_bytes": read, "cached_bytes": cached}
            yield common | row | {"memory_bytes": used_bytes(clock.device)}


def _turns(
    clock: Clock,
    before: list[tuple[str, Callable[[], None]]],
    decoding: Decoding,
    prompt: torch.Tensor,
    tokens: int,
    seconds: float,
) -> Iterator[Row]:
    """Whole turns, stage by stage, for `seconds` or 20 of them: rows without their shapes."""
    taken: dict[str, list[float]] = {name: [] for name, _ in before}
    taken |= {"prompt": [], "token": [], "turn": []}
    until = None
    while len(taken["turn"]) < 20 and (until is None or clock.now() < until):
        stages = [(name, clock.ms(work)) for name, work in before]
        stages.append(("prompt", clock.ms(lambda: decoding.prefill(prompt))))
        stages += [("token", clock.ms(decoding.step)) for _ in range(tokens - 1)]
        if until is None:  # the first turn captures graphs and warms up
            until = clock.now() + seconds
            continue
        for name, ms in stages:
            taken[name].append(ms)
        taken["turn"].append(sum(ms for _, ms in stages))
    how = decoding.replay.how if decoding.replay else "eager"
    for name, ms in taken.items():
        if ms:
            yield {"stage": name, **figures(ms), "how": how if name == "token" else "eager"}


def _built(kind: type, config: Any, device: str, dtype: str) -> Any:
    """A model with random weights, made on the device itself."""
    with torch.device(device):
        model: PreTrainedModel = kind._from_config(config, dtype=DTYPES[dtype])
    return model.eval().requires_grad_(False)
