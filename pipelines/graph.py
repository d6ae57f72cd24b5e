"""What a call and its graph say to each other: all that the two engines have in common.

The call gives its graph these hooks when it is built; the graph gives the call its pipeline.
Knows nothing of either engine.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import Frame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.transports.base_transport import BaseTransport

from pipelines.latency import TurnLatency


@dataclass(frozen=True)
class CallHooks:
    """What a graph may ask of its call."""

    begin_answer: Callable[[], None]  # audio may pass again after an interruption
    tell: Callable[[dict[str, Any]], Awaitable[None]]  # a message of ours to the page
    queue: Callable[[Frame], Awaitable[None]]  # a frame into the start of the graph
    interrupted: Callable[[], None]  # counts an answer that the user cut
    latency: Callable[[TurnLatency], Awaitable[None]]  # a finished record
    failed: Callable[[str], Awaitable[None]]  # ends the call for a fault of its model
    count: Callable[[Mapping[str, float]], None]  # an engine's own counters of this call


@dataclass(frozen=True)
class Graph:
    """One call's graph."""

    pipeline: Pipeline
    observer: BaseObserver
    set_voice: Callable[[str | None, str | None], str]  # -> a sentence when it cannot be done now


Build = Callable[[BaseTransport, CallHooks], Graph]
