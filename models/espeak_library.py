"""The espeak-ng shared library through ctypes: text and settings in, int16 and word events out.

One library, one set of globals: espeak-ng can speak one text at a time, so `Library.speak` holds a
lock for as long as the synthesis runs (about a thousandth of the audio's length) and never while a
consumer plays. The GPL-3.0 wheel `espeakng-loader` is an extra and is imported only when a library
is opened. Knows nothing of the agent's voices, emotions or levels (`models/espeak.py`).
"""

import _ctypes
import ctypes
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

# Constants of espeak-ng's public header, src/include/espeak-ng/speak_lib.h (version 1.52).
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POS_CHARACTER = 1
_CHARS_UTF8, _ENDPAUSE = 0x1, 0x1000
_RATE, _VOLUME, _PITCH, _RANGE, _WORDGAP = 1, 2, 3, 4, 7
_EVENT_END_OF_LIST, _EVENT_WORD = 0, 1

# Many variants reach full scale inside espeak at its default volume of 100, and the damage cannot
# be undone outside; at 50 (-6 dB and a little) every variant of the te voices used here is clean.
_INTERNAL_VOLUME = 50

# espeak-ng 1.52 speaks every anusvara as n. In Telugu it is n only before the stops and nasals of
# its own row up to the dentals; at the end of a word and before labials and continuants it is m
# (pustakam, samvatsaram). Written as a consonant it comes out right.
_ANUSVARA_AS_M = re.compile("\u0c02(?![\u0c15-\u0c28])")

Sink = Callable[[np.ndarray, list["WordEvent"]], bool]


class EspeakMissing(RuntimeError):
    """The espeak-ng wheel is not installed or does not load; the message names the remedy."""


class EspeakFailed(RuntimeError):
    """espeak-ng refused a voice or a text."""


@dataclass(frozen=True)
class Settings:
    """How espeak-ng speaks one text, in its own units."""

    variant: str = ""  # a name of `variants()`; empty is the plain Telugu voice
    words_per_minute: int = 160  # 80..450
    pitch: int = 50  # 0..99; each 50 steps are an octave
    pitch_range: int = 50  # 0..99; 0 is monotone
    word_gap: int = 0  # extra pause between words, units of 10 ms at the default rate
    end_pause: bool = False  # keep the pause that the final punctuation asks for


