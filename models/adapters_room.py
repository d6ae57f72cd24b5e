"""How much of a served model's memory is set aside for adapters that differ from row to row."""

from collections.abc import Iterable
from dataclasses import dataclass

from moshi.models.lm import LMModel
from moshi.models.lm_utils import ScaledEmbedding

from models.adapters import Adapter, AdapterMismatch
from models.adapters_fit import CONDITIONS

HEAD = "text_linear"


@dataclass(frozen=True)
class Room:
    """What is set aside for adapters at the start: a CUDA graph knows the memory it was made with.

    `full` names the parameters that adapters may bring whole, each of which takes its own size
    once a place: embedding tables, and the head `text_linear.weight`. Those of voices and emotions
    need no room.
    """

    places: int
    rank: int
    full: frozenset[str] = frozenset()

    @staticmethod
    def of(adapters: Iterable[Adapter], spare: int = 0) -> "Room":
        """Room for all of these at once, and for `spare` more that are no larger."""
        known = list(adapters)
        return Room(
            places=len(known) + spare,
            rank=max((adapter.card.rank for adapter in known), default=1),
            full=frozenset(
                name
                for adapter in known
                for name in adapter.full
                if not name.startswith(CONDITIONS)
            ),
        )

    def require(self, lm: LMModel) -> None:
        """Raises AdapterMismatch if the model cannot have what is to differ from row to row."""
        if any(
            getattr(layer, "cross_attention", None) is not None for layer in lm.transformer.layers
        ):
            raise AdapterMismatch("a model with cross attention takes adapters only fused")
        for parameter in sorted(self.full - {f"{HEAD}.weight"}):
            name = parameter.removesuffix(".weight")
            table = dict(lm.named_modules()).get(name)
            if not isinstance(table, ScaledEmbedding) or table.demux_second_stream:
                raise AdapterMismatch(
                    f"{parameter} cannot differ from call to call, only embeddings and "
                    f"{HEAD}.weight can: fuse the adapters that bring it"
                )
