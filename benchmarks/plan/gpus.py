"""`gpus.toml`: the data sheet, the price and the claims of each GPU a plan can be made for.

Parsed once; a driver's name is matched to a card. Knows no model, no precision and no measurement:
what a card forbids is worked out in `floors`.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

GPUS = Path(__file__).with_name("gpus.toml")


class FloorError(Exception):
    """A GPU, precision or table that cannot be used; the sentence names the remedy."""


class Gpu(BaseModel):
    """One card of `gpus.toml`; GB are 1e9 bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    words: tuple[str, ...] = Field(min_length=1)
    memory_gb: float = Field(gt=0)
    memory_source: str = Field(min_length=1)
    bandwidth_gb_s: float = Field(gt=0)
    bandwidth_source: str = Field(min_length=1)
    usd_per_hour: float = Field(gt=0)
    price_source: str = Field(min_length=1)


class Claim(BaseModel):
    """So many calls of Moshi 7B on one card, said by somebody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: str
    calls: int = Field(ge=1)
    precision: str
    source: str = Field(min_length=1)


class GpuTable(BaseModel):
    """The whole of `gpus.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    gpu: dict[str, Gpu]
    claim: tuple[Claim, ...] = ()

    def get(self, key: str) -> Gpu:
        """The card of a key such as `l4`.

        Raises:
            FloorError: not in the table.
        """
        if key.lower() not in self.gpu:
            known = ", ".join(self.gpu)
            raise FloorError(f"no GPU {key!r} in the table; it has {known} (benchmarks/gpus.toml)")
        return self.gpu[key.lower()]

    def key_of(self, hardware: str) -> str | None:
        """Which card a driver's name means; None for others, and for a slice of one (MIG)."""
        words = set(re.split(r"[^A-Z0-9]+", hardware.upper()))
        if hardware.lower() in self.gpu:
            return hardware.lower()
        if "MIG" in words:
            return None
        return next((k for k, g in self.gpu.items() if words.issuperset(g.words)), None)


@cache
def load_gpus(path: Path = GPUS) -> GpuTable:
    """The table, parsed once.

    Raises:
        FloorError: a key is wrong or missing.
    """
    try:
        return GpuTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as e:
        raise FloorError(f"{path}: {e}; correct the table") from None
