"""Whether the joins between pieces of streamed speech can be heard: spectra across each of them.

Where two pieces do not fit, the waveform jumps or the spectrum changes at once, which both put
energy into the change between the windows on either side. The change at a join is ranked among
those at all other places of the same recording, so that no threshold in decibels is needed: joins
nobody could find are as often above the median as below it. Knows nothing of how sound is made.
"""

import numpy as np

WINDOW = 128  # samples at 16 kHz: 8 ms, so that a join fills it
STEP = 32  # samples between the other places
_FLOOR_DB = -70.0  # below the loudest window: differences of silences say nothing
_SILENCE_DB = -60.0  # of a window's strongest frequency: 90 dB under a sine at full scale
_CLEAR = WINDOW  # samples around a join that are no other place


def ranks(pcm: np.ndarray, joins: list[int]) -> list[float]:
    """For each join the share of other places whose change is smaller, 0..1.

    Args:
        pcm: float32 [T] at 16 kHz, one recording.
        joins: the first sample of each piece but the first.

    Joins nearer to an end than a window, or in silence on both sides, are left out.
    """
    inside = [j for j in joins if 2 * WINDOW <= j <= len(pcm) - 2 * WINDOW]
    places = np.arange(2 * WINDOW, len(pcm) - 2 * WINDOW, STEP)
    if not inside or not len(places):
        return []
    near = np.min(np.abs(places[:, None] - np.asarray(inside)[None]), axis=1)
    places = places[near > _CLEAR]
    loudest = _spectra(pcm, places).max() if len(places) else 0.0
    floor = max(loudest + _FLOOR_DB, _SILENCE_DB)
    audible = places[_level(pcm, places) > floor]
    heard = [j for j in inside if _level(pcm, np.array([j]))[0] > floor]
    if not heard or not len(audible):
        return []
    others = np.sort(_change(pcm, audible, floor))
    found = _change(pcm, np.asarray(heard), floor)
    return [round(float(np.searchsorted(others, x)) / len(others), 4) for x in found]


def _change(pcm: np.ndarray, places: np.ndarray, floor: float) -> np.ndarray:
    """How much the window across a place differs from those before and behind it, dB, [N].

    Of each frequency the excess over the louder neighbour counts: speech that swells or fades lies
    between its neighbours, a jump stands above both.
    """
    across = np.maximum(_spectra(pcm, places), floor)
    sides = [np.maximum(_spectra(pcm, places + shift), floor) for shift in (-WINDOW, WINDOW)]
    excess = across - np.maximum(*sides)
    return np.sqrt(np.mean(np.square(np.maximum(excess, 0.0)), axis=1))


def _spectra(pcm: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Decibels of the windows centred on the places, [N, bins]."""
    at = places[:, None] + np.arange(-WINDOW // 2, WINDOW // 2)[None]
    magnitude = np.abs(np.fft.rfft(pcm[at] * np.hanning(WINDOW), axis=1))
    return 20.0 * np.log10(np.maximum(magnitude, 1e-9))


def _level(pcm: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of the loudest frequency around each place, dB, [N]."""
    return _spectra(pcm, places).max(axis=1)
