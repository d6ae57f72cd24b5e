"""A training run in a directory: it counts steps and time, notes, scores, saves and goes on.

Knows nothing of networks and data: those are a recipe's.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from training import checkpoint
from training.interruptible import ended_by_signals
from training.record import Record
from training.schedule import Schedule

Figures = Mapping[str, Tensor | float]  # of one step; tensors are read when they are reported
Scores = Mapping[str, float | list[float]]
Batch = TypeVar("Batch")


class Recipe(Protocol[Batch]):
    """What a run trains, and on what.

    Batch n and what is drawn at random in step n are functions of the seed and n alone: a killed
    run then goes on with the losses it would have had.
    """

    @property
    def curves(self) -> tuple[str, ...]:
        """How the names of the figures begin that are drawn."""
        ...

    def batches(self, first: int, /) -> Generator[Batch, None, None]:
        """Batches from number `first` on, without end; closed when the run pauses."""
        ...

    def step(self, batch: Batch, number: int, rate: float, /) -> Figures:
        """Moves the weights by batch `number`, at that learning rate."""
        ...

    def evaluate(self) -> Scores:
        """How good the weights are that would be exported; nothing while that cannot be said."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from; `network` holds the weights by name."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Goes on from the state of a recipe of the same shape."""
        ...


class Run:
    """The steps of a recipe, as many as its schedule says."""

    def __init__(
        self,
        recipe: Recipe[Any],
        schedule: Schedule,
        out: Path,
        *,
        record: Record | None = None,
        minutes: float | None = None,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`record` is where figures go to, if not only to files in `out`.

        `minutes` limit a call of `train`, waiting for data included: on a machine that is paid by
        time the steps are not known ahead.
        """
        self.recipe, self.schedule, self.say = recipe, schedule, say
        self.step = 0
        self.seconds = 0.0  # in steps, over all resumes
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        self._checkpoint, self._clock = out / checkpoint.FILE, clock
        self._record = record or Record(out)
        self._limit = 60 * minutes if minutes else None  # seconds
        self._begun = 0.0

    def save(self) -> None:
        """Writes the checkpoint."""
        place = {"step": self.step, "seconds": self.seconds}
        checkpoint.write(self._checkpoint, {**self.recipe.state_dict(), **place})

    def load(self) -> None:
        """Goes on where the checkpoint was written.

        Raises ValueError for the checkpoint of another preset.
        """
        state = checkpoint.read(self._checkpoint, self.recipe.state_dict())
        self.step, self.seconds = state.pop("step"), state.pop("seconds")
        self.recipe.load_state_dict(state)

    def train(self, stop_after: int | None = None) -> None:
        """Trains until the schedule's last step, the end of its time, a signal, or `stop_after`
        steps of this call."""
        schedule = self.schedule
        last = min(schedule.steps, self.step + (stop_after or schedule.steps))
        saved = self._begun = self._clock()
        over = False
        with closing(self.recipe.batches(self.step)) as batches:
            while self.step < last and not (over or self.stopping):
                self._step(next(batches))
                over = self.step == schedule.steps or self._gone >= 1
                if over or self.step % schedule.eval_every == 0:
                    self.evaluate()
                if self._clock() - saved > schedule.checkpoint_seconds:
                    self.save()
                    saved = self._clock()
        self.save()

    @property
    def _gone(self) -> float:
        """The share of the time that is over."""
        return (self._clock() - self._begun) / self._limit if self._limit else 0.0

    def _step(self, batch: Any) -> None:
        started, rate = self._clock(), self.schedule.rate(self.step, self._gone)
        figures = self.recipe.step(batch, self.step, rate)
        self.step += 1
        self.seconds += self._clock() - started
        if self.step % self.schedule.report_every == 0 or self.step == 1:
            self._report(figures, rate)

    def _report(self, figures: Figures, rate: float) -> None:
        values = {
            name: round(value.item() if isinstance(value, Tensor) else value, 4)
            for name, value in figures.items()
        }
        self._record.figures(self.step, self.seconds, {**values, "rate": rate})
        pace = self.seconds / self.step
        left = pace * (self.schedule.steps - self.step) / 60
        if self._limit:
            left = min(left, max(0.0, 1 - self._gone) * self._limit / 60)
        self.say(
            f"step {self.step}/{self.schedule.steps}  {_shown(values)}  "
            f"{pace:.2f} s/step, {left:.0f} min left"
        )

    def evaluate(self) -> Scores:
        """The recipe's scores, noted and drawn."""
        if scores := self.recipe.evaluate():
            self._record.figures(self.step, self.seconds, scores)
            self._record.draw(self.recipe.curves)
            self.say(_shown(scores))
        return scores


def _shown(figures: Scores) -> str:
    return "  ".join(
        f"{name} {value}" if isinstance(value, list) else f"{name} {value:.4g}"
        for name, value in figures.items()
    )


def carry_out(
    recipe: Recipe[Any],
    schedule: Schedule,
    out: Path,
    *,
    record: Record | None = None,
    resume: bool = False,
    stop_after: int | None = None,
    minutes: float | None = None,
) -> Run:
    """Begins a run or goes on with it; Ctrl-C and a kill end it after their step.

    Raises ValueError when it is to go on from the checkpoint of another preset.
    """
    run = Run(recipe, schedule, out, record=record, minutes=minutes)
    if resume:
        run.load()
    with ended_by_signals(run):
        run.train(stop_after)
    return run
