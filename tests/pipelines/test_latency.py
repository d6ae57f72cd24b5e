"""The latency record: stages taken from frame times, summing to the total."""

from types import SimpleNamespace
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TurnMetricsData

from pipelines.latency import STAGES, LatencyObserver, TurnLatency


def verdict(complete: bool = True) -> MetricsFrame:
    data = TurnMetricsData(
        processor="turn", is_complete=complete, probability=0.9, e2e_processing_time_ms=1.0
    )
    return MetricsFrame(data=[data])


async def play(frames: list[tuple[int, Frame]]) -> list[TurnLatency]:
    reports: list[TurnLatency] = []

    async def report(latency: TurnLatency) -> None:
        reports.append(latency)

    observer = LatencyObserver(report)
    for ms, frame in frames:
        pushed: Any = SimpleNamespace(frame=frame, timestamp=ms * 1_000_000)
        await observer.on_push_frame(pushed)
    return reports


def turn(start: int) -> list[tuple[int, Frame]]:
    return [
        (start, VADUserStartedSpeakingFrame()),
        (start + 1200, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
        (start + 1250, verdict()),
        (start + 1300, UserStoppedSpeakingFrame()),
        (start + 1310, LLMTextFrame("న")),
        (start + 1330, AggregatedTextFrame("నమస్కారం.", "sentence")),
        (start + 1345, TTSAudioRawFrame(b"\0\0", 24000, 1)),
        (start + 1350, TTSAudioRawFrame(b"\0\0", 24000, 1)),
    ]


async def test_stages_follow_each_other_and_sum():
    (latency,) = await play(turn(0))
    assert [latency.stages[stage] for stage in STAGES] == [250, 50, 10, 20, 15]
    assert latency.total_ms == 345
    assert sum(latency.message()["stages"].values()) == latency.total_ms


async def test_turns_are_numbered_and_reported_once():
    reports = await play(turn(0) + turn(5000))
    assert [r.turn for r in reports] == [1, 2]


async def test_a_pause_inside_the_turn_counts_from_the_last_speech():
    frames = [
        (0, VADUserStartedSpeakingFrame()),
        (500, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
        (550, verdict(complete=False)),
        *turn(600),
    ]
    (latency,) = await play(frames)
    assert latency.total_ms == 345


async def test_an_interrupted_answer_is_no_turn():
    frames = turn(0)[:5] + [(1320, InterruptionFrame())] + turn(2000)
    assert [r.turn for r in await play(frames)] == [1]


async def test_an_apology_without_a_turn_is_no_record():
    assert await play([(0, TTSAudioRawFrame(b"\0\0", 24000, 1))]) == []
