"""The models of a server: loaded once, shared by every call.

Models that release the interpreter lock (CTranslate2, ONNX, espeak-ng) live in this process and
run in worker threads. Eager torch models do not belong here: one ticking in a thread of the server
costs every other call tens of milliseconds, so they live in host processes of their own and are
held here by their client (`s2s_engine.py`). Knows nothing of calls.
"""

import asyncio
import threading
from collections.abc import Callable

from maata.profile import AsrSettings, Profile
from models.whisper import Recognizer
from pipelines.cascade_models import (
    CascadeModels,
    close_voice,
    load_cascade,
    load_part,
    load_recognizer,
)
from pipelines.engine_checks import EngineError, check_cascade, check_s2s
from pipelines.s2s_engine import S2sEngine, S2sModels, conditions, text_pieces
from pipelines.s2s_engine import spec as s2s_spec
from services.turns import TurnModels


class Engines:
    """The engines of one profile, and how far their loading is."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.cascade: CascadeModels | None = None
        self.s2s_models: S2sModels | None = None  # what of it lives in this process
        self.s2s: S2sEngine | None = None
        self.progress: dict[str, float] = {}
        self.error: str | None = None
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether every engine of the profile can take calls."""
        return all(self.serves(engine) for engine in self.profile.engines)

    def serves(self, engine: str) -> bool:
        """Whether one engine can take calls now."""
        if engine == "cascade":
            return self.cascade is not None
        return self.s2s is not None and self.s2s.health.state == "ready"

    @property
    def loaded(self) -> bool:
        """Whether everything that lives in this process is loaded."""
        missing = {"cascade": self.cascade, "s2s": self.s2s_models}
        return all(missing[engine] is not None for engine in self.profile.engines)

    def check(self) -> None:
        """Look for what loading will need, without loading it.

        Raises:
            EngineError, WeightsMissing: with the remedy.
        """
        if self.profile.engine not in self.profile.engines:
            raise EngineError(
                f"engine {self.profile.engine} is not in engines = {list(self.profile.engines)}"
            )
        if "s2s" in self.profile.engines:
            check_s2s(self.profile)
        if "cascade" in self.profile.engines:
            check_cascade(self.profile.cascade)

    def load(self, report: Callable[[str, float], None] = lambda part, share: None) -> None:
        """Load everything; blocks for seconds, so call it from a worker thread.

        Args:
            report: told (part, share done) as parts begin and end.
        """

        def step(part: str, share: float) -> None:
            self.progress[part] = share
            report(part, share)

        engines, cascade = self.profile.engines, self.profile.cascade
        with self._lock:
            parts = ("asr", "llm", "tts", "turns") if "cascade" in engines else ("turns",)
            self.progress.update(dict.fromkeys(parts, 0.0))
            if "cascade" in engines and self.cascade is None:
                self.cascade = load_cascade(cascade, step)
                turns = self.cascade.turns
            else:
                turns = load_part("turns", step, TurnModels.load)
            recognizers: dict[AsrSettings, Recognizer] = {}  # one, if both engines name the same
            if self.cascade is not None:
                recognizers[cascade.asr] = self.cascade.recognizer
            if "s2s" in engines:
                self.s2s_models = _s2s_models(self.profile, turns, recognizers)

    async def start(self) -> None:
        """Start what lives in host processes, on the running event loop; returns when it serves.

        Raises:
            HostLost: a host could not load its model; it goes on trying.
        """
        if self.s2s_models is not None and self.s2s is None:
            self.progress["s2s"] = 0.1
            self.s2s = S2sEngine(self.s2s_models, self.profile.s2s)
            await self.s2s.start()
            self.progress["s2s"] = 1.0

    async def close(self) -> None:
        """End what lives in host processes."""
        if self.s2s is not None:
            await self.s2s.close()
            self.s2s = None
        await asyncio.to_thread(close_voice, self.cascade.synthesizer if self.cascade else None)


def _s2s_models(
    profile: Profile, turns: TurnModels, recognizers: dict[AsrSettings, Recognizer]
) -> S2sModels:
    captions = profile.s2s.captions
    recognizer = None
    if captions:
        asr = profile.cascade.asr.model_copy(update={"model": captions})
        recognizer = recognizers.get(asr) or load_recognizer(asr)
    model = profile.s2s.model
    return S2sModels(s2s_spec(profile), text_pieces(model), turns, recognizer, conditions(model))
