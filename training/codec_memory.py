"""Keeps freed memory in the process: a training step frees and asks for the same large blocks.

By default glibc gives blocks over a few megabytes back to the kernel, which clears every page anew
when they are asked for again; that was more than half the time of the codec's steps.
"""

import ctypes
import sys

# Parameters of mallopt(3) and the largest threshold glibc accepts (half a heap, 32 MiB).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 32 << 20


def keep_freed_memory() -> bool:
    """True where the C library can be told (glibc); elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))
    done = [mallopt(name, value) for name, value in settings]  # each is worth having on its own
    return all(done)
