"""Capacity: Erlang's published table, fits whose answer is known, and floors worked by hand."""

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from benchmarks.plan.capacity import (
    Fleet,
    Point,
    TooFewSteps,
    bounds_elsewhere,
    cost,
    cross_over,
    fit,
    gpus_for,
)
from benchmarks.plan.erlang import erlang_b, offered_load, servers_for
from benchmarks.plan.floors import (
    CASCADE_TURN,
    MOSHI_7B,
    PRECISIONS,
    judge,
    shape_of,
)
from benchmarks.plan.gpus import FloorError, load_gpus

loads = st.floats(min_value=0.01, max_value=200)
blockings = st.floats(min_value=0.001, max_value=0.5)


# Erlang B, as in published traffic tables.
@pytest.mark.parametrize(
    ("servers", "load"),
    [(1, 0.0101), (2, 0.153), (5, 1.36), (10, 4.461), (20, 12.03), (50, 37.90), (100, 84.06)],
)
def test_the_table_of_one_percent(servers, load):
    assert offered_load(servers, 0.01) == pytest.approx(load, abs=0.006)
    assert erlang_b(servers, load) == pytest.approx(0.01, rel=0.02)


def test_erlang_by_hand():
    """B(2, 1) = (1/2) / (1 + 1 + 1/2) = 0.2, B(3, 2) = (8/6) / (1 + 2 + 2 + 8/6) = 4/19."""
    assert erlang_b(2, 1.0) == pytest.approx(0.2, rel=1e-12)
    assert erlang_b(3, 2.0) == pytest.approx(4 / 19, rel=1e-12)
    assert erlang_b(0, 5.0) == 1.0
    assert offered_load(0, 0.01) == 0.0


def test_erlang_against_a_switchboard():
    """Calls at random on 10 lines, each as long as chance has it: 6 erlang lose 4.31 %."""
    rng = random.Random(0)
    now, ends, lost, calls = 0.0, [], 0, 60_000
    for _ in range(calls):
        now += rng.expovariate(6.0)
        ends = [end for end in ends if end > now]
        if len(ends) == 10:
            lost += 1
        else:
            ends.append(now + rng.expovariate(1.0))
    assert erlang_b(10, 6.0) == pytest.approx(0.0431, abs=5e-5)
    assert lost / calls == pytest.approx(erlang_b(10, 6.0), abs=0.004)


@given(st.integers(1, 150), loads)
def test_blocking_falls_with_servers_and_grows_with_load(servers, load):
    blocked = erlang_b(servers, load)
    assert 0 <= blocked < 1
    assert erlang_b(servers + 1, load) <= blocked <= erlang_b(servers, load * 1.1)


@given(st.integers(1, 150), blockings)
def test_the_load_is_the_inverse(servers, blocking):
    load = offered_load(servers, blocking)
    assert erlang_b(servers, load) == pytest.approx(blocking, rel=1e-6)
    assert offered_load(servers + 1, blocking) > load
    # A pool carries more for each server: that is why callers are pooled.
    assert offered_load(2 * servers, blocking) > 2 * load


@given(loads, blockings)
def test_the_servers_are_the_fewest(load, blocking):
    servers = servers_for(load, blocking)
    assert erlang_b(servers, load) <= blocking < erlang_b(servers - 1, load)


# Fits.
def ramp(a: float, b: float, c: float = 0.0, contexts=(0.0,), calls=(1, 2, 4, 8, 16)):
    return [Point(n, a + b * n + c * n * ctx, ctx) for n in calls for ctx in contexts]


@given(
    st.floats(0, 50),
    st.floats(0.1, 10),
    st.floats(1e-4, 1e-2),
    st.booleans(),
)
def test_an_exact_line_is_found(a, b, c, with_context):
    contexts = (0.0, 1500.0, 3000.0) if with_context else (0.0,)
    found = fit(ramp(a, b, c, contexts))
    assert found.a == pytest.approx(a, abs=1e-6)
    assert found.b == pytest.approx(b, abs=1e-6)
    assert found.c == pytest.approx(c if with_context else 0.0, abs=1e-9)
    assert found.worst_ms < 1e-6
    assert found.contexts == (min(contexts), max(contexts))


