"""LoRA adapters on tiny real models: fresh, saved, read, refused, fused, and side by side."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from moshi.conditioners.base import ConditionAttributes
from moshi.models import loaders
from moshi.models.lm import LMGen, LMModel
from moshi.modules.lora import LoRALinear, replace_all_linear_with_lora
from moshi.utils.compile import no_compile
from safetensors.torch import save_file
from torch import nn

from models.adapters import (
    CARD,
    FINETUNE_CARD,
    WEIGHTS,
    Adapter,
    AdapterMismatch,
    AdapterMissing,
    BaseCard,
    assemble,
    read,
    write,
)
from models.adapters_bank import AdapterBank, AdapterBusy, UnknownAdapter
from models.adapters_fit import Base, require_fit
from models.adapters_lora import TEXT_PARTS, fresh, fuse, taken
from models.adapters_room import Room
from models.duplex_conditions import Choice, Conditions
from tests.models.tiny_adapters import EVERYTHING, base, learnt, tiny_adapter, weights
from tests.models.tiny_moshi import CARD as ENTRIES
from tests.models.tiny_moshi import tiny_lm

SLOTS = 3
STEPS = 12


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def logits(lm: LMModel, voice: str | None = "a") -> torch.Tensor:
    """Text and audio logits of one made-up dialogue, as training computes them, in one tensor."""
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(0, ENTRIES, (2, lm.num_codebooks, STEPS), generator=generator)
    conditions = None
    if lm.condition_provider is not None:
        asked = ConditionAttributes(text={"voice": voice, "emotion": "calm"})
        conditions = lm.condition_provider.prepare_and_provide([asked] * 2)
    with no_compile():
        out = lm(codes, conditions)
    return torch.cat([out.text_logits.flatten(), out.logits.nan_to_num(0.0).flatten()])


def assert_equal(a: torch.Tensor, b: torch.Tensor) -> None:
    """Equal but for rounding: the tiny models' logits reach 100, their steps amplify 1e-7."""
    assert (a - b).abs().max() < 3e-5 * b.abs().max()


