"""Adapters by name in one served model: loaded, given to rows of the batch, unloaded, as it runs.

Knows rows, not calls; voices and emotions that an adapter was trained with come with it. Adapters
may be loaded and unloaded from any thread: what is written belongs to a place that no row uses,
and its name is known only once all is written.
"""

import copy
import threading
from dataclasses import dataclass

import torch
from moshi.models.lm import LMModel
from moshi.models.lm_utils import ScaledEmbedding
from torch import nn

from models.adapters import Adapter, AdapterMismatch
from models.adapters_fit import CONDITIONS, Base, require_fit
from models.adapters_lora import merge, replace, require_bare
from models.adapters_room import Room
from models.adapters_rows import RowEmbedding, RowHead, RowLinear
from models.duplex_conditions import Conditions


class UnknownAdapter(ValueError):
    """No adapter of this name is loaded; the message lists those that are."""


class AdapterBusy(RuntimeError):
    """The adapter is in use, its name is taken, or every place is."""


@dataclass(frozen=True)
class _Loaded:
    place: int
    full: frozenset[str]  # names of the parameters it brings whole
    conditions: Conditions | None  # None: the model's own


class _OwnConditions(Conditions):
    """The voices and emotions of a model as an adapter changed them."""

    def __init__(self, lm: LMModel, adapter: Adapter) -> None:
        super().__init__(lm)
        self._provider = copy.deepcopy(lm.condition_provider)
        if self._provider is not None:
            merge(self._provider, adapter, CONDITIONS)


