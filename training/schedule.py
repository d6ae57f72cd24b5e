"""How long a run is, how fast it learns, when it reports, scores and saves: a preset's first part.

Knows nothing of what is trained.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What every preset decides, whatever it trains."""

    steps: int
    learning_rate: float = 1e-3  # on the plateau
    warmup: int = 200  # steps
    decay: float = 0.3  # the last part of the steps, in which the rate falls to zero
    report_every: int = 20  # steps
    eval_every: int = 500
    checkpoint_seconds: float = 180.0
    seed: int = 1

    def rate(self, step: int, gone: float = 0.0) -> float:
        """The learning rate of step 0, 1, ...: a linear warm-up, a plateau, a fall to zero.

        The plateau keeps the number of steps open: a resume may ask for more or fewer, and a run
        whose time is limited falls when its time runs out, `gone` being the share that is over.
        """
        falling = max(1, round(self.decay * self.steps))
        at = max(step, gone * self.steps)
        left = min(1.0, max(0.0, (self.steps - at) / falling))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * self.fall(left)

    def fall(self, left: float) -> float:
        """Share of the plateau's rate when `left` of the fall is to come: 1 - sqrt of what is gone.

        Hägele et al. 2024, who find it better than a straight line.
        """
        return 1.0 - math.sqrt(1.0 - left)


AnyPreset = TypeVar("AnyPreset", bound=Schedule)


def choose(presets: Mapping[str, AnyPreset], name: str, **changes: Any) -> AnyPreset:
    """The preset of that name, with those of the `changes` that are asked for (neither None nor 0).

    Raises ValueError, with the names there are, for another name.
    """
    if name not in presets:
        raise ValueError(f"no preset {name!r}: choose {', '.join(presets)}")
    asked = {key: value for key, value in changes.items() if value}
    return dataclasses.replace(presets[name], **asked)