def trained(full: tuple[str, ...] = TEXT_PARTS) -> LMModel:
    """The base with an adapter after three real steps of training."""
    lm = base()
    torch.manual_seed(4)
    fresh(lm, rank=4, scaling=2.0, full=full)
    optimizer = torch.optim.SGD([p for p in lm.parameters() if p.requires_grad], lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        logits(lm).square().mean().backward()
        optimizer.step()
    return lm


@pytest.mark.parametrize("full", [(), TEXT_PARTS])
def test_a_fresh_adapter_changes_nothing_and_training_it_does(full: tuple[str, ...]) -> None:
    # Torch multiplies in another order where a weight wants a gradient, so none does here.
    lm = base().requires_grad_(False)
    before = logits(lm)
    fresh(lm, rank=4, full=full)
    wanted = {name for name, p in lm.named_parameters() if p.requires_grad}
    lm.requires_grad_(False)
    assert torch.equal(logits(lm), before)
    frozen = {n: p.clone() for n, p in lm.named_parameters() if n not in wanted}
    assert all(".lora_" not in name for name in frozen)
    changed = trained(full)
    assert (logits(changed) - before).abs().max() > 0.1
    moved = {n: p for n, p in changed.named_parameters() if n in frozen}
    assert len(moved) == len(frozen) > 20
    assert all(torch.equal(parameter, frozen[name]) for name, parameter in moved.items())


@pytest.mark.parametrize("full", [(), TEXT_PARTS, EVERYTHING])
def test_saved_read_and_fused_it_gives_the_same_logits(
    tmp_path: Path, full: tuple[str, ...]
) -> None:
    lm = trained(full)
    adapter = taken(lm, name="kind", revision="3", licence="CC0-1.0")
    assert set(adapter.full) == set(full)
    write(adapter, tmp_path / "kind")
    loaded = read(str(tmp_path / "kind"))
    assert loaded.card == adapter.card
    assert all(torch.equal(loaded.tensors()[n], t) for n, t in adapter.tensors().items())
    fused = base()
    fuse(fused, loaded)
    assert_equal(logits(fused), logits(lm))
    assert not any(isinstance(module, LoRALinear) for module in fused.modules())


def test_the_package_itself_loads_what_is_saved(tmp_path: Path) -> None:
    lm = trained()
    write(taken(lm, name="kind", revision="3", licence="CC0-1.0"), tmp_path)
    stock = loaders.get_lora_moshi(
        base(), tmp_path / WEIGHTS, 4, 2.0, dtype=torch.float32, fuse_lora=True
    )
    assert_equal(logits(stock), logits(lm))


def finetune_directory(directory: Path, *, old_names: bool = False) -> LMModel:
    """What moshi-finetune leaves with `ft_embed`: pairs, embeddings, the config with LoRA keys."""
    lm = tiny_lm()
    torch.manual_seed(5)
    replace_all_linear_with_lora(lm, 4, 1.5)
    for name, parameter in lm.named_parameters():
        parameter.requires_grad_("lora" in name or "emb" in name)
    learnt(lm, 5)
    tensors = {n: p.detach() for n, p in lm.named_parameters() if p.requires_grad}
    if old_names:
        temporal = [name for name in tensors if name.startswith("transformer.")]
        for name in temporal:
            old = name.replace("in_projs.0", "in_proj").replace("out_projs.0", "out_proj")
            tensors[old] = tensors.pop(name)
    directory.mkdir()
    save_file(tensors, directory / WEIGHTS)
    config = {
        **{"dim": 32, "text_card": 50, "card": ENTRIES, "num_heads": 2, "num_layers": 2},
        **{"n_q": 8, "dep_q": 4, "depformer_dim": 16, "depformer_num_layers": 1},
        **{"lora": True, "lora_rank": 4, "lora_scaling": 1.5, "moshi_name": "model.safetensors"},
    }
    (directory / FINETUNE_CARD).write_text(json.dumps(config))
    return lm


@pytest.mark.parametrize("old_names", [False, True])
def test_what_moshi_finetune_writes_is_read(tmp_path: Path, old_names: bool) -> None:
    lm = finetune_directory(tmp_path / "consolidated", old_names=old_names)
    adapter = read(str(tmp_path / "consolidated"))
    assert (adapter.name, adapter.card.rank, adapter.card.scaling) == ("consolidated", 4, 1.5)
    assert read(str(tmp_path / "consolidated"), "kind").name == "kind"
    assert len(adapter.card.revision) == 12  # of the contents, since a path has none
    assert "emb.0.weight" in adapter.full
    fused = tiny_lm()
    fuse(fused, adapter)
    assert_equal(logits(fused), logits(lm))


# -- refusals -------------------------------------------------------------------------------------


def other_base(**changes: object) -> LMModel:
    return tiny_lm(**{"voices": ["a", "b"], "emotions": ["calm"], **changes})  # pyright: ignore


def with_vocabulary(pieces: int) -> LMModel:
    lm = other_base()
    lm.text_card = pieces
    lm.text_emb.weight = nn.Parameter(torch.zeros(pieces + 1, 32))
    return lm


def quantized() -> LMModel:
    from moshi.utils.quantize import QLinear

    lm = other_base()
    layer = QLinear.__new__(QLinear)  # its constructor wants a GPU
    nn.Module.__init__(layer)
    lm.text_linear = layer  # pyright: ignore
    return lm


def already() -> LMModel:
    lm = other_base()
    fresh(lm, rank=2)
    return lm


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: other_base(codebooks=3), "n_q 8.*this one has.*n_q 6.*load the base"),
        (lambda: with_vocabulary(60), "vocabulary of 50 pieces.*one of 60.*tokenizer"),
        (lambda: other_base(seed=8), "other weights.*fingerprint.*load the base"),
        (quantized, "quantized.*bf16"),
        (already, "already carries"),
    ],
)
def test_a_model_it_was_not_made_for_is_left_as_it_was(
    make: Callable[[], LMModel], sentence: str
) -> None:
    lm, adapter = make(), tiny_adapter("x")
    before = weights(lm)

    def served() -> None:
        bank = AdapterBank(lm, slots=1, room=Room.of([adapter]))
        try:
            bank.load(adapter)
        finally:
            bank.close()

    with pytest.raises(AdapterMismatch, match=sentence):
        fuse(lm, adapter)
    with pytest.raises(AdapterMismatch, match=sentence):
        served()
    after = weights(lm)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def cut(adapter: Adapter, name: str, value: torch.Tensor | None) -> Adapter:
    tensors = {**adapter.tensors(), name: value}
    return assemble(adapter.card, {n: t for n, t in tensors.items() if t is not None})


