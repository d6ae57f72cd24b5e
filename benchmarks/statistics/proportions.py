"""A share of n trials with its interval.

Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927:
the score interval, which stays inside 0..1 and means something at 0 and n successes too.
"""

import math

Z = 1.959963984540054  # the central 95 % of a normal distribution


def wilson(successes: int, n: int) -> tuple[float | None, float | None, float | None]:
    """The share `successes / n` and its 95 % limits, all fractions; three None where n is 0.

    Raises:
        ValueError: a count that is negative, or more successes than trials.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    if n == 0:
        return None, None, None
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return share, low, high
