"""How often what happens in a full-duplex dialogue: the chances, and nothing of how it is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """How often something happens: chances, each of the opportunities that it has.

    `Mix.plain()` is one question after another in a quiet room; evaluations raise one chance to 1.
    """

    # Both are what a model learns slowest, and what a caller minds most.
    pause: float = 0.45  # a question of three words or more
    interruption: float = 0.45  # an answer long enough
    overlap: float = 0.12  # the start of a question after an answer
    silence: float = 0.1  # the same
    late: float = 0.1  # an answer, or a stop, that lets itself be waited for
    agent_backchannel: float = 0.06  # a question long enough
    # An answer long enough. Two frames into the caller's voice nobody can tell it from an
    # interruption: the more there are, the later a model gives way.
    user_backchannel: float = 0.06
    stumble: float = 0.25  # a question: a slip of the tongue, a hesitation, a word left out
    nobody: float = 0.02  # a dialogue in which nobody calls, only noise
    greeting: float = 1.0  # a conversation that the composer opens (three in ten)
    noise: float = 0.3  # a dialogue with sounds that are no speech
    echo: float = 0.15  # a dialogue in which the agent is heard on the caller's side
    background: float = 0.6  # a dialogue with steady noise behind the caller
    room: float = 0.3  # a caller in a reverberant room
    telephone: float = 0.2  # a caller on a telephone's band
    loudness: float = 1.0  # a caller at any level; otherwise the agent's own

    @staticmethod
    def plain(**chances: float) -> "Mix":
        """Nothing ever happens except what `chances` say."""
        nothing: dict[str, float] = dict.fromkeys(Mix.__dataclass_fields__, 0.0)
        return Mix(**(nothing | chances))
