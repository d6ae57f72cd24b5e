"""One call: a socket, a graph and the rules around them, from greeting to the last frame.

Whatever engine answers, this is the one place that ends a call with a reason, counts it, keeps its
limits and tells the page what happened. Knows nothing of models.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from loguru import logger
from pipecat.frames.frames import ErrorFrame, Frame
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frameworks.rtvi.observer import RTVIObserverParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner
from starlette.websockets import WebSocket

from maata.profile import Profile
from models.voices import EMOTIONS, VOICES
from pipelines.graph import Build, CallHooks, Graph
from pipelines.latency import TurnLatency
from pipelines.metrics import Metrics
from pipelines.request import BAD_REQUEST, LIMIT_REACHED, MODEL_FAILED, CallRequest
from pipelines.tracing import record_stages
from pipelines.wire import CallerSerializer, error_message

AUDIO_IN_RATE = 16000
AUDIO_OUT_RATE = 24000
# A packet of audio to the caller, in 10 ms: Pipecat's own for clauses, a whole frame of the codec.
PACKETS = {"cascade": 4, "s2s": 8}
MAX_REJECTED = 500  # a client that sends this much nonsense is broken or hostile


class Call:
    """One caller on one graph."""

    def __init__(
        self,
        websocket: WebSocket,
        request: CallRequest,
        profile: Profile,
        build: Build,
        metrics: Metrics,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Build the call and its graph on a socket; nothing runs before `run`."""
        self._websocket = websocket
        self._request = request
        self._profile = profile
        self._metrics = metrics
        self._now = now
        self._rejected: dict[str, int] = {}
        self._outcome = "hung up"
        self._ending: asyncio.Task[None] | None = None
        wire = CallerSerializer(sample_rate=AUDIO_IN_RATE, on_rejected=self._on_rejected, now=now)
        self._transport = FastAPIWebsocketTransport(
            websocket,
            FastAPIWebsocketParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                audio_out_end_silence_secs=0,
                audio_out_10ms_chunks=PACKETS[request.engine],
                serializer=wire,
            ),
        )
        self._graph = build(self._transport, self._hooks(wire))
        self._worker = self._build_worker(self._graph)
        self._watch()

    def _hooks(self, wire: CallerSerializer) -> CallHooks:
        engine, metrics = self._request.engine, self._metrics

        async def queue(frame: Frame) -> None:
            await self._worker.queue_frame(frame)

        async def failed(sentence: str) -> None:
            metrics.errors.labels(engine).inc()
            # Not awaited: whoever says so belongs to the graph that ending the call cancels.
            self._end_soon(MODEL_FAILED, "engine failed", sentence)

        return CallHooks(
            begin_answer=wire.begin_answer,
            tell=self._tell,
            queue=queue,
            interrupted=metrics.interruptions.labels(engine).inc,
            latency=self._on_latency,
            failed=failed,
            count=partial(metrics.observe_frames, engine),
        )

    def _build_worker(self, graph: Graph) -> PipelineWorker:
        return PipelineWorker(
            graph.pipeline,
            params=PipelineParams(
                audio_in_sample_rate=AUDIO_IN_RATE,
                audio_out_sample_rate=AUDIO_OUT_RATE,
                enable_metrics=True,
            ),
            observers=[graph.observer],
            rtvi_observer_params=RTVIObserverParams(metrics_enabled=True),
            idle_timeout_secs=self._profile.limits.idle_minutes * 60,
            cancel_on_idle_timeout=False,  # the caller is told why first
            enable_tracing=bool(self._profile.server.traces),
            additional_span_attributes={"maata.engine": self._request.engine},
        )

    async def run(self) -> str:
        """Carry the call until it ends; returns how it ended, in a word or two."""
        engine = self._request.engine
        runner = WorkerRunner(handle_sigint=False)
        limit = asyncio.create_task(self._limit_length())
        with self._metrics.active.labels(engine).track_inprogress():
            try:
                await runner.add_workers(self._worker)
                await runner.run()
            finally:
                limit.cancel()
                if self._ending:
                    await asyncio.wait([self._ending], timeout=2)
                self._metrics.calls.labels(engine, self._outcome).inc()
        return self._outcome

    async def end(self, code: int, outcome: str, sentence: str) -> None:
        """End the call with a reason that the caller's page can show."""
        if self._ending is None:
            self._outcome = outcome
            self._ending = asyncio.create_task(self._end(code, sentence))
        await asyncio.shield(self._ending)

    async def _end(self, code: int, sentence: str) -> None:
        async def tell() -> None:
            await self._websocket.send_bytes(error_message(sentence, fatal=True))
            await self._websocket.close(code, sentence[:120])

        try:
            await asyncio.wait_for(
                tell(), timeout=1
            )  # a caller that stopped reading cannot hold us
        except Exception as e:
            logger.debug("could not tell the caller why: {}", type(e).__name__)
        await self._worker.cancel(reason=self._outcome)

    def _end_soon(self, code: int, outcome: str, sentence: str) -> None:
        task = asyncio.create_task(self.end(code, outcome, sentence))
        task.add_done_callback(lambda t: t.exception())

    def _watch(self) -> None:
        """Connect the worker's and the socket's events to this call."""
        worker, transport = self._worker, self._transport

        @transport.event_handler("on_client_disconnected")
        async def _gone(_transport: Any, _socket: Any) -> None:
            await worker.cancel(reason="the caller hung up")

        @worker.event_handler("on_idle_timeout")
        async def _idle(_worker: Any) -> None:
            minutes = self._profile.limits.idle_minutes
            await self.end(
                LIMIT_REACHED, "idle", f"nobody spoke for {minutes:g} minutes; the call was ended"
            )

        @worker.event_handler("on_pipeline_error")
        async def _failed(_worker: Any, frame: ErrorFrame) -> None:
            self._metrics.errors.labels(self._request.engine).inc()

        if worker.rtvi:

            @worker.rtvi.event_handler("on_client_message")
            async def _message(rtvi: Any, message: Any) -> None:
                await self._on_client_message(message.type, message.data)

            @worker.rtvi.event_handler("on_client_ready")
            async def _ready(_rtvi: Any) -> None:
                engine = {"id": self._request.engine, "reason": self._request.fallback_reason}
                await self._tell({"type": "engine", **engine})

    async def _on_client_message(self, kind: str, data: Any) -> None:
        """`set-voice` changes voice and emotion from the next clause on."""
        if kind != "set-voice" or not isinstance(data, dict):
            await self._notice(f"message {str(kind)[:40]!r} is not known")
            return
        voice, emotion = data.get("voice"), data.get("emotion")
        if voice is not None and voice not in [v.id for v in VOICES]:
            await self._notice(f"unknown voice {str(voice)[:40]!r}")
        elif emotion is not None and emotion not in EMOTIONS:
            await self._notice(f"unknown emotion {str(emotion)[:40]!r}")
        else:
            sentence = self._graph.set_voice(voice, emotion)
            if sentence:
                await self._notice(sentence)

    async def _on_rejected(self, kind: str, sentence: str) -> None:
        """Count what was dropped; say so once of each kind, and end a call of nothing else."""
        self._metrics.rejected.labels(kind).inc()
        self._rejected[kind] = self._rejected.get(kind, 0) + 1
        if self._rejected[kind] == 1:
            await self._notice(sentence)
        if sum(self._rejected.values()) == MAX_REJECTED:
            # Not awaited: this runs inside the receive loop that ending the call cancels.
            self._end_soon(BAD_REQUEST, "bad input", f"too many bad messages; the last: {sentence}")

    async def _on_latency(self, latency: TurnLatency) -> None:
        self._metrics.observe_turn(self._request.engine, latency)
        record_stages(self._worker, latency)
        record = {"event": "turn", "engine": self._request.engine, **latency.message()}
        logger.bind(json=True).info(json.dumps(record))
        await self._tell({"type": "latency", **latency.message()})

    async def _limit_length(self) -> None:
        minutes = self._profile.limits.max_call_minutes
        await asyncio.sleep(minutes * 60)
        await self.end(LIMIT_REACHED, "too long", f"calls end after {minutes:g} minutes")

    async def _notice(self, sentence: str) -> None:
        await self._tell({"type": "notice", "level": "warning", "text": sentence})

    async def _tell(self, data: dict[str, Any]) -> None:
        if self._worker.rtvi:
            await self._worker.rtvi.send_server_message(data)
