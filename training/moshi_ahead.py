"""Processes that encode shards before they are heard, in the order in which they are heard.

espeak-ng speaks one text at a time in a process and encoding follows at once, so every process does
both, with a codec of its own. On a GPU they share the device with the training. Knows nothing of
epochs.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence

import torch

from training.codec_memory import keep_freed_memory
from training.moshi_codes import Shard
from training.utterances import Progress

_LOOK_EVERY = 0.1  # seconds, for a shard that is still missing


class Ahead:
    """Encodes in the background, from the moment it is made until it is closed."""

    def __init__(self, shards: Sequence[Shard] = (), processes: int = 0) -> None:
        """Those of `shards` that are there already cost nothing; without processes nobody works."""
        missing = [shard for shard in shards if not shard.done]
        # Children start fresh: a forked one would inherit the threads' locks of the trainer.
        context = multiprocessing.get_context("spawn")
        self._processes = [
            context.Process(target=_work, args=(missing[first::processes],), daemon=True)
            for first in range(min(processes, len(missing)))
        ]
        for process in self._processes:
            process.start()

    @property
    def working(self) -> bool:
        return any(process.is_alive() for process in self._processes)

    @property
    def failed(self) -> bool:
        """Whether one of them ended by an error: its shards are then nobody's."""
        return any(process.exitcode for process in self._processes)

    def wait(
        self,
        shards: Sequence[Shard],
        progress: Progress | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Returns once all of `shards` are there, or somebody is missing who would make them."""
        missing = [shard for shard in shards if not shard.done]
        wanted = sum(len(shard.numbers) for shard in missing)
        while missing and self.working and not self.failed:
            sleep(_LOOK_EVERY)
            found = len(missing)
            missing = [shard for shard in missing if not shard.done]
            if progress and len(missing) < found:
                progress(wanted - sum(len(shard.numbers) for shard in missing), wanted)

    def close(self) -> None:
        """Ends it; whole shards stay."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


def _work(shards: Sequence[Shard]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the trainer, which ends this
    os.nice(5)  # training comes first
    torch.set_num_threads(1)
    keep_freed_memory()
    for shard in shards:
        if not shard.done:
            shard.make()
