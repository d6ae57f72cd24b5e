"""The times of a full-duplex dialogue: gaps, pauses, overlaps, and how fast a speaker gives way.

Between people the offset of an answer has its mode near 200 ms, in ten languages (Stivers et al.,
PNAS 106, 2009; Levinson and Torreira, Frontiers in Psychology 6:731, 2015), and is skewed to the
right, hence log-normal gaps; a part of the turns begins before the other has ended (Heldner and
Edlund, J. Phonetics 38, 2010). Knows nothing of what is said.
"""

import math
import random
from dataclasses import dataclass

from training.duplex_timeline import RATE

MS = RATE // 1000  # samples

# Milliseconds, uniform.
LEAD = (200, 1_200)  # before the first word
PAUSE = (500, 1_200)  # inside the caller's sentence
SILENCE = (2_000, 4_000)
# Before a late answer. Were all answers prompt, a silence of a second could only be a pause inside
# the caller's sentence, and a model that was not sure in time would never answer. No time is left
# out between these and the prompt ones: a model waits as long as it has learnt that one waits.
LATE = (400, 900)
OVERLAP = (80, 350)  # how much of an answer is still to come when the caller begins
# From the first word of an interruption to the agent's last sample, wherever in a word that is. In
# a call what a model says is heard two frames (160 ms) later than here: it hears a frame when it is
# over, and its acoustic codes come one after the first. Were every stop prompt, whoever is still
# spoken to after the longest could only be acknowledged, and would go on to the end.
STOPPING = (80, 160)
LATE_STOPPING = (160, 700)
ACKNOWLEDGED = 600  # an acknowledgement comes so far from either end of what it answers
TAIL = 400  # the least silence behind the last word: it is heard that the agent has ended


@dataclass(frozen=True)
class Gap:
    """A log-normal silence between two turns, in milliseconds, cut off at both ends."""

    median: float
    sigma: float
    shortest: float
    longest: float

    def draw(self, rng: random.Random) -> int:
        """Samples."""
        drawn = rng.lognormvariate(math.log(self.median), self.sigma)
        return round(min(max(drawn, self.shortest), self.longest) * MS)


# The agent answers as people do, though never before the caller has ended; 90 % of its gaps lie
# between 140 and 430 ms. Callers take a little longer, since they must think of what to ask.
ANSWER = Gap(median=245, sigma=0.34, shortest=100, longest=600)
TAKE_UP = Gap(median=420, sigma=0.6, shortest=100, longest=2_000)


def uniform(span: tuple[int, int], rng: random.Random) -> int:
    """Samples, from milliseconds."""
    return rng.randint(span[0] * MS, span[1] * MS)