def test_sessions_by_hand():
    """16 + 2 B <= 64 at B = 24 exactly; with 0.001 B ctx and 2000 frames, 16 + 4 B at B = 12."""
    found = fit(ramp(16, 2))
    assert found.sessions(64) == 24
    assert found.sessions(63.9) == 23
    assert found.sessions(15) == 0
    assert found.sessions_interval(64) == (24, 24)
    assert fit(ramp(16, 2, 0.001, (0.0, 1000.0, 3000.0))).sessions(64, 2000) == 12


def test_least_squares_by_hand():
    """A published ramp (B 2, 8, 16, 32; 28.0, 32.6, 45.0, 70.2 ms): Sxy 734.1 over Sxx 507."""
    points = [Point(2, 28.0), Point(8, 32.6), Point(16, 45.0), Point(32, 70.2)]
    found = fit(points)
    assert found.b == pytest.approx(734.1 / 507, rel=1e-12)
    assert found.a == pytest.approx(43.95 - 14.5 * 734.1 / 507, rel=1e-12)
    assert found.sessions(64) == 28
    low, high = found.sessions_interval(64) or (0, 0)
    assert high is not None
    assert low < 28 < high
    # The margins are the standard errors times Student's 0.975 quantile for 2 degrees: 4.3027.
    other: Any = linregress([p.calls for p in points], [p.ms for p in points])
    margins = found.coefficient_margins()
    assert margins is not None
    assert margins[1] == pytest.approx(4.302653 * other.stderr, rel=1e-6)
    assert margins[0] == pytest.approx(4.302653 * other.intercept_stderr, rel=1e-6)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Noise of 1 ms on 10 + 1.8 B: the curve crosses 64 ms at B = 30, the number of sessions."""
    rng = np.random.default_rng(0)
    draws, covered = 400, 0
    for _ in range(draws):
        noisy = [replace(p, ms=p.ms + rng.normal()) for p in ramp(10, 1.8, calls=range(1, 40, 3))]
        low, high = fit(noisy).sessions_interval(64) or (0, 0)
        assert high is not None
        covered += low <= 30 <= high
    assert 0.92 <= covered / draws <= 0.995  # whole calls make it a little wider than 95 %


@given(st.floats(5, 30), st.floats(0.2, 3), st.floats(20, 100), st.floats(0, 3000))
def test_sessions_are_monotonic(a, b, deadline, context):
    found = fit(ramp(a, b, 0.0005, (0.0, 1500.0, 3000.0)))
    sessions = found.sessions(deadline, context)
    assert sessions is not None
    assert (found.sessions(deadline + 5, context) or 0) >= sessions
    assert (found.sessions(deadline, context + 500) or 0) <= sessions
    assert (found.scaled(1.5).sessions(deadline, context) or 0) <= sessions
    assert sessions == 0 or found.ms(sessions, context) <= deadline * (1 + 1e-6)
    assert found.ms(sessions + 1, context) > deadline


def test_what_does_not_determine_a_curve_is_refused():
    with pytest.raises(TooFewSteps, match="measure at least two numbers of calls"):
        fit([Point(4, 20.0), Point(4, 21.0)])
    with pytest.raises(TooFewSteps):
        fit([])
    with pytest.raises(TooFewSteps):  # the calls and the context grow together: one of two unknown
        fit([Point(1, 20.0, 100.0), Point(2, 30.0, 200.0)])
    exact = fit([Point(1, 20.0), Point(2, 30.0)])
    assert exact.sessions_interval(64) is None
    assert exact.coefficient_margins() is None


def test_a_ramp_that_does_not_grow_has_no_limit():
    flat = fit([Point(1, 20.0), Point(2, 20.0), Point(4, 20.0)])
    assert flat.sessions(64) is None
    assert bounds_elsewhere(flat, 64, 0, 0.5) is None
    falling = fit([Point(1, 20.0), Point(2, 19.0), Point(4, 17.0)])
    assert falling.sessions(64) is None
    late = fit([Point(1, 70.0), Point(2, 70.0)])  # flat, but late from the first call on
    assert late.sessions(64) == 0
    slow = fit([Point(100, 12.0), Point(200, 13.0)])  # 11 + 0.01 B: 5300, more than one looks for
    assert slow.sessions(64) is None
    assert bounds_elsewhere(slow, 64, 0, 0.5) == (2100, None)


def test_beyond_what_was_measured():
    found = fit(ramp(10, 1, 0.001, (500.0, 1500.0)))
    assert not found.beyond(16, 1000)
    assert found.beyond(17, 1000)
    assert found.beyond(4, 3000)
    assert found.beyond(4, 0)


def test_bounds_by_hand():
    """16 + 2 B: 24 sessions; at twice the bandwidth (8 + B) at most 56, at half at least 8."""
    found = fit(ramp(16, 2))
    assert bounds_elsewhere(found, 64, 0, 2.0) == (24, 56)
    assert bounds_elsewhere(found, 64, 0, 0.5) == (8, 24)
    assert bounds_elsewhere(found, 64, 0, 1.0) == (24, 24)


def test_a_slower_machine_is_the_curve_of_slower_steps():
    points = [Point(2, 28.0), Point(8, 32.6), Point(16, 45.0), Point(32, 70.2)]
    scaled, slower = fit(points).scaled(3), fit([replace(p, ms=3 * p.ms) for p in points])
    assert (scaled.a, scaled.b) == pytest.approx((slower.a, slower.b))
    assert scaled.coefficient_margins() == pytest.approx(slower.coefficient_margins())
    assert scaled.worst_ms == pytest.approx(slower.worst_ms)
    assert scaled.sessions_interval(192) == fit(points).sessions_interval(64)


# Money.
def test_cost_by_hand():
    """An L4 at $0.39 with 8 sessions carries 3.13 erlang: $0.049 an hour if full, $0.125 if not."""
    got = cost(8, 0.39, 40, 0.01)
    assert got.load_erlang == pytest.approx(3.128, abs=1e-3)
    assert got.use == pytest.approx(0.391, abs=1e-3)
    assert got.usd_full == pytest.approx(0.04875)
    assert got.usd_blocking == pytest.approx(0.1247, abs=1e-4)
    assert got.gpus_full == 5
    assert got.gpus_blocking == 7  # 53 servers carry 40 erlang at 1 %
    assert cost(8, None, None, 0.01).usd_full is None
    assert cost(0, 0.39, 5, 0.01).gpus_full is None
    assert gpus_for(29.0, 8, 0.01) == 5


@given(st.integers(1, 100), st.floats(0.1, 10), st.integers(1, 300), blockings)
@settings(deadline=None)
def test_money_is_monotonic(sessions, price, callers, blocking):
    few, many = (cost(s, price, callers, blocking) for s in (sessions, sessions + 1))
    for got in (few, many):
        assert got.usd_full is not None
        assert got.usd_blocking is not None
        assert got.gpus_full is not None
        assert got.gpus_blocking is not None
    assert (many.usd_full or 0) < (few.usd_full or 0)
    assert (many.usd_blocking or 0) < (few.usd_blocking or 0)
    assert (many.gpus_full or 0) <= (few.gpus_full or 0)
    assert (many.gpus_blocking or 0) <= (few.gpus_blocking or 0)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.1, 4), st.floats(0.1, 4))
@settings(max_examples=30, deadline=None)
def test_the_cross_over_is_where_it_says(s, t, price_s, price_t):
    large, other = sorted(
        (Fleet(s, price_s), Fleet(t, price_t)), key=lambda f: f.price / f.sessions
    )

    def dearer(n: int) -> bool:
        return large.usd_per_hour(n, 0.01) > other.usd_per_hour(n, 0.01)

    at = cross_over(large, other, 0.01, up_to=60)
    if at is None:
        assert dearer(60)
    else:
        assert not any(dearer(n) for n in range(at, 61))
        assert at == 1 or dearer(at - 1)


def test_a_large_gpu_pays_only_with_enough_callers():
    """$2.00 for 40 sessions against $0.40 for 4: one of the small ones serves a single caller."""
    large, small = Fleet(40, 2.0), Fleet(4, 0.4)
    assert small.usd_per_hour(1, 0.01) < large.usd_per_hour(1, 0.01)
    at = cross_over(large, small, 0.01)
    assert at is not None
    assert 5 <= at <= 40
    assert cross_over(Fleet(4, 0.4), Fleet(2, 0.4), 0.01) == 1  # the same price for more: always


# Floors, against numbers worked out from the shape and the data sheet.
@pytest.mark.parametrize(
    ("gpu", "step_bf16", "call_ms", "in_time", "in_memory", "in_time_70"),
    [
        ("l4", 49.2, 5.24, (2.8, 7.5, 15), (4.6, 9.5, 19), (0, 3.9, 7.7)),
        ("a40", 21.2, 2.26, (18.9, 23.6, 47), (20.0, 24.9, 50), (10.4, 15.1, 30)),
        ("l40s", 17.1, 1.82, (25.8, 30.5, 61), (20.0, 24.9, 50), (15.2, 19.9, 40)),
        ("h100", 4.40, 0.470, (127, 132, 263), (43, 48, 96), (86, 91, 182)),
        ("h200", 3.07, 0.328, (186, 191, 381), (84, 89, 178), (127, 132, 264)),
    ],
)
def test_floors_of_moshi(gpu, step_bf16, call_ms, in_time, in_memory, in_time_70):
    card = load_gpus().get(gpu)
    assert MOSHI_7B.step_ms(PRECISIONS["bf16"], card) == pytest.approx(step_bf16, rel=0.005)
    assert MOSHI_7B.call_ms(PRECISIONS["bf16"], card) == pytest.approx(call_ms, rel=0.005)
    for name, time, memory, good in zip(
        ("bf16", "int8", "int8+kv8"), in_time, in_memory, in_time_70, strict=True
    ):
        p = PRECISIONS[name]
        assert MOSHI_7B.calls_in_time(p, card) == pytest.approx(time, rel=0.02)
        assert MOSHI_7B.calls_in_memory(p, card) == pytest.approx(memory, rel=0.02)
        assert MOSHI_7B.calls_in_time(p, card, 0.7) == pytest.approx(good, rel=0.02)


def test_a_short_history_costs_less():
    card, p = load_gpus().get("l4"), PRECISIONS["bf16"]
    assert MOSHI_7B.calls_in_time(p, card, context=1500) == pytest.approx(5.7, abs=0.06)
    assert math.isinf(MOSHI_7B.calls_in_time(p, card, context=0))
    assert MOSHI_7B.calls_in_time(p, card, efficiency=0.5, context=0) == 0


def test_claims_are_judged():
    table = load_gpus()
    l4, a40 = table.get("l4"), table.get("A40")
    for calls in range(8, 13):
        assert judge(calls, "bf16", l4).word == "forbidden"
    assert judge(8, "int8", l4).word == "over budget"
    assert judge(8, "int8", l4).efficiency == pytest.approx(1.04, abs=0.005)
    assert judge(12, "int8+kv8", l4).word == "possible"
    assert judge(12, "int8+kv8", l4).efficiency == pytest.approx(0.88, abs=0.005)
    assert judge(20, "bf16", a40).word == "over budget"
    assert "GB" in judge(60, "bf16", table.get("h100")).why  # in time, but not in memory
    with pytest.raises(FloorError, match="bf16, fp16, int8"):
        judge(1, "int3", l4)


def test_a_cascade_decodes_no_faster_than_this():
    """large-v3 reads 1.812 GB a token: 6.04 ms on an L4; Llama 3.2 1B 8.24; SpeechT5 0.76."""
    l4 = load_gpus().get("l4")
    each = [d.floor_ms(l4) / d.tokens for d in CASCADE_TURN]
    assert each == pytest.approx([6.04, 8.24, 0.763], rel=0.001)


@pytest.mark.parametrize(
    ("hardware", "key"),
    [
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A40", "a40"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-SXM4-40GB", None),  # other bandwidth, half the memory
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("h100", "h100"),
        ("x86_64, 2 cores", None),
    ],
)
def test_a_driver_name_means_one_card(hardware, key):
    assert load_gpus().key_of(hardware) == key


def test_the_table_has_a_date_and_a_source_for_everything(tmp_path):
    table = load_gpus()
    assert list(table.gpu) == ["l4", "a40", "l40s", "a100", "h100", "h200"]
    assert all(claim.gpu in table.gpu and claim.precision in PRECISIONS for claim in table.claim)
    with pytest.raises(FloorError, match="it has l4, a40"):
        table.get("t4")
    broken = tmp_path / "gpus.toml"
    broken.write_text('as_of = "2026-01-01"\n[gpu.x]\nname = "X"\nwords = ["X"]\nmemory_gb = 1\n')
    with pytest.raises(FloorError, match="price_source"):
        load_gpus(broken)


def test_models_are_known_by_their_addresses():
    assert shape_of("hf://kyutai/moshiko-pytorch-bf16@main") is MOSHI_7B
    assert shape_of("hf://JoshTalksAI/Human-1") is MOSHI_7B
    assert shape_of("starter/s2s") is None
