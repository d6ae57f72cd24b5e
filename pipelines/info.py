"""What a page needs to know before it calls: `/api/info`, and where the page itself lives."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from maata import __version__
from maata.profile import Profile
from models.base_language import notice
from models.voices import EMOTIONS, VOICES
from models.weights import is_starter
from pipelines.call import AUDIO_IN_RATE, AUDIO_OUT_RATE


def describe(profile: Profile, active_calls: int, token_required: bool) -> dict[str, Any]:
    """The server in a page's terms."""
    offered = [_cascade(profile), _s2s(profile)]
    return {
        "name": "maata",
        "version": __version__,
        "profile": profile.name,
        "starter": any(e["available"] and e["starter"] for e in offered),
        "default_engine": profile.engine,
        "engines": offered,
        "voices": [
            {"id": v.id, "name": v.name, "name_te": v.name_te, "description": v.description}
            for v in VOICES
        ],
        "default_voice": profile.voice.default,
        "emotions": list(EMOTIONS),
        "default_emotion": profile.voice.emotion,
        "samples": _samples(),
        "audio": {"in": AUDIO_IN_RATE, "out": AUDIO_OUT_RATE},
        "token_required": token_required,
        "limits": {
            "max_calls": profile.limits.max_calls,
            "max_call_minutes": profile.limits.max_call_minutes,
        },
        "active_calls": active_calls,
    }


def _cascade(profile: Profile) -> dict[str, Any]:
    cascade = profile.cascade
    return {
        "id": "cascade",
        "available": "cascade" in profile.engines,
        "reason": "this server runs without the cascade",
        "starter": is_starter(cascade.asr.model) or is_starter(cascade.llm.model),
        "models": {
            "asr": cascade.asr.model,
            "llm": cascade.llm.model,
            "tts": cascade.tts.model if cascade.tts.engine == "speecht5" else "espeak-ng",
        },
    }


def _s2s(profile: Profile) -> dict[str, Any]:
    s2s = profile.s2s
    return {
        "id": "s2s",
        "available": "s2s" in profile.engines,
        "reason": "this server runs without the speech-to-speech engine",
        "starter": is_starter(s2s.model),
        "models": {"s2s": s2s.model, "codec": s2s.codec or s2s.model},
        "adapters": [name for name in s2s.adapters if name != s2s.fuse],
        "notice": notice(s2s.model, s2s.adapters),  # "" or what a caller should know of it
    }


def page_directory() -> Path:
    """Where the built page lives, in a checkout and in an installed wheel alike."""
    return Path(str(resources.files("pipelines"))) / "page"


def _samples() -> list[dict[str, str]]:
    index = page_directory() / "samples" / "samples.json"
    return json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
