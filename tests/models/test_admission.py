"""Admission on clocks and tick times that the tests choose, and on a real engine's own."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.admission import (
    ENOUGH_TICKS,
    FIRST_RETRY,
    RECENT_SECONDS,
    Admission,
    TickCurve,
    quantile,
)
from models.duplex import DuplexEngine, Sampling
from models.duplex_streams import DuplexStreams, measure
from models.host_engine import OpenRefused
from tests.models.tiny_moshi import tiny_lm, tiny_mimi

CURVE = TickCurve({1: 0.020, 4: 0.026, 8: 0.046})


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_curve_runs_through_what_was_measured() -> None:
    times = {1: 0.020, 4: 0.026, 8: 0.046}
    assert {batch: CURVE.p99(batch) for batch in times} == pytest.approx(times)
    assert CURVE.p99(2) == pytest.approx(0.022)
    assert CURVE.p99(6) == pytest.approx(0.036)
    assert CURVE.p99(10) == pytest.approx(0.056)  # the steepest slope goes on
    assert TickCurve({4: 0.02}).p99(8) == pytest.approx(0.04)
    assert CURVE.largest(0.03) == 4
    assert CURVE.largest(0.01) == 0


def test_noise_cannot_make_more_calls_faster() -> None:
    noisy = TickCurve({1: 0.03, 2: 0.02, 4: 0.04})
    predicted = [noisy.p99(batch) for batch in range(1, 9)]
    assert predicted == sorted(predicted)


@pytest.mark.parametrize("p99", [{}, {0: 0.1}, {1: 0.0}, {1: float("nan")}, {1: float("inf")}])
def test_what_is_no_curve(p99: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        TickCurve(p99)


def test_measuring_takes_the_99th_percentile_of_warm_ticks() -> None:
    clock, rng = Clock(), np.random.default_rng(1)
    seen: dict[int, list[float]] = {}

    def tick(batch: int) -> None:
        took = 1.0 if len(seen.setdefault(batch, [])) < 5 else batch * rng.uniform(0.001, 0.002)
        seen[batch].append(took)
        clock.now += took

    curve = TickCurve.measure(tick, (1, 2, 8), ticks=200, clock=clock)
    for batch, times in seen.items():
        assert len(times) == 205
        assert curve.p99(batch) == pytest.approx(quantile(times[5:]))
        assert 0.0018 * batch < curve.p99(batch) < 0.002 * batch


def test_no_larger_batch_is_timed_than_the_first_beyond_what_is_enough() -> None:
    clock = Clock()

    def tick(batch: int) -> None:
        clock.now += 0.01 * batch

    curve = TickCurve.measure(tick, (8, 4, 1, 2), ticks=3, enough=0.035, clock=clock)
    assert curve.batches == [1, 2, 4]
    assert curve.largest(0.035) == 2


def test_calls_are_admitted_up_to_the_budget_and_no_further() -> None:
    admission = Admission(CURVE, budget=0.036, slots=16)
    calls = 0
    while (refusal := admission.refusal(calls)) is None:
        calls += 1
    assert calls == 6
    assert "with 7 calls a step would take 41 ms" in refusal.reason
    assert "36 ms" in refusal.reason
    assert refusal.retry_after == FIRST_RETRY


def test_slots_are_a_limit_of_their_own() -> None:
    admission = Admission(CURVE, budget=1.0, slots=2)
    assert admission.refusal(1) is None
    refusal = admission.refusal(2)
    assert refusal is not None
    assert "all 2 places" in refusal.reason


def test_a_machine_that_became_busy_takes_fewer_and_recovers() -> None:
    clock = Clock()
    admission = Admission(CURVE, budget=0.050, slots=8, clock=clock)
    for _ in range(ENOUGH_TICKS):
        admission.ticked(4, 0.045)
    assert admission.predict(4) == pytest.approx(0.045)
    assert admission.predict(5) == pytest.approx(0.050)
    assert admission.predict(6) == pytest.approx(0.055)
    assert admission.refusal(5) is not None
    while clock.now < RECENT_SECONDS:
        assert admission.refusal(5) is not None
        clock.now += 0.08
        admission.ticked(4, 0.025)
    clock.now += 0.08
    assert admission.refusal(5) is None


def test_what_was_slow_is_forgotten_where_nobody_calls_any_more() -> None:
    clock = Clock()
    admission = Admission(CURVE, budget=0.050, slots=8, clock=clock)
    for _ in range(ENOUGH_TICKS):
        admission.ticked(1, 0.2)
    assert admission.refusal(0) is not None
    clock.now = RECENT_SECONDS + 0.01
    assert admission.refusal(0) is None
    assert admission.recent(0.99) == 0


def test_a_few_slow_ticks_are_no_percentile_and_empty_batches_say_nothing() -> None:
    admission = Admission(CURVE, budget=0.050, slots=8)
    for _ in range(ENOUGH_TICKS - 1):
        admission.ticked(1, 0.2)
    for _ in range(1_000):
        admission.ticked(0, 0.0)
    assert admission.refusal(1) is None
    admission.ticked(1, 0.2)
    assert admission.refusal(1) is not None


def test_retry_after_follows_how_often_calls_end() -> None:
    clock = Clock()
    admission = Admission(CURVE, budget=1.0, slots=1, clock=clock)

    def retry() -> float:
        refusal = admission.refusal(1)
        assert refusal is not None
        return refusal.retry_after

    for clock.now in (0.0, 20.0, 40.0, 60.0):
        admission.left()
    clock.now = 80.0
    assert retry() == pytest.approx(20.0)
    clock.now = 10_000.0
    assert retry() == 60.0
    for _ in range(20):
        admission.left()
    assert retry() == 1.0


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.timeout(600)
def test_a_real_engine_is_measured_and_left_empty() -> None:
    engine = DuplexEngine(tiny_mimi(), tiny_lm(), slots=3, sampling=Sampling(greedy=True))
    curve = measure(engine, ticks=4)
    assert curve.batches == [1, 2, 3]
    assert engine.calls == []
    assert engine.missed == 0

    streams = DuplexStreams(engine, Admission(curve, budget=curve.p99(1) / 2, slots=3))
    with pytest.raises(OpenRefused, match="with 1 call a step would take") as refused:
        streams.open({})
    assert refused.value.retry_after == FIRST_RETRY
    assert streams.health()["next_call_p99_seconds"] == pytest.approx(curve.p99(1))
    streams = DuplexStreams(engine, Admission(curve, budget=60.0, slots=3))
    stream = streams.open({})
    streams.tick(None)
    stream.close()
    streams.tick(None)
    assert engine.calls == []
    assert engine.ended == 4