class AdapterBank:
    """The places for adapters in one language model whose batch has `slots` rows.

    From now until `close` the model can be stepped only in a batch of that size.

    Raises:
        AdapterMismatch: the model is quantized, carries adapters already, has cross attention
            (whose projections the `moshi` package reads directly), or cannot have the parameters
            of `room.full` differ from row to row.
    """

    def __init__(self, lm: LMModel, *, slots: int, room: Room) -> None:
        self.room = room
        self._base = Base.of(lm)
        require_bare(lm)
        room.require(lm)
        self._lm = lm
        self._lock = threading.Lock()
        self._places: list[str | None] = [None] * room.places
        self._loaded: dict[str, _Loaded] = {}
        self._rows: list[str | None] = [None] * slots
        self._shut = torch.ones(
            slots, 1, room.places * room.rank, dtype=torch.bool, device=lm.device
        )  # [B, 1, R]
        self._linears: dict[str, RowLinear] = {}
        self._full: dict[str, RowHead | RowEmbedding] = {}
        self._wrap(slots)

    @property
    def names(self) -> list[str]:
        """The loaded adapters."""
        return sorted(self._loaded)

    def load(
        self, adapter: Adapter, name: str | None = None, tokenizer_sha256: str | None = None
    ) -> None:
        """Copies an adapter into a free place, under its own name or another.

        `tokenizer_sha256` is that of the text tokenizer the model is served with, if known.

        Raises:
            AdapterMismatch: it is not one for this model, or brings what there is no room for.
            AdapterBusy: no place is free, or the name is taken.
        """
        require_fit(adapter, self._base, tokenizer_sha256)
        self._require_room(adapter)
        name = name or adapter.name
        with self._lock:
            if name in self._places:
                raise AdapterBusy(f"an adapter {name!r} is loaded: unload it first")
            if None not in self._places:
                raise AdapterBusy(f"all {self.room.places} places have an adapter: unload one")
            place = self._places.index(None)
            self._places[place] = name
        try:
            self._write(place, adapter)
            own = any(key.startswith(CONDITIONS) for key in {*adapter.full, *adapter.pairs})
            conditions = _OwnConditions(self._lm, adapter) if own else None
            self._loaded[name] = _Loaded(place, frozenset(adapter.full), conditions)
        finally:
            if name not in self._loaded:
                self._places[place] = None

    def unload(self, name: str) -> None:
        """Frees the place of an adapter.

        Raises:
            UnknownAdapter: there is none of this name.
            AdapterBusy: a row uses it.
        """
        with self._lock:
            self.conditions(name)
            users = self._rows.count(name)
            if users:
                raise AdapterBusy(f"adapter {name!r} is used by {users} calls: let them end first")
            self._places[self._loaded.pop(name).place] = None

    def conditions(self, name: str) -> Conditions | None:
        """The adapter's own voices and emotions; None for the model's; raises UnknownAdapter."""
        loaded = self._loaded.get(name)
        if loaded is None:
            raise UnknownAdapter(
                f"no adapter {name!r} here; known: {', '.join(self.names) or 'none is loaded'}"
            )
        return loaded.conditions

    def assign(self, slot: int, name: str | None) -> None:
        """Lets the row use this adapter, or none, from the next step on; raises UnknownAdapter."""
        with self._lock:
            loaded = None
            if name is not None:
                self.conditions(name)
                loaded = self._loaded[name]
            self._rows[slot] = name
            self._shut[slot] = True
            if loaded is not None:
                first = loaded.place * self.room.rank
                self._shut[slot, :, first : first + self.room.rank] = False
            for parameter, layer in self._full.items():
                own = loaded.place if loaded is not None and parameter in loaded.full else None
                layer.point(slot, own)

    def close(self) -> None:
        """Puts the model's own layers back; to be called once no step runs."""
        for parameter, layer in self._full.items():
            if isinstance(layer, RowEmbedding):
                replace(self._lm, parameter.removesuffix(".weight"), layer.restored())
        for name, layer in self._linears.items():
            own = layer.frozen_W
            replace(self._lm, name, own.linear if isinstance(own, RowHead) else own)
        self._linears, self._full, self._loaded = {}, {}, {}

    def _write(self, place: int, adapter: Adapter) -> None:
        # On a stream of its own: the steps that run meanwhile do not wait for the copies.
        stream = torch.cuda.Stream(self._shut.device) if self._shut.is_cuda else None
        with torch.cuda.stream(stream):
            for name, layer in self._linears.items():
                layer.write(place, adapter.pairs.get(name), adapter.card.scaling)
            for parameter, tensor in adapter.full.items():
                if parameter in self._full:
                    self._full[parameter].write(place, tensor)
        if stream is not None:
            stream.synchronize()

    def _wrap(self, slots: int) -> None:
        places, rank = self.room.places, self.room.rank
        for name in self._base.linears:
            if name.startswith(CONDITIONS):
                continue
            linear = self._lm.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            head = None
            if f"{name}.weight" in self.room.full:
                head = self._full[f"{name}.weight"] = RowHead(linear, places, slots)
            self._linears[name] = RowLinear(linear, places, rank, self._shut, head)
            replace(self._lm, name, self._linears[name])
        for parameter in sorted(self.room.full - set(self._full)):
            name = parameter.removesuffix(".weight")
            table = self._lm.get_submodule(name)
            assert isinstance(table, ScaledEmbedding)
            self._full[parameter] = RowEmbedding(table, places, slots)
            replace(self._lm, name, self._full[parameter])

    def _require_room(self, adapter: Adapter) -> None:
        who = f"adapter {adapter.name!r}"
        if adapter.card.rank > self.room.rank:
            raise AdapterMismatch(
                f"{who} has rank {adapter.card.rank}, this engine has room for {self.room.rank}: "
                "start it with more, or fuse the adapter"
            )
        limit = torch.finfo(self._lm.dtype).max
        largest = max(pair.b.abs().max().item() for pair in adapter.pairs.values())
        if not largest * abs(adapter.card.scaling) <= limit:
            raise AdapterMismatch(
                f"{who} has values beyond what {self._lm.dtype} can hold, and would break its "
                "neighbours' numbers: load the base in bfloat16 or float32"
            )
        brought = {name for name in adapter.full if not name.startswith(CONDITIONS)}
        if beyond := sorted(brought - set(self._full)):
            raise AdapterMismatch(
                f"{who} brings {beyond[0]} whole, for which this engine has no room: start it with "
                "this adapter in its list, or fuse the adapter"
            )