@dataclass(frozen=True)
class WordEvent:
    """The start of a word: its first character in the text and its first sample in the audio."""

    char: int
    sample: int


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """The opened library. Make it through `open_library`, which opens it once per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._origin: list[int] = []
        self._error: BaseException | None = None
        self._callback = _Callback(self._on_samples)  # kept: espeak holds only the raw pointer
        self._lib, self.data, self.sample_rate = self._open()
        self._variants = frozenset(self.variants())
        # A forked child inherits the lock as it was; a thread that held it does not exist there.
        os.register_at_fork(after_in_child=self._renew_lock)

    def _open(self) -> tuple[ctypes.CDLL, Path, int]:
        lib, data = _load()
        rate: int = lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data).encode(), _INITIALIZE_DONT_EXIT
        )
        if rate <= 0:
            raise EspeakMissing(f"espeak-ng could not read its data in {data}: {_REMEDY}")
        lib.espeak_SetSynthCallback(self._callback)
        return lib, data, rate

    def renew(self) -> None:
        """Forgets what was said before: the next texts give the samples a new process would give.

        Flutter and noise go on from one text to the next, in statics that only unloading the
        library resets (2 ms). A platform that keeps it loaded still speaks, to the ear the same.
        """
        with self._lock:
            self._lib.espeak_Terminate()
            if sys.platform != "win32":
                _ctypes.dlclose(self._lib._handle)
            self._lib, self.data, self.sample_rate = self._open()
            self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))  # otherwise the time of day

    def variants(self) -> list[str]:
        """Names of the voice variants that come with the library, sorted."""
        return sorted(p.name for p in (self.data / "voices" / "!v").iterdir() if p.is_file())

    def speak(self, text: str, settings: Settings, sink: Sink) -> None:
        """Speaks `text`; `sink(pcm int16 [n], words)` gets each chunk (at most 60 ms).

        Blocks until the text is spoken or the sink returns False, which ends it within that chunk.
        An exception of the sink ends it too and is raised here. Thread-safe.
        """
        spelled, origin = _as_pronounced(text)
        utf8 = spelled.encode("utf-8", errors="replace")
        flags = _CHARS_UTF8 | (_ENDPAUSE if settings.end_pause else 0)
        with self._lock:
            self._apply(settings)
            self._sink, self._origin, self._error = sink, origin, None
            code = self._lib.espeak_Synth(
                utf8, len(utf8) + 1, 0, _POS_CHARACTER, 0, flags, None, None
            )
            error, self._sink, self._error = self._error, None, None
        if error is not None:
            raise error
        if code != 0:
            raise EspeakFailed(f"espeak-ng could not speak the text (code {code}).")

    def _apply(self, settings: Settings) -> None:
        name = f"te+{settings.variant}" if settings.variant else "te"
        known = not settings.variant or settings.variant in self._variants
        # espeak itself accepts an unknown variant and speaks with the plain voice.
        if not known or self._lib.espeak_SetVoiceByName(name.encode()) != 0:
            raise EspeakFailed(f"espeak-ng has no voice '{name}'; see models.espeak.variants().")
        for parameter, value in (
            (_RATE, min(max(settings.words_per_minute, 80), 450)),
            (_VOLUME, _INTERNAL_VOLUME),
            (_PITCH, min(max(settings.pitch, 0), 99)),
            (_RANGE, min(max(settings.pitch_range, 0), 99)),
            (_WORDGAP, max(settings.word_gap, 0)),
        ):
            self._lib.espeak_SetParameter(parameter, value, 0)

    def _on_samples(self, address: int | None, count: int, events: "ctypes._Pointer") -> int:
        """Called by espeak-ng, on the thread that called `speak`; 1 tells it to stop."""
        try:
            if self._sink is None or address is None:  # espeak's last call carries no samples
                return 0
            pcm = np.frombuffer(ctypes.string_at(address, 2 * count), dtype=np.int16)
            return 0 if self._sink(pcm, _word_events(events, self._origin)) else 1
        except BaseException as error:  # ctypes would print it and speak on
            self._error = error
            return 1

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


@lru_cache(maxsize=1)
def open_library() -> Library:
    """The library of this process, opened on first use (about 2 ms). Raises EspeakMissing."""
    return Library()


def _as_pronounced(text: str) -> tuple[str, list[int]]:
    """The text as espeak must read it, and for each of its characters the index in `text`."""
    pieces: list[str] = []
    for index, char in enumerate(text):
        if char == "\0":  # would end the C string
            pieces.append(" ")
        elif char == "\u0c02" and _ANUSVARA_AS_M.match(text, index):
            pieces.append("మ్")
        else:
            pieces.append(char)
    return "".join(pieces), [i for i, piece in enumerate(pieces) for _ in piece]


def _word_events(events: "ctypes._Pointer", origin: list[int]) -> list[WordEvent]:
    words: list[WordEvent] = []
    index = 0
    while events[index].type != _EVENT_END_OF_LIST:
        event = events[index]
        char = event.text_position - 1  # espeak counts from 1
        if event.type == _EVENT_WORD and 0 <= char < len(origin):
            words.append(WordEvent(origin[char], event.sample))
        index += 1
    return words


_REMEDY = "install it with 'pip install maata[espeak]', or choose another TTS in the profile."


def _load() -> tuple[ctypes.CDLL, Path]:
    try:
        loader = importlib.import_module("espeakng_loader")
        return ctypes.CDLL(loader.get_library_path()), Path(loader.get_data_path())
    except (ImportError, OSError, RuntimeError) as error:
        reason = f"The espeak-ng synthesizer is not available ({error})"
        raise EspeakMissing(f"{reason}: {_REMEDY}") from error
