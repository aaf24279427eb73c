"""Keeping the memory of idle sessions small."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_MMAP_THRESHOLD = -3
_THRESHOLD = 128 * 1024


def return_large_buffers() -> bool:
    """Have glibc map large buffers separately, so that they go back to the system when they are freed; False elsewhere.

    uvloop keeps a read buffer of 256 KiB for each TLS connection. glibc's own threshold grows with the first such
    buffer that is freed, and later ones then come from the heap, where pages that were used once stay resident. Setting
    the threshold fixes it (mallopt(3)).
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, _THRESHOLD) == 1


def set_aside_what_stays() -> None:
    """Take what start-up made out of the garbage collector's sight, once everything is put together.

    Modules, models and plugins are some 140,000 objects that live as long as the process. Each full collection would
    look at all of them, for 80 ms in which no statement moves, and analysing new statements brings one about every few
    hundred of them.
    """
    gc.collect()
    gc.freeze()
