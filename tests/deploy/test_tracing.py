"""Traces: off by default, without words, and a real call's spans one inside the other."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from maata.profile import load_profile
from pipelines import tracing
from tests.live import PACKET, QUESTION, calling, serving


@pytest.fixture(scope="module")
def exported() -> Iterator[list]:
    """What the process exports; OpenTelemetry takes one provider a process, for good."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    kept: list = []

    class Kept(SpanExporter):
        def export(self, spans):
            kept.extend(spans)
            return SpanExportResult.SUCCESS

    tracing.export_to(Kept())
    yield kept
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.shutdown()


def flush() -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    assert provider.force_flush(5000)


def test_no_address_no_traces(monkeypatch):
    monkeypatch.setattr(tracing, "export_to", lambda exporter: pytest.fail("traces were set up"))
    tracing.set_up("")


def test_an_address_is_checked():
    with pytest.raises(tracing.TracingUnavailable, match="4318"):
        tracing.set_up("collector:4318")


def test_without_the_packages_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(tracing.TracingUnavailable, match=r"maata\[otel\]"):
        tracing.set_up("http://127.0.0.1:4318")


def test_what_is_said_is_in_no_span(exported):
    from opentelemetry import trace

    with trace.get_tracer("test").start_as_current_span("llm") as span:
        span.set_attribute("output", "నమస్కారం")
        span.set_attribute("gen_ai.request.model", "llama")
    flush()
    attributes = {s.name: s.attributes for s in exported}["llm"]
    assert attributes == {"gen_ai.request.model": "llama"}


async def test_a_call_s_stages_lie_in_its_turn_and_its_turn_in_the_call(exported, engines):
    profile = load_profile("starter", {"server.traces": "http://127.0.0.1:4318"})
    with serving(profile, engines) as live:
        async with calling(live.url) as caller:
            ended = await caller.speak(QUESTION)
            await caller.until(lambda: caller.loud(ended) and caller.told("latency"), 20)
            told = caller.told("latency")[0]
            await caller.send_audio(np.zeros(PACKET * 5, dtype=np.int16))
    flush()
    by_name = {s.name: s for s in exported}
    call, stage = by_name["conversation"], by_name["endpointing"]
    turns = {s.context.span_id: s for s in exported if s.name == "turn"}
    assert call.attributes["maata.engine"] == "cascade"
    assert all(turn.parent.span_id == call.context.span_id for turn in turns.values())
    assert stage.parent.span_id in turns
    took = {f"{s.name}_ms": (s.end_time - s.start_time) / 1e6 for s in exported}
    for name, ms in told["stages"].items():
        assert took[name] == pytest.approx(ms, abs=0.01)
