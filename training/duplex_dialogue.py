"""Full-duplex training dialogues made from text: number in, two channels of sound and words out.

A dialogue is a function of the source's settings and its number alone, whoever asks and in whatever
order: its text, voices, times and noises are drawn from a generator seeded with both, and espeak
starts afresh for each (its samples otherwise depend on what it said before). This holds to the bit
on one machine with one espeak build, unless another thread makes the same process speak meanwhile.
The conversations are those of the starter language model, without its clock: nobody tells a speech
model the time. Knows nothing of codecs or tokens.
"""

import hashlib
import multiprocessing
import random
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.pool import AsyncResult

import numpy as np

from models.voices import EMOTIONS, VOICES
from training.dialogues import Composer, Conversation, Split, user_utterances
from training.duplex_mix import Mix
from training.duplex_script import Script, lay_out, nobody
from training.duplex_sound import agent_channel, draw_line, place_bursts, user_channel
from training.duplex_speech import Speakers, draw_speakers, start_afresh
from training.duplex_timeline import FRAME, RATE, Event, Exchange, SpokenDialogue, Word

__all__ = ["FRAME", "RATE", "DialogueSource", "Event", "Exchange", "Mix", "SpokenDialogue", "Word"]

SHORTEST = 10 * RATE  # samples in which any question with its answer has room
_TRIES = 100
_AHEAD = 4  # dialogues waiting per process, about 3 MB each


@dataclass(frozen=True)
class DialogueSource:
    """Dialogues by number.

    Args:
        seed: another seed gives other dialogues.
        longest: samples that a dialogue may have at most, whole frames; four fifths on average.
        wordings: whose paraphrases the callers use; no held-out one is ever trained on.
        callers: whose voices they have.
        mix: how often what happens.
        turns: exchanges of a dialogue at most.
        voices: of the agent, equally often.
        emotions: of the agent, equally often.
    """

    seed: int
    longest: int = 30 * RATE
    wordings: Split = "train"
    callers: Split = "train"
    mix: Mix = field(default_factory=Mix)
    turns: int = 10
    voices: tuple[str, ...] = tuple(voice.id for voice in VOICES)
    emotions: tuple[str, ...] = EMOTIONS

    def __post_init__(self) -> None:
        if self.longest % FRAME or self.longest < SHORTEST:
            raise ValueError(
                f"The longest dialogue must have whole frames of {FRAME} samples and at least "
                f"{SHORTEST} samples, not {self.longest}."
            )

    def dialogue(self, number: int) -> SpokenDialogue:
        """Dialogue `number`, at most `longest` samples. Raises EspeakMissing, EspeakFailed."""
        digest = hashlib.sha256(f"duplex dialogue {self.seed} {number}".encode()).digest()
        rng = random.Random(digest)
        speakers = draw_speakers(rng, self.callers, self.voices, self.emotions)
        start_afresh()
        script = self._script(speakers, rng)
        bursts = place_bursts(script, self.mix, rng)
        line = draw_line(self.mix, rng)
        if line.echo and script.agent:
            script.mark("echo", script.agent[0].start, script.agent[-1].end)
        agent = agent_channel(script, speakers.emphasis_db)
        sound = np.random.default_rng(np.frombuffer(digest, np.uint32))
        return SpokenDialogue(
            agent=agent,
            user=user_channel(script, line, bursts, agent, sound),
            agent_words=tuple(word for placed in script.agent for word in placed.words),
            user_words=tuple(word for placed in script.user for word in placed.words),
            voice=speakers.voice,
            emotion=speakers.emotion,
            exchanges=tuple(script.exchanges),
            events=tuple(sorted(script.events, key=lambda event: event.start)),
            caller=speakers.caller.variant,
        )

    def spoken(self, numbers: Iterable[int], processes: int = 2) -> Iterator[SpokenDialogue]:
        """The dialogues of `numbers`, in order, made ahead by several processes.

        espeak-ng speaks one text at a time in a process, hence processes. `numbers` may be endless.
        """
        if processes < 2:
            yield from map(self.dialogue, numbers)
            return
        # Children start fresh: a forked one would inherit the threads' locks of the trainer.
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, initializer=_leave_interrupts_to_the_parent) as pool:
            waiting: deque[AsyncResult[SpokenDialogue]] = deque()
            for number in numbers:
                waiting.append(pool.apply_async(self.dialogue, (number,)))
                if len(waiting) >= _AHEAD * processes:
                    yield waiting.popleft().get()
            while waiting:
                yield waiting.popleft().get()

    def _script(self, speakers: Speakers, rng: random.Random) -> Script:
        if rng.random() < self.mix.nobody:
            return nobody(self.longest, rng)
        for _ in range(_TRIES):
            script = lay_out(self._talk(rng), speakers, self.mix, self.longest, rng)
            if script.exchanges:
                return script
        raise RuntimeError(f"No conversation of {_TRIES} fits into {self.longest} samples.")

    def _talk(self, rng: random.Random) -> Conversation:
        """A conversation that nobody overheard in training, if it is to be held out."""
        composer = Composer(
            rng.getrandbits(64),
            self.wordings,
            noise=0.0,
            stumbles=self.mix.stumble,
            prompted=0.0,
        )
        talk = composer.conversation(self.turns)
        if self.wordings == "held_out":
            while any(turn.user in _trained() for turn in talk.turns):
                talk = composer.conversation(self.turns)
        return talk


@lru_cache(maxsize=1)
def _trained() -> frozenset[str]:
    """What training may have heard: some held-out templates make a sentence of another's too."""
    return frozenset(user_utterances("train"))


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