def test_matrices_that_do_not_belong_are_refused() -> None:
    adapter, model = tiny_adapter("x"), Base.of(base())
    a, b = "linears.0.lora_A.weight", "linears.0.lora_B.weight"
    require_fit(adapter, model)
    with pytest.raises(AdapterMissing, match="linears.0 has only lora_B.*fetch the adapter again"):
        cut(adapter, a, None)
    with pytest.raises(AdapterMismatch, match="lacks 1 of the model's.*linears.0"):
        require_fit(cut(cut_both(adapter, a, b), "text_emb.weight", torch.ones(51, 32)), model)
    with pytest.raises(AdapterMismatch, match="says rank 4.*linears.0.*rank 3 and 4"):
        cut(adapter, a, torch.ones(3, 16))
    with pytest.raises(AdapterMismatch, match=r"\[4, 15\].*maps 16 values to 32"):
        require_fit(cut(adapter, a, torch.ones(4, 15)), model)
    with pytest.raises(AdapterMismatch, match=r"brings text_emb.weight \[50, 32\].*\[51, 32\]"):
        require_fit(cut(adapter, "text_emb.weight", torch.ones(50, 32)), model)
    for broken in (float("nan"), float("inf")):
        with pytest.raises(AdapterMissing, match="linears.0.lora_A.* not finite.*fetch"):
            cut(adapter, a, torch.full((4, 16), broken))
    card = msgspec.structs.replace(adapter.card, tokenizer_sha256="aa")
    with pytest.raises(AdapterMismatch, match="another text tokenizer.*serve the one"):
        require_fit(Adapter(card, adapter.pairs, adapter.full), model, "bb")
    bank = AdapterBank(base(), slots=1, room=Room.of([adapter]))
    bank.load(Adapter(card, adapter.pairs, adapter.full), "same", "aa")


def cut_both(adapter: Adapter, *names: str) -> Adapter:
    kept = {n: t for n, t in adapter.tensors().items() if n not in names}
    return assemble(adapter.card, kept)


def test_what_is_missing_or_damaged_says_so(tmp_path: Path) -> None:
    good = tmp_path / "good"
    write(tiny_adapter("x"), good)

    def broken(name: str) -> Path:
        return Path(shutil.copytree(good, tmp_path / name))

    with pytest.raises(AdapterMissing, match="nowhere.*hf://owner/name@revision"):
        read(str(tmp_path / "nowhere"))
    with pytest.raises(AdapterMissing, match="is no hub address"):
        read("hf://nobody")
    (broken("cut") / WEIGHTS).write_bytes((good / WEIGHTS).read_bytes()[:-100])
    with pytest.raises(AdapterMissing, match=f"{WEIGHTS}.*cannot be read.*fetch"):
        read(str(tmp_path / "cut"))
    (broken("bare") / WEIGHTS).unlink()
    with pytest.raises(AdapterMissing, match=f"{WEIGHTS}.*cannot be read"):
        read(str(tmp_path / "bare"))
    (broken("cardless") / CARD).unlink()
    with pytest.raises(AdapterMissing, match=f"must hold {WEIGHTS} with {CARD}"):
        read(str(tmp_path / "cardless"))
    card = json.loads((good / CARD).read_text())
    for name, change in {"typo": {"rnk": 4}, "zero": {"rank": 0}, "text": {"scaling": "2"}}.items():
        (broken(name) / CARD).write_text(json.dumps({**card, **change}))
        with pytest.raises(AdapterMissing, match=f"card.*{name}.*cannot be read"):
            read(str(tmp_path / name))
    (broken("notjson") / CARD).write_text("{")
    with pytest.raises(AdapterMissing, match="cannot be read"):
        read(str(tmp_path / "notjson"))


# -- side by side ---------------------------------------------------------------------------------


