"""Speech to speech: one full-duplex model between the two ends of a transport.

The `Pipeline` below is the diagram. Nothing in it decides when the model may speak.
"""

from pipecat.pipeline.pipeline import Pipeline
from pipecat.transports.base_transport import BaseTransport

from maata.profile import Profile
from models.host_client import HostError, Stream
from pipelines.cascade import voice_activity
from pipelines.duplex_latency import DuplexObserver
from pipelines.graph import CallHooks, Graph
from pipelines.s2s_engine import S2sEngine
from services.activity import CallerActivity
from services.moshi import MoshiService
from services.whisper import WhisperService

NEXT_CALL = "the speech-to-speech engine takes another voice or emotion from the next call on"


def build_s2s(
    transport: BaseTransport,
    hooks: CallHooks,
    *,
    profile: Profile,
    engine: S2sEngine,
    stream: Stream,
) -> Graph:
    """Wire one call's graph around its opened stream, which the graph closes."""

    async def on_end(fault: HostError | None) -> None:
        await hooks.failed(str(fault) if fault else stream.reason or "the model ended the call")

    def on_closed() -> None:
        hooks.count(stream.counters)

    captions = []
    if engine.recognizer is not None:  # writes in tasks of its own
        captions = [
            WhisperService(engine.recognizer, interim_ms=profile.s2s.caption_interim_ms),
        ]
    pipeline = Pipeline(
        [
            transport.input(),  # 16 kHz mono from the caller
            CallerActivity(voice_activity(profile.cascade.turns, engine.turns)),
            *captions,  # what the caller said, for the page
            MoshiService(stream, engine.pieces, on_end, on_closed),  # 80 ms in, 80 ms out
            transport.output(),  # 24 kHz mono to the caller
        ]
    )
    observer = DuplexObserver(hooks.latency, hooks.interrupted)
    return Graph(pipeline, observer, lambda voice, emotion: NEXT_CALL)
