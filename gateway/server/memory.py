"""Keeping the memory of idle sessions small."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MAPPED_FROM = 260_000
"""Bytes: above what uvloop reads at once without TLS (256,000), below its buffer for a connection with it (256 KiB)."""
_KEPT = 4 * 1024 * 1024
"""Bytes that are kept for what is needed next."""


def return_large_buffers() -> bool:
    """Have glibc map large buffers separately, so that they go back to the system when they are freed; False elsewhere.

    uvloop keeps a read buffer of 256 KiB for each TLS connection. glibc's own threshold grows with the first such
    buffer that is freed, and later ones then come from the heap, where pages that were used once stay resident. Setting
    the threshold fixes it (mallopt(3)). What is read in bulk stays below it and some of the heap is kept: a fresh page
    costs more than to copy what goes into it.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mapped = bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM))
    kept = bool(mallopt(_M_TRIM_THRESHOLD, _KEPT))
    return mapped and kept


def set_aside_what_stays() -> None:
    """Take what start-up made out of the garbage collector's sight, once everything is put together.

    Modules, models and plugins are some 140,000 objects that live as long as the process. Each full collection would
    look at all of them, for 80 ms in which no statement moves, and analysing new statements brings one about every few
    hundred of them.
    """
    gc.collect()
    gc.freeze()
