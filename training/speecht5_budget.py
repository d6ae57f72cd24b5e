"""What a run will take, from three timed steps: parameters, memory, hours.

Knows nothing of what is trained beyond its batches and its step.
"""

import resource
import time

import torch

from training.speecht5_batches import Batch
from training.speecht5_run import Run
from training.speecht5_vocoder import VocoderRun

STEPS = 3  # timed, of the longest kind; one more goes before them


def estimate(run: Run | VocoderRun) -> str:
    """Takes a few steps of a fresh run, and says what all of them will take.

    The run is of no more use afterwards.
    """
    # The last batches are of full length: clauses of all lengths have come in by then.
    first = max(0, run.chosen.steps - 1 - STEPS)
    if run.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    times = []
    for batch in run.batches(first, first + 1 + STEPS):
        started = time.monotonic()
        if isinstance(run, Run):
            assert isinstance(batch, Batch)
            run.one_step(batch.to(run.device))
        else:
            mel, sound = batch
            run.one_step(mel.to(run.device), sound.to(run.device))
        if run.device != "cpu":
            torch.cuda.synchronize()
        times.append(time.monotonic() - started)
    a_step = sum(times[1:]) / max(1, len(times) - 1)
    count = sum(p.numel() for p in run.network.parameters())
    return (
        f"{count / 1e6:.2f} M parameters, {run.chosen.steps} steps of {a_step:.2f} s on "
        f"{run.device}: {a_step * run.chosen.steps / 3600:.1f} h, "
        f"{_memory(run.device) / 2**30:.1f} GiB"
    )


def _memory(device: str) -> int:
    """Most bytes that were in use: of the card, or of this process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
