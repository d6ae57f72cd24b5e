"""Absolute deadlines on a clock that only the test moves."""

import pytest

from models.host_pace import Pace


def test_ticks_stay_on_schedule_whatever_they_take() -> None:
    now = [100.0]
    pace = Pace(0.08, clock=lambda: now[0])
    for n in range(22_500):  # half an hour
        now[0] += pace.wait()
        assert now[0] == pytest.approx(100 + n * 0.08, abs=0.03)
        deadline, skipped = pace.begin()
        assert deadline == pytest.approx(100 + (n + 1) * 0.08)
        assert skipped == 0
        now[0] += 0.1 if n % 7 == 0 else 0.03  # every seventh is late, and caught up with
    assert now[0] == pytest.approx(100 + 22_500 * 0.08, abs=0.1)


def test_a_late_tick_keeps_its_own_deadline_and_no_tick_is_lost() -> None:
    now = [0.0]
    pace = Pace(0.08, clock=lambda: now[0])
    now[0] = 0.5
    begun = [pace.begin() for _ in range(6)]
    assert [round(deadline, 2) for deadline, _ in begun] == [0.08, 0.16, 0.24, 0.32, 0.4, 0.48]
    assert not any(skipped for _, skipped in begun)
    assert pace.wait() == 0
    pace.begin()
    assert pace.wait() == pytest.approx(0.06)


def test_after_a_sleep_of_the_machine_the_schedule_is_laid_anew() -> None:
    now = [0.0]
    pace = Pace(0.1, clock=lambda: now[0], patience=1.0)
    now[0] = 60.05
    deadline, skipped = pace.begin()
    assert skipped == 600
    assert deadline == pytest.approx(60.1)
    assert pace.wait() == pytest.approx(0.05)
