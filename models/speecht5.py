"""SpeechT5 speaking: clauses in, 16 kHz sound out while the decoder still runs.

Every utterance that is being spoken shares one decoder (`speecht5_decoder`); its frames become
sound piece by piece (`speecht5_pieces`), and its attention is watched (`speecht5_watch`). Single
threaded: whoever owns it calls `step` while there is work. Knows nothing of calls or transports.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from torch import Tensor

from models.speecht5_clauses import WORDS, pause, split
from models.speecht5_decoder import Decoder, Row
from models.speecht5_layout import SpeechT5Parts
from models.speecht5_mel import BANDS, HOP, SAMPLE_RATE
from models.speecht5_pieces import Pieces, Stretch, vocoder_reach
from models.speecht5_watch import Fault, Watch, step_limit

FIRST, FURTHER = 8, 24  # frames of the first piece and of the others: 128 and 384 ms
LONGEST_TEXT = 2_000  # characters of one utterance
_RETRY = 7_919  # added to the seed of a second attempt


class TextTooLong(ValueError):
    """More text than one utterance may hold; send it clause by clause."""


class PitchUnsupported(ValueError):
    """SpeechT5 has no setting for pitch; choose another voice, or espeak."""


@dataclass(frozen=True)
class Broken:
    """Why an utterance ended before its text did."""

    fault: Fault
    words: int  # of the text that were heard to their end


@dataclass(eq=False)
class _Clause:
    """The clause that an utterance is at."""

    ids: list[int]
    text: str
    watch: Watch
    row: Row | None
    voiced: "_Voicing"
    frames: list[Tensor] = field(default_factory=list)  # not yet given to the vocoder
    wanted: int = 0  # frames until the next piece
    given: int = 0  # frames whose sound has been handed out
    second: bool = False


class Utterance:
    """One text being spoken. `take` what has come, `close` to stop at once."""

    def __init__(self, clauses: list[str], speaker: Tensor, rate: float, seed: int) -> None:
        self.waiting = deque(clauses)
        self.speaker, self.rate, self.seed = speaker, rate, seed
        self.clause: _Clause | None = None
        self.broken: Broken | None = None
        self.retries = 0
        self.words = 0  # of the clauses that are done
        self._sound: list[np.ndarray] = []
        self._closed = False

    @property
    def over(self) -> bool:
        """Nothing more will come; what has come may still be taken."""
        done = self.clause is None and not self.waiting
        return self._closed or self.broken is not None or done

    def give(self, pcm: np.ndarray) -> None:
        """Adds int16 samples."""
        if len(pcm) and not self._closed:
            self._sound.append(pcm)

    def take(self) -> list[np.ndarray]:
        """int16 pieces since the last call."""
        sound, self._sound = self._sound, []
        return sound

    def close(self) -> None:
        """Wants no more; its row is free after the next step."""
        self._closed, self._sound = True, []


class SpeechT5:
    """A loaded voice."""

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        parts: SpeechT5Parts,
        *,
        rows: int = 8,
        steps: int = 512,
        words: int = WORDS,
        fixed: bool | None = None,
    ) -> None:
        """`rows` clauses are spoken at once, further utterances wait; of `words` words at most.

        `fixed` as the decoder takes it.
        """
        self._parts, self._words = parts, words
        decoding = parts.voices.decoding
        self._held = bool(decoding.ahead)
        self._decoder = Decoder(parts.acoustic, decoding, rows=rows, steps=steps, fixed=fixed)
        self._reach = vocoder_reach(parts.vocoder.config)
        self._utterances: list[Utterance] = []
        self._seeds = count(1)
        self.faults: dict[str, int] = {}  # how often each was seen
        self.steps = 0

    @property
    def speaking(self) -> int:
        """Utterances that are not over."""
        return len(self._utterances)

    @property
    def lookahead(self) -> int:
        """Frames that must be decoded behind a frame before it can be heard."""
        return self._decoder.postnet_reach + self._reach

    def open(
        self,
        text: str,
        voice: str,
        emotion: str = "neutral",
        *,
        rate: float = 1.0,
        pitch: float = 1.0,
        seed: int | None = None,
    ) -> Utterance:
        """Begins to speak a text; nothing is computed before `step`.

        Text without a word gives an utterance that is over. The same `seed` speaks the same.

        Raises:
            UnknownVoice: no such voice or emotion.
            PitchUnsupported: another pitch than the voice's own.
            TextTooLong: more than LONGEST_TEXT characters.
            ValueError: a rate outside 0.5..2.
        """
        if pitch != 1.0:
            raise PitchUnsupported("SpeechT5 cannot change its pitch: set cascade.tts.pitch = 1.0")
        if not 0.5 <= rate <= 2.0:
            raise ValueError(f"The rate must lie between 0.5 and 2, not {rate}.")
        if len(text) > LONGEST_TEXT:
            raise TextTooLong(f"{len(text)} characters: {LONGEST_TEXT} are possible at once")
        speaker = self._parts.voices.embedding(voice, emotion)
        utterance = Utterance(
            split(text, self._words), speaker, rate, next(self._seeds) if seed is None else seed
        )
        if not utterance.over:
            self._utterances.append(utterance)
        return utterance

    def step(self) -> bool:
        """One step of the decoder for all, and sound for those who are due; False without work."""
        self._begin_clauses()
        made = self._decoder.step()
        by_row = {id(u.clause.row): u for u in self._utterances if u.clause and u.clause.row}
        for row, frames in made:
            utterance = by_row[id(row)]
            clause = utterance.clause
            assert clause is not None
            clause.watch.step(frames.at, frames.stop)
            clause.frames.append(frames.frames)
            clause.wanted -= len(frames.frames)
            if clause.watch.fault or clause.watch.over:
                self._end(utterance, clause)
            elif clause.wanted <= 0:
                self._voice(utterance, clause, FURTHER)
        self.steps += 1
        self._forget()
        return bool(self._utterances)

    def stream(
        self, text: str, voice: str, emotion: str = "neutral", **how
    ) -> Iterator[np.ndarray]:
        """`open` and `step` until all is said: int16 pieces. Raises as `open`, SpeechBroken."""
        utterance = self.open(text, voice, emotion, **how)
        try:
            while True:
                yield from utterance.take()
                if utterance.over:
                    break
                self.step()
            yield from utterance.take()
            if utterance.broken:
                raise SpeechBroken(utterance.broken)
        finally:
            utterance.close()
            self._forget()

    def _begin_clauses(self) -> None:
        for utterance in self._utterances:
            if utterance.clause is None and utterance.waiting and self._decoder.free:
                utterance.clause = self._clause(utterance, utterance.waiting.popleft(), 0)

    def _clause(self, utterance: Utterance, text: str, further: int) -> _Clause:
        ids = self._parts.characters.encode(text)
        limit = min(step_limit(len(ids)), self._decoder.steps)
        row = self._decoder.join(ids, utterance.speaker, seed=utterance.seed + further, limit=limit)
        watch = Watch(len(ids), row.limit, self._held)
        voicing = _Voicing(self._parts, self._decoder, self._reach, utterance.rate)
        return _Clause(ids, text, watch, row, voicing, wanted=FIRST + self.lookahead)

    def _voice(
        self, utterance: Utterance, clause: _Clause, further: int, last: bool = False
    ) -> None:
        sound = clause.voiced.push(torch.cat(clause.frames), last=last)
        clause.frames, clause.wanted = [], further
        clause.given += len(sound)
        utterance.give(sound)

    def _end(self, utterance: Utterance, clause: _Clause) -> None:
        """The clause was spoken, or cannot be."""
        assert clause.row is not None
        self._decoder.leave(clause.row)
        clause.row = None
        fault = clause.watch.fault
        if not fault:
            self._voice(utterance, clause, 0, last=True)
            utterance.give(np.zeros(pause(clause.text), np.int16))
            utterance.words += len(clause.text.split())
            utterance.clause = None
            return
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if clause.given == 0 and not clause.second:  # nobody has heard it yet
            utterance.retries += 1
            utterance.clause = self._clause(utterance, clause.text, _RETRY)
            utterance.clause.second = True
        else:
            utterance.broken = Broken(fault, utterance.words + self._heard(utterance, clause))
            utterance.clause = None

    def _heard(self, utterance: Utterance, clause: _Clause) -> int:
        """Words of the clause whose sound has been handed out to its end."""
        steps = int(clause.given / HOP * utterance.rate) // self._decoder.reduction
        if not steps:
            return 0
        at = max(clause.watch.path[:steps])
        # ids begin with the first word's mark, so character n of the text is id n + 1
        return clause.text[: max(0, int(at) - 1)].count(" ")

    def _forget(self) -> None:
        """Frees the rows of who is over."""
        for utterance in [u for u in self._utterances if u.over]:
            if utterance.clause and utterance.clause.row:
                self._decoder.leave(utterance.clause.row)
            utterance.clause = None
            self._utterances.remove(utterance)


class SpeechBroken(RuntimeError):
    """The model lost its place in the text; `broken` says where."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(f"SpeechT5 lost its place ({broken.fault}) after {broken.words} words")
        self.broken = broken


class _Voicing:
    """Frames of one clause, before the postnet, to its sound."""

    def __init__(self, parts: SpeechT5Parts, decoder: Decoder, reach: int, rate: float) -> None:
        self._post = Pieces(decoder.postnet, decoder.postnet_reach)
        self._pace = Stretch(rate)
        self._sound = Pieces(parts.vocoder, reach, HOP)

    @torch.inference_mode()
    def push(self, frames: Tensor, *, last: bool) -> np.ndarray:
        """[n, BANDS] -> int16 samples."""
        frames = self._pace.push(self._post.push(frames, last=last), last=last)
        if not len(frames) and not last:
            return np.zeros(0, np.int16)
        sound = self._sound.push(frames.view(-1, BANDS), last=last)
        return (sound.cpu().numpy() * 32767.0).astype(np.int16)  # tanh keeps it inside
