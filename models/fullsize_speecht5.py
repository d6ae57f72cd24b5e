"""SpeechT5 at full size from random weights: the decoder that is served, and HiFi-GAN, timed.

Steps are those of `models.speecht5_decoder`, and their number is the plan's: no clause ends by
itself. Knows no text, no voice and no GPU's name.
"""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import (
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

from models.fullsize_clock import Clock, Row, figures, used_bytes, weight_bytes
from models.speecht5_decoder import Decoder
from models.speecht5_decoder import Row as Clause
from models.speecht5_voices import Decoding

CHARACTERS = 60  # of a first clause of 2.5 s


def speecht5(
    acoustic: dict[str, Any],
    vocoder: dict[str, Any],
    clock: Clock,
    *,
    batches: list[int],
    steps: int,
    seconds: float,
) -> Iterator[Row]:
    """Encoder, steps, vocoder and their sum for one clause of `steps` steps a row, in float32.

    Every row has a sound of its own, made one after the other as they are when served.
    """
    torch.manual_seed(0)
    with torch.device(clock.device):
        model = SpeechT5ForTextToSpeech(SpeechT5Config(**acoustic)).eval().requires_grad_(False)
        voice = SpeechT5HifiGan(SpeechT5HifiGanConfig(**vocoder)).eval().requires_grad_(False)
    config = model.config
    characters = min(CHARACTERS, config.max_text_positions)
    ids = [4 + n % (config.vocab_size - 4) for n in range(characters)]
    speaker = torch.randn(config.speaker_embedding_dim, device=clock.device)
    read = weight_bytes(model.speecht5.decoder.parameters())
    for batch in batches:
        decoder = Decoder(model, Decoding(), rows=batch, steps=steps)
        taken: dict[str, list[float]] = {"encode": [], "step": [], "vocoder": [], "turn": []}
        until = None
        while len(taken["turn"]) < 10 and (until is None or clock.now() < until):
            stages = _clause(decoder, voice, clock, ids, speaker, batch, steps)
            if until is None:  # the first one warms up
                until = clock.now() + seconds
                continue
            for name, ms in stages:
                taken[name].append(ms)
            taken["turn"].append(sum(ms for _, ms in stages))
        how = "CUDA graphs" if decoder.recorded else "eager"
        common = {"batch": batch, "dtype": "float32", "tokens": steps, "how": how}
        common["memory_bytes"] = used_bytes(clock.device)
        for name, ms in taken.items():
            if ms:
                row = {"stage": name, **common, **figures(ms)}
                yield row | ({"read_bytes": read} if name == "step" else {})


def _clause(
    decoder: Decoder,
    voice: SpeechT5HifiGan,
    clock: Clock,
    ids: list[int],
    speaker: torch.Tensor,
    batch: int,
    steps: int,
) -> list[tuple[str, float]]:
    """One clause a row: stages and their ms; sound is made once all frames are there."""
    rows: list[Clause] = []
    frames: dict[int, list[torch.Tensor]] = {n: [] for n in range(batch)}

    def join() -> None:
        rows.extend(decoder.join(ids, speaker, seed=n, limit=steps) for n in range(batch))

    def step() -> None:
        for number, (_, made) in enumerate(decoder.step()):
            frames[number].append(made.frames)

    @torch.inference_mode()
    def sound() -> None:
        for made in frames.values():
            voice(decoder.postnet(torch.cat(made))).cpu()

    stages = [("encode", clock.ms(join))]
    stages += [("step", clock.ms(step)) for _ in range(steps)]
    stages.append(("vocoder", clock.ms(sound)))
    for row in reversed(rows):
        decoder.leave(row)
    return stages
