"""What a Moshi run starts from: its tokenizer, its language model, its adapters.

Either a model of the preset's own shape, or one of a weights address, which then gets a Telugu
vocabulary (if its own fails the text budget), the project's voices and emotions (if it has none)
and LoRA adapters (if the preset asks for them). Knows nothing of steps or batches.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from moshi.models import loaders
from moshi.models.lm import LMModel
from torch import nn

from models import adapters, adapters_lora, moshi_checkpoint
from models.moshi_config import Config, build, with_conditioners
from models.moshi_text import MoshiText
from models.weights import resolve
from training.dialogues import intent_numbers
from training.moshi_budget import TextBudgetExceeded, gate
from training.moshi_preset import Lora, Preset
from training.moshi_streams import SpokenWord
from training.moshi_tokenizer import file_name, train, training_texts
from training.moshi_vocabulary import swap_vocabulary

Aligned = Iterable[tuple[Sequence[SpokenWord], int]]  # words, samples of their dialogue


@dataclass(frozen=True)
class CodecIdentity:
    """The codec whose codes are trained on."""

    id: str  # fingerprint of its weights
    codebooks: int
    cardinality: int


@dataclass
class Start:
    """A language model ready to be trained."""

    lm: LMModel
    config: Config
    text: MoshiText
    tokenizer: Path
    base: str  # the address of what adapters belong to; "" for a model of its own
    dtype: torch.dtype = torch.float32  # it is served in; what trains is float32 in any case


def begin(
    preset: Preset,
    data: Path,
    out: Path,
    codec: CodecIdentity,
    aligned: Callable[[], Aligned],
    *,
    device: str,
    say=print,
) -> Start:
    """The same preset and files give the same start, so a resume need not store what is frozen.

    Args:
        preset: the run's.
        data: directory with `text/`, for the tokenizer.
        out: the run's directory, which keeps tokenizer and base.
        codec: what the dialogues were encoded with.
        aligned: the words the text budget is counted on.
        device: where the model goes.
        say: prints.

    Raises:
        TextBudgetExceeded: too many text tokens would be dropped.
        WeightsMissing, CheckpointInvalid, CodecMismatch: the base cannot be used.
        DataMissing: no text to train the tokenizer on.
    """
    torch.manual_seed(preset.seed)
    if not preset.base:
        text, tokenizer = _tokenizer(preset, data, out)
        gate(aligned(), text, say=say)
        config = preset.shape.config(text.card, codec.codebooks, codec.cardinality)
        return Start(build(config, device=device), config, text, tokenizer, "")
    return _from_base(preset, data, out, codec, aligned, device=device, say=say)


def _from_base(
    preset: Preset,
    data: Path,
    out: Path,
    codec: CodecIdentity,
    aligned: Callable[[], Aligned],
    *,
    device: str,
    say,
) -> Start:
    info = moshi_checkpoint.read(resolve(preset.base))
    moshi_checkpoint.require_codec(
        info, codebooks=codec.codebooks, cardinality=codec.cardinality, codec_id=codec.id
    )
    # What trains is kept in float32 either way; a frozen base needs no more than bfloat16.
    frozen = preset.lora is not None and device != "cpu"
    dtype = torch.bfloat16 if frozen else torch.float32
    lm = moshi_checkpoint.load(
        info,
        device=device,
        dtype=dtype,
        overrides={"gradient_checkpointing": preset.checkpointing},
    )
    config: Config = dict(info.lm_config or {})
    for done in ("lora", "lora_rank", "lora_scaling"):  # fused into the weights by now
        config.pop(done, None)
    text, tokenizer, changed = MoshiText.load(info.tokenizer), info.tokenizer, False
    try:
        gate(aligned(), text, say=say)
    except TextBudgetExceeded as e:
        say(f"the base's own tokenizer does not do: {e}")
        text, tokenizer = _tokenizer(preset, data, out)
        gate(aligned(), text, say=say)
        config, changed = swap_vocabulary(lm, config, text.card, preset.seed), True
    if "conditioners" not in config:
        config, changed = give_conditioners(lm, config), True
    base = preset.base
    if preset.lora is not None:
        if changed:
            base = str(_keep_base(lm, config, tokenizer, out, codec))
        add_lora(lm, preset.lora)
    return Start(lm, config, text, tokenizer, base, dtype)


def _tokenizer(preset: Preset, data: Path, out: Path) -> tuple[MoshiText, Path]:
    """Trained once a run; a resume finds it in the run's directory."""
    found = sorted(out.glob("tokenizer_spm_*_te.model"))
    if found:
        return MoshiText.load(found[0]), found[0]
    intents = tuple(intent_numbers()) if preset.announce else ()
    model = train(training_texts(data, seeds=2), preset.pieces, intents)
    text = MoshiText.parse(model)
    path = out / file_name(text)
    path.with_suffix(".part").write_bytes(model)
    path.with_suffix(".part").rename(path)
    return text, path


def _keep_base(
    lm: LMModel, config: Config, tokenizer: Path, out: Path, codec: CodecIdentity
) -> Path:
    """The changed base, without which the adapter cannot be loaded."""
    target = out / "base"
    if not target.is_dir():
        dtype = lm.text_emb.weight.dtype
        moshi_checkpoint.save(lm, config, tokenizer, target, codec_id=codec.id, dtype=dtype)
    return target


def give_conditioners(lm: LMModel, config: Config) -> Config:
    """Adds the project's voices and emotions to a model without any; returns the new config.

    Their projections and their learnt absence start at zero: the model computes what it did.
    """
    given = with_conditioners(config)
    cfg = copy.deepcopy(given)  # the library writes into it
    device = str(lm.device)
    lm.condition_provider = loaders.get_conditioner_provider(cfg["dim"], device, cfg)
    lm.fuser = loaders.get_condition_fuser(cfg)
    for conditioner in lm.condition_provider.conditioners.values():
        for name, parameter in conditioner.named_parameters():
            if name.startswith(("output_proj", "learnt_padding")):
                nn.init.zeros_(parameter)
    return given


def add_lora(lm: LMModel, lora: Lora) -> None:
    """Fresh adapters on all linear layers; text embeddings, text head and conditioners in full."""
    full = [*adapters_lora.TEXT_PARTS]
    if lm.condition_provider is not None:
        names = (name for name, _ in lm.condition_provider.named_parameters())
        full += [f"condition_provider.{name}" for name in names]
    adapters_lora.fresh(lm, rank=lora.rank, scaling=lora.scaling, full=full)
    for parameter in lm.parameters():
        if parameter.requires_grad:  # optimizers lose small steps in bfloat16
            parameter.data = parameter.data.float()


def export(
    start: Start, codec: CodecIdentity, revision: str, target: Path, *, int8: bool = False
) -> Path:
    """Writes what was trained: a language model's directory (float16 or int8), or an adapter's.

    `revision` names the commit that trained it.
    """
    if not any(".lora_" in name for name, _ in start.lm.named_parameters()):
        return moshi_checkpoint.save(
            start.lm, start.config, start.tokenizer, target, codec_id=codec.id, int8=int8
        )
    adapter = adapters_lora.taken(
        start.lm,
        name="telugu",
        revision=revision,
        licence="as its base",
        base_address=start.base,
        tokenizer_sha256=moshi_checkpoint.sha256(start.tokenizer),
    )
    adapters.write(adapter, target)
    (target / start.tokenizer.name).write_bytes(start.tokenizer.read_bytes())
    return target
