"""What Prometheus scrapes: calls, refusals, errors and the latency of every stage.

One registry an application, so that several can live in one process. Knows nothing of who counts.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.host import HostHealth
from pipelines.latency import TurnLatency

BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.5, 2, 3, 5, 10)


class _Host(Collector):
    """A host process as it is at the moment it is asked about."""

    def __init__(self, health: Callable[[], HostHealth | None]) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge for each figure of the engine."""
        health = self._health()
        if health is None:
            return
        figures = {"up": float(health.state == "ready"), "restarts": float(health.restarts)}
        for name, value in {**figures, **health.engine}.items():
            yield GaugeMetricFamily(f"maata_engine_{name}", "Of the engine's host.", value)


class Metrics:
    """The application's counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.active = Gauge("maata_calls_active", "Calls now.", ["engine"], registry=self.registry)
        self.calls = Counter(
            "maata_calls", "Calls ended.", ["engine", "outcome"], registry=self.registry
        )
        self.refused = Counter(
            "maata_calls_refused", "Calls refused.", ["reason"], registry=self.registry
        )
        self.rejected = Counter(
            "maata_messages_rejected",
            "Messages of callers that were dropped.",
            ["kind"],
            registry=self.registry,
        )
        self.errors = Counter(
            "maata_model_errors", "Model failures inside calls.", ["engine"], registry=self.registry
        )
        self.interruptions = Counter(
            "maata_interruptions", "Answers cut by the user.", ["engine"], registry=self.registry
        )
        self.missed = Counter(
            "maata_missed_deadlines",
            "Frames of answers that came after their deadline, counted when a call ends.",
            ["engine"],
            registry=self.registry,
        )
        self.starved = Counter(
            "maata_starved_frames",
            "Frames of silence heard in place of a caller's late audio.",
            ["engine"],
            registry=self.registry,
        )
        self.stages = Histogram(
            "maata_turn_stage_seconds",
            "One stage of a turn's latency.",
            ["engine", "stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.turns = Histogram(
            "maata_turn_seconds",
            "End of speech to first audio, as the server sees it.",
            ["engine"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def observe_turn(self, engine: str, latency: TurnLatency) -> None:
        """Put one turn into the histograms."""
        for stage, ms in latency.stages.items():
            self.stages.labels(engine, stage.removesuffix("_ms")).observe(ms / 1000)
        self.turns.labels(engine).observe(latency.total_ms / 1000)

    def observe_frames(self, engine: str, counters: Mapping[str, float]) -> None:
        """Count what an ended call of a full-duplex engine went through."""
        self.missed.labels(engine).inc(counters.get("missed", 0))
        self.starved.labels(engine).inc(counters.get("silence", 0))

    def watch(self, health: Callable[[], HostHealth | None]) -> None:
        """Ask for a host's health at every scrape; None while there is no host."""
        self.registry.register(_Host(health))

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
