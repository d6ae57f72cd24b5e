"""What a turn's time is made of, and where an answer begins to arrive."""

import random

import pytest

from benchmarks.ruler.accounting import Packet, account, first_packet

CHUNK = 960  # 40 ms at 24 kHz


def run(arrived: int, heard: int, packets: int) -> list[Packet]:
    return [Packet(arrived + n * CHUNK, heard + n * CHUNK, CHUNK) for n in range(packets)]


def test_leading_silence_belongs_to_the_answer():
    answer = run(50_000, 50_960, 20)
    start = answer[3].heard + 17  # three silent packets before it
    assert first_packet([*run(1_000, 1_960, 5), *answer], start, 40_000) == answer[0]


def test_in_sound_that_never_pauses_the_audible_packet_begins_the_answer():
    stream = run(0, 960, 100)
    assert first_packet(stream, stream[60].heard + 5, 40_000) == stream[60]


def test_a_sample_no_packet_holds_has_none():
    assert first_packet(run(0, 960, 3), 10_000, 0) is None
    assert first_packet([], 10, 0) is None


def test_the_terms_sum_to_the_measured_time():
    rng = random.Random(7)
    for _ in range(500):
        v2v, arrived = rng.uniform(-300, 3000), rng.uniform(0, 9000)
        server = {f"s{n}_ms": rng.uniform(0, 500) for n in range(rng.randrange(6))}
        heard = arrived + rng.uniform(0, 80)
        terms = account(
            v2v,
            server | {"total_ms": sum(server.values())},
            arrived_ms=arrived,
            heard_from_ms=heard,
            bot_start_ms=heard + rng.uniform(0, 400),
        )
        assert sum(terms.values()) == pytest.approx(v2v, abs=0.06)
        assert [*terms][-1] == "residual_ms"
        assert "total_ms" not in terms


def test_what_nobody_accounts_for_is_shown():
    terms = account(700.0, {}, arrived_ms=900.0, heard_from_ms=940.0, bot_start_ms=965.0)
    assert terms == {"playback_ms": 40.0, "leading_silence_ms": 25.0, "residual_ms": 635.0}
    assert account(5.0, {}, arrived_ms=None, heard_from_ms=None, bot_start_ms=9.0) == {
        "residual_ms": 5.0
    }
