"""A run, whatever it trains: goes on where it was killed, ends when asked, says how long yet."""

import dataclasses
import json
import os
import signal
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.runs import kill_in, losses, rows
from training import checkpoint
from training.average import Average
from training.curve import draw_curve
from training.interruptible import ended_by_signals, require_place
from training.llm_preset import PRESETS
from training.optimizer import MuonAdamW, descend
from training.record import git_sha, write_settings
from training.run import Figures, Run, carry_out
from training.schedule import Schedule, choose

SHORT = Schedule(
    steps=6, learning_rate=0.02, warmup=2, report_every=1, eval_every=3, checkpoint_seconds=-1.0
)


class Sums:
    """A small network with a norm that learns to add; its batches are numbers drawn by seed."""

    curves = ("miss",)

    def __init__(self, width: int = 8) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 1)
        )
        self.average = Average(self.network, 0.9)
        self.optimizer = MuonAdamW(self.network, 0.02, outer=("2.",))
        self.closed = 0

    def batches(self, first: int) -> Generator[Tensor, None, None]:
        try:
            for number in count(first):
                yield torch.randn(16, 4, generator=torch.Generator().manual_seed(number))
        finally:
            self.closed += 1

    def step(self, batch: Tensor, number: int, rate: float) -> Figures:
        loss = self._miss(batch)
        loss.backward()
        norm = descend(self.optimizer, self.network, rate, 1.0)
        self.average.follow(number + 1)
        return {"loss": loss, "norm": norm}

    def _miss(self, batch: Tensor) -> Tensor:
        return (self.network(batch)[:, 0] - batch.sum(1)).square().mean()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        with self.average.applied():
            miss = self._miss(next(self.batches(10_000))).item()
        self.network.train()
        return {"miss": miss}

    def state_dict(self) -> dict[str, Any]:
        parts = {"network": self.network, "average": self.average, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def quiet(recipe: Sums, out: Path, schedule: Schedule = SHORT, **more: Any) -> Run:
    return Run(recipe, schedule, out, say=lambda _: None, **more)


def test_a_killed_run_goes_on_with_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = Sums(), Sums()
    carry_out(whole, SHORT, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_in(patch, Sums, 3)
        with pytest.raises(KeyboardInterrupt):
            carry_out(Sums(), SHORT, tmp_path / "parts")
    run = carry_out(parts, SHORT, tmp_path / "parts", resume=True, stop_after=1)
    assert (run.step, parts.closed) == (4, 1)
    carry_out(parts, SHORT, tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert sorted(losses(tmp_path / "whole")) == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows(tmp_path / "whole") if "miss" in row] == [3, 6]
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, parts.average.state_dict()[name]), name
    assert (tmp_path / "whole" / "learning_curve.svg").read_text().count("<polyline") == 1


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.FILE
    checkpoint.write(path, {"network": {"w": torch.ones(2)}})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.write(path, {"network": (n for n in range(3))})  # nothing that can be stored
    assert path.read_bytes() == before
    assert checkpoint.read(path, {"network": {"w": torch.zeros(2)}})["network"]["w"].sum() == 2


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    carry_out(Sums(), SHORT, tmp_path)
    with pytest.raises(ValueError, match="another preset"):
        quiet(Sums(width=9), tmp_path).load()


def test_checkpoints_come_by_the_clock_and_the_end_is_foretold(tmp_path: Path) -> None:
    """Every look at the clock is a second later: a step takes one, and twenty lie between two."""
    schedule = dataclasses.replace(SHORT, steps=12, eval_every=100, checkpoint_seconds=8.0)
    ticks, said = count(), []
    run = Run(Sums(), schedule, tmp_path, say=said.append, clock=lambda: float(next(ticks)))
    saved = []
    run.save = lambda: saved.append(run.step)
    run.train()
    assert saved == [3, 6, 9, 12, 12]
    assert said[0].startswith("step 1/12  loss ")
    assert said[5].endswith("1.00 s/step, 0 min left")
    run.step, run.seconds, run.schedule = 0, 0.0, dataclasses.replace(schedule, steps=601)
    run._step(torch.ones(16, 4))
    assert said[-1].endswith("1.00 s/step, 10 min left")


def test_a_run_ends_when_its_time_is_over(tmp_path: Path) -> None:
    """Every look at the clock is a second later; a step takes some, and the rate falls with it."""
    schedule = dataclasses.replace(SHORT, steps=1_000, warmup=1, decay=0.5, eval_every=1_000)
    ticks, said = count(), []
    clock = lambda: float(next(ticks))  # noqa: E731
    run = Run(Sums(), schedule, tmp_path, minutes=2.0, say=said.append, clock=clock)
    run.train()
    assert 5 < run.step < 60
    steps = [row for row in rows(tmp_path) if "rate" in row]
    plateau = [row["rate"] for row in steps[: run.step // 3]]
    assert plateau == [0.02] * len(plateau)
    assert steps[-1]["rate"] < 0.01
    assert [row["step"] for row in rows(tmp_path) if "miss" in row] == [run.step]
    assert said[0].endswith("2 min left")
    assert (tmp_path / checkpoint.FILE).is_file()


def test_a_signal_ends_a_run_after_its_step(tmp_path: Path) -> None:
    recipe = Sums()
    honest = recipe.step

    def signalled(batch: Tensor, number: int, rate: float) -> Figures:
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(batch, number, rate)

    recipe.step = signalled  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    run = quiet(recipe, tmp_path)
    with ended_by_signals(run):
        run.train()
    assert signal.getsignal(signal.SIGTERM) is before
    assert run.step == 3
    again = quiet(Sums(), tmp_path)
    again.load()
    assert again.step == 3
    with pytest.raises(ValueError, match="add --resume"):
        require_place(tmp_path, resume=False)
    with pytest.raises(ValueError, match="leave out --resume"):
        require_place(tmp_path / "elsewhere", resume=True)


def test_a_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(steps=100, learning_rate=2.0, warmup=10, decay=0.5)
    rates = [schedule.rate(step) / 2.0 for step in range(100)]
    assert rates[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert rates[10:51] == pytest.approx([1.0] * 41)
    assert all(a > b for a, b in zip(rates[50:], rates[51:], strict=False))
    assert rates[75] == pytest.approx(1 - 0.5**0.5)
    assert 0 < rates[-1] < 0.02
    hurried = [schedule.rate(10, gone) / 2.0 for gone in (0.0, 0.5, 0.75, 1.0)]
    assert hurried == pytest.approx([1.0, 1.0, 1 - 0.5**0.5, 0.0])


def test_a_preset_is_chosen_by_name_and_changed_where_asked() -> None:
    assert choose(PRESETS, "tiny", steps=None) is not PRESETS["starter"]
    assert choose(PRESETS, "tiny", steps=None) == PRESETS["tiny"]
    assert choose(PRESETS, "tiny", steps=9).steps == 9
    with pytest.raises(ValueError, match="starter, gpu, tiny"):
        choose(PRESETS, "huge")


def test_an_average_is_swapped_in_and_out() -> None:
    """With what norms have counted; what is frozen is neither followed nor kept."""
    first, norm, last = nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1).requires_grad_(False)
    average = Average(nn.Sequential(first, norm, last), 0.5)
    assert not any(name.startswith("2.") for name in average.state_dict())
    start = average.state_dict()["0.weight"].clone()
    for value in (first.weight, norm.get_buffer("running_mean")):
        value.data.fill_(3.0)
    three = torch.tensor(3.0)
    average.follow(1)
    young = average.state_dict()["0.weight"]
    assert torch.allclose(young, start + (three - start) * 9 / 11)
    for step in range(20, 40):
        average.follow(step)
    with average.applied(torch.float16):
        assert first.weight.dtype == torch.float16
        assert torch.allclose(first.weight, three.half(), atol=1e-2)
        first.weight.data.fill_(7.0)  # a copy in half precision: the average does not notice
    assert first.weight.dtype == torch.float32
    assert torch.equal(first.weight, three.expand(2, 2))
    for name in ("0.weight", "1.running_mean"):
        assert torch.allclose(average.state_dict()[name], three, atol=1e-2)


def test_a_step_over_a_cliff_is_not_taken() -> None:
    recipe = Sums()
    network, batch = recipe.network, next(recipe.batches(0))
    before = [p.detach().clone() for p in network.parameters()]
    (network(batch).sum() * torch.inf).backward()
    assert not torch.isfinite(descend(recipe.optimizer, network, 0.1, 1.0))
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
    assert all(p.grad is None for p in network.parameters())
    (network(batch).sum() * 30.0).backward()
    assert descend(recipe.optimizer, network, 0.1, 1.0) > 1.0  # what it was before it was clipped
    last = network.get_parameter("2.bias")  # the first step of AdamW is as long as its rate
    assert (before[-1] - last).item() == pytest.approx(0.1, rel=1e-3)


def test_what_decides_a_run_is_noted(tmp_path: Path) -> None:
    write_settings(tmp_path / "run", SHORT, "cpu", codec="one of ours")
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["preset"] == dataclasses.asdict(SHORT)
    assert (settings["codec"], settings["device"]) == ("one of ours", "cpu")
    assert settings["git"] == git_sha()
    assert len(git_sha()) in (7, 40)


def test_curve_is_drawn_from_the_rows(tmp_path: Path) -> None:
    made = [{"step": s, "seconds": 60 * s, "wer_x": 1 / s} for s in (1, 2, 4)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, made)))
    draw_curve(tmp_path / "m.jsonl", tmp_path / "c.svg", ("wer_",))
    svg = (tmp_path / "c.svg").read_text()
    assert svg.count("<polyline") == 1
    assert "x 25.0%" in svg
    assert "4 min" in svg
