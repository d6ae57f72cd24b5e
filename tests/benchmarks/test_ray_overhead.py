"""The arithmetic of what Ray adds; the servers themselves are run by tests/deploy/test_ray.py."""

import pytest

from benchmarks.ray_overhead import GOAL_MS, Way, compare


def test_what_is_added_is_the_difference_of_percentiles():
    plain = Way([float(ms) for ms in range(1, 101)], lost=0, cpu_s=2.0, call_s=100.0)
    ray = Way([ms + 4.0 for ms in plain.delays_ms], lost=0, cpu_s=6.0, call_s=100.0)
    found = compare({"plain": plain, "ray": ray})
    assert found["added_p50_ms"] == found["added_p95_ms"] == found["added_p99_ms"] == 4.0
    assert found["met"] is True
    assert found["plain"]["cpu_ms_per_call_second"] == 20.0  # type: ignore[index]
    assert found["ray"]["cpu_ms_per_call_second"] == 60.0  # type: ignore[index]
    ray.lost = 1  # whatever the rest says
    assert compare({"plain": plain, "ray": ray})["met"] is False


@pytest.mark.parametrize(("slow", "met"), [(GOAL_MS, True), (GOAL_MS + 0.1, False)])
def test_the_goal_is_on_the_95th_percentile(slow, met):
    plain = Way([1.0] * 100, call_s=1.0)
    ray = Way([1.0] * 90 + [1.0 + slow] * 10, call_s=1.0)
    assert compare({"plain": plain, "ray": ray})["met"] is met
