"""OpenTelemetry traces of calls: a span a call, a span a turn in it, a span a stage in that.

Pipecat makes the spans of calls, turns and its own services; this file gives it an exporter, adds
the stages and keeps what people say out of it: a trace is for whoever operates the server, and they
have no business with the words. Off unless an address is given. Knows nothing of who is called.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipecat.pipeline.worker import PipelineWorker
from pipecat.utils.tracing.setup import is_tracing_available, setup_tracing

from pipelines.latency import TurnLatency

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# Attributes of spans that carry words, in pipecat.utils.tracing.service_attributes.
WORDS = frozenset(
    ("input", "output", "text", "transcript", "text_output", "tools", "gen_ai.system_instructions")
)


class TracingUnavailable(Exception):
    """Traces are wanted and cannot be made; the sentence names the remedy."""


def set_up(address: str) -> None:
    """Send the spans of this process to a collector, in batches, off the event loop.

    Args:
        address: of OTLP over HTTP, as http://127.0.0.1:4318; empty: no traces, and nothing is done.

    Raises:
        TracingUnavailable: without the packages of the extra `otel`, or with no such address.
    """
    if not address:
        return
    if not address.startswith(("http://", "https://")):
        raise TracingUnavailable(
            f"server.traces = {address!r} is no address of a collector: write http://HOST:4318"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as e:
        raise _packages_missing() from e
    export_to(OTLPSpanExporter(endpoint=f"{address.rstrip('/')}/v1/traces"))


def export_to(exporter: "SpanExporter") -> None:
    """Send the spans of this process to an exporter, without the words in them.

    Raises:
        TracingUnavailable: without the packages of the extra `otel`.
    """
    if not is_tracing_available() or not setup_tracing("maata", exporter=_wordless(exporter)):
        raise _packages_missing()


def record_stages(worker: PipelineWorker, latency: TurnLatency) -> None:
    """Add a turn's stages to its span, as they ended just now; nothing when traces are off."""
    observer = worker.turn_trace_observer
    context = observer.get_current_turn_context() if observer else None
    if context is None:
        return
    from opentelemetry import trace

    tracer = trace.get_tracer("maata.stages")
    turn = trace.set_span_in_context(trace.NonRecordingSpan(context))
    at = time.time_ns() - int(latency.total_ms * 1e6)
    for stage, ms in latency.stages.items():
        span = tracer.start_span(stage.removesuffix("_ms"), context=turn, start_time=at)
        at += int(ms * 1e6)
        span.end(end_time=at)


def _packages_missing() -> TracingUnavailable:
    return TracingUnavailable(
        "server.traces needs the OpenTelemetry packages: install maata[otel], or leave it empty"
    )


def _wordless(exporter: "SpanExporter") -> "SpanExporter":
    """The exporter, given every span without the attributes that carry words."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    def cut(span: ReadableSpan) -> ReadableSpan:
        attributes = span.attributes or {}
        if WORDS.isdisjoint(attributes):
            return span
        return ReadableSpan(
            name=span.name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes={key: value for key, value in attributes.items() if key not in WORDS},
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Wordless(SpanExporter):
        """Cuts, and hands on."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return exporter.export([cut(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Wordless()
