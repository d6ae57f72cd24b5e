"""The four voices and nine emotions of the agent: names only, shared by every engine.

Knows nothing about how an engine makes them sound; each synthesizer maps these ids to its own
settings (espeak variants, speaker embeddings, Moshi conditioners).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """One speaking voice as a caller chooses it."""

    id: str
    name: str
    name_te: str
    description: str


VOICES = (
    Voice("arjun", "Arjun", "అర్జున్", "young male"),
    Voice("ravi", "Ravi", "రవి", "mature male"),
    Voice("priya", "Priya", "ప్రియ", "young female"),
    Voice("lakshmi", "Lakshmi", "లక్ష్మి", "professional female"),
)

EMOTIONS = (
    "neutral",
    "happy",
    "sad",
    "angry",
    "excited",
    "calm",
    "concerned",
    "surprised",
    "professional",
)
