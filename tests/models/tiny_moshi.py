"""A Moshi and a Mimi of the real architecture, small enough to step in milliseconds."""

import copy
from typing import Any

import torch
from moshi.models import loaders
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models.admission import Admission
from models.duplex import DuplexEngine, Sampling
from models.duplex_streams import DuplexStreams, measure

CARD = 32
CODEBOOKS = 4  # per side; Moshi's own 8 double the steps of the depformer
CONTEXT = 24  # steps the language model remembers: short, so that tests go past it


def tiny_mimi_config(codebooks: int = CODEBOOKS) -> dict[str, Any]:
    """24 kHz, 12.5 Hz, codebooks of 32 entries."""
    config = copy.deepcopy(loaders._mimi_config)
    config["seanet"].update(dimension=16, n_filters=2, ratios=[32, 30])
    config["quantizer"].update(
        dimension=8, n_q=codebooks, bins=CARD, input_dimension=16, output_dimension=16
    )
    config["transformer"].update(
        d_model=16,
        num_heads=2,
        num_layers=1,
        dim_feedforward=32,
        context=20,
        input_dimension=16,
        output_dimensions=[16],
    )
    return config


def tiny_mimi(seed: int = 1, codebooks: int = CODEBOOKS) -> MimiModel:
    """With codebooks filled with noise (the library's are all zero)."""
    torch.manual_seed(seed)
    mimi = loaders.get_mimi(None, tiny_mimi_config(codebooks), num_codebooks=codebooks)
    for name, buffer in mimi.named_buffers():
        if name.endswith("embedding_sum"):
            buffer.normal_()
        elif name.endswith("cluster_usage"):
            buffer.fill_(1.0)
    for parameter in mimi.parameters():
        parameter.requires_grad_(False)
        parameter.mul_(2.0)  # of untrained layers the default scale leaves next to nothing audible
    return mimi


def tiny_lm_config(
    *,
    codebooks: int = CODEBOOKS,
    text_card: int = 50,
    voices: list[str] | None = None,
    emotions: list[str] | None = None,
) -> dict[str, Any]:
    """2 layers of 32, two sides of `codebooks` audio streams."""
    config = copy.deepcopy(loaders._lm_kwargs)
    config.update(
        dim=32,
        text_card=text_card,
        card=CARD,
        num_heads=2,
        num_layers=2,
        context=CONTEXT,
        n_q=2 * codebooks,
        dep_q=codebooks,
        delays=[0] + 2 * ([0] + [1] * (codebooks - 1)),
        depformer_dim=16,
        depformer_dim_feedforward=32,
        depformer_num_heads=2,
        depformer_num_layers=1,
    )
    tables = {"voice": voices, "emotion": emotions}
    tables = {kind: names for kind, names in tables.items() if names}
    if tables:
        config["fuser"] = {"sum": list(tables)}
        config["conditioners"] = {
            kind: {
                "type": "lut",
                "lut": {
                    "n_bins": len(names),
                    "dim": 8,
                    "tokenizer": "noop",
                    "possible_values": names,
                },
            }
            for kind, names in tables.items()
        }
    return config


def tiny_lm(
    seed: int = 2,
    *,
    codebooks: int = CODEBOOKS,
    voices: list[str] | None = None,
    emotions: list[str] | None = None,
    text_card: int = 50,
) -> LMModel:
    """A language model of that shape that reacts to what it hears."""
    torch.manual_seed(seed)
    config = tiny_lm_config(
        codebooks=codebooks, text_card=text_card, voices=voices, emotions=emotions
    )
    lm = loaders.get_moshi_lm(None, copy.deepcopy(config), dtype=torch.float32)
    # Attention projections and the depformer keep torch's default start, whose outputs hardly
    # depend on the input; a test of isolation needs a model that reacts to what it hears.
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.mul_(2.0)
    return lm


def tiny_host(slots: int) -> DuplexStreams:
    """A host's engine, for a process of its own; greedy, two voices and one emotion."""
    torch.set_num_threads(1)
    lm = tiny_lm(voices=["a", "b"], emotions=["calm"])
    engine = DuplexEngine(tiny_mimi(), lm, slots=slots, sampling=Sampling(greedy=True))
    engine.warm_up()
    budget = 60.0  # seconds: tests run where every core is taken
    return DuplexStreams(engine, Admission(measure(engine, ticks=3), budget=budget, slots=slots))