def stepped(lm: LMModel, conditions: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
    """Greedy steps of a batch on made-up codes: text logits [T, B, card], tokens [T, B, K]."""
    seen: list[torch.Tensor] = []
    given = Conditions(lm).initial(SLOTS)
    gen = LMGen(
        lm,
        use_sampling=False,
        condition_tensors=given,
        on_text_logits_hook=lambda logits: seen.append(logits[:, 0, 0].clone()),
        support_out_of_sync=True,
    )
    generator = torch.Generator().manual_seed(6)
    tokens = []
    with torch.no_grad(), no_compile(), gen.streaming(SLOTS):
        for _ in range(STEPS):
            codes = torch.randint(0, ENTRIES, (SLOTS, 4, 1), generator=generator)
            out = gen.step(codes)
            assert out is not None
            tokens.append(out[..., 0])
    return torch.stack(seen), torch.stack(tokens)


def test_each_row_speaks_as_the_model_with_its_adapter_fused() -> None:
    x = tiny_adapter("x", rank=4, full=TEXT_PARTS)
    y = tiny_adapter("y", rank=2, full=("text_emb.weight",))
    lm = base()
    bank = AdapterBank(lm, slots=SLOTS, room=Room.of([x, y], spare=1))
    bank.load(x)
    bank.load(y, "other")
    assert bank.names == ["other", "x"]
    for slot, name in enumerate(["x", "other", None]):
        bank.assign(slot, name)
    text, tokens = stepped(lm)
    for row, adapter in enumerate([x, y, None]):
        alone = base()
        if adapter is not None:
            fuse(alone, adapter)
        expected_text, expected_tokens = stepped(alone)
        torch.testing.assert_close(text[:, row], expected_text[:, row], atol=1e-4, rtol=1e-4)
        assert torch.equal(tokens[:, row], expected_tokens[:, row])
    assert not torch.equal(tokens[:, 0], stepped(base())[1][:, 0])
    bank.close()


@pytest.mark.parametrize("full", [(), ("text_emb.weight",), TEXT_PARTS])
def test_closing_gives_the_model_back(full: tuple[str, ...]) -> None:
    lm = base()
    before, types = weights(lm), {n: type(m) for n, m in lm.named_modules()}
    bank = AdapterBank(lm, slots=1, room=Room.of([tiny_adapter("x", full=full)]))
    bank.load(tiny_adapter("x", full=full))
    bank.assign(0, "x")
    bank.close()
    assert {n: type(m) for n, m in lm.named_modules()} == types
    after = weights(lm)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_places_and_names_are_kept_in_order() -> None:
    x, y = tiny_adapter("x"), tiny_adapter("y", rank=2)
    bank = AdapterBank(base(), slots=2, room=Room.of([x], spare=1))
    with pytest.raises(UnknownAdapter, match="no adapter 'x' here; known: none is loaded"):
        bank.assign(0, "x")
    bank.load(x)
    with pytest.raises(AdapterBusy, match="'x' is loaded: unload it first"):
        bank.load(y, "x")
    bank.load(y)
    with pytest.raises(AdapterBusy, match="all 2 places.*unload one"):
        bank.load(x, "third")
    bank.assign(1, "y")
    with pytest.raises(AdapterBusy, match="'y' is used by 1 calls"):
        bank.unload("y")
    with pytest.raises(UnknownAdapter, match="known: x, y"):
        bank.unload("z")
    bank.assign(1, None)
    bank.unload("y")
    bank.load(x, "third")
    assert bank.names == ["third", "x"]


def test_what_there_is_no_room_for_can_be_fused_and_says_so() -> None:
    bank = AdapterBank(base(), slots=1, room=Room(places=1, rank=2))
    with pytest.raises(AdapterMismatch, match="rank 4.*room for 2.*fuse"):
        bank.load(tiny_adapter("x"))
    with pytest.raises(AdapterMismatch, match="brings depformer_text_emb.weight whole.*fuse"):
        bank.load(tiny_adapter("x", rank=2, full=TEXT_PARTS))
    with pytest.raises(AdapterMismatch, match="out_norm.alpha cannot differ"):
        AdapterBank(base(), slots=1, room=Room(1, 2, frozenset({"out_norm.alpha"})))
    assert bank.names == []
    bank.load(tiny_adapter("x", rank=2))  # the place was not lost


def test_values_a_smaller_type_cannot_hold_are_refused() -> None:
    """Infinite columns times the zeros of other rows would be NaN in every call."""
    x = tiny_adapter("x")
    lm = base().to(torch.float16)
    bank = AdapterBank(lm, slots=1, room=Room.of([x]))
    name = "linears.0.lora_B.weight"
    huge = cut(x, name, torch.full((32, 4), 4e4))
    free = msgspec.structs.replace(x.card, base=BaseCard(x.card.base.shape))  # no fingerprint
    with pytest.raises(AdapterMismatch, match="float16.*bfloat16 or float32"):
        bank.load(Adapter(free, huge.pairs, huge.full))


def test_an_adapter_brings_its_own_voices() -> None:
    lm, x = base(), tiny_adapter("x", full=EVERYTHING)
    bank = AdapterBank(lm, slots=1, room=Room.of([x]))
    bank.load(x)
    own = bank.conditions("x")
    fused = base()
    fuse(fused, x)
    assert own is not None
    choice = Choice.of({"a": 1, "b": 3}, "calm")
    vector, model, expected = (c.embed(choice) for c in (own, Conditions(lm), Conditions(fused)))
    assert vector is not None
    assert model is not None
    assert expected is not None
    torch.testing.assert_close(vector, expected)
    assert not torch.equal(vector, model)


def test_the_fingerprint_knows_weights_not_types() -> None:
    lm = base()
    stored = Base.of(copy.deepcopy(lm).to(torch.bfloat16)).fingerprint()
    assert Base.of(copy.deepcopy(lm).to(torch.bfloat16).float()).fingerprint() == stored
    with torch.no_grad():
        lm.get_parameter("linears.0.weight")[0, 0] += 1.0
    assert Base.of(lm).fingerprint() != stored
