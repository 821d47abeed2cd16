"""Settings of the allocator and of the garbage collector for a process that moves megabytes in and out all day."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MIB: Final = 1024 * 1024

OBJECTS_BETWEEN_COLLECTIONS: Final = 10_000
"""One batch alone makes thousands of objects, none of them in a cycle; with CPython's default of 700 the collector
would search for cycles all the time. Cycles come only with exceptions, and from the SDK's response parsers."""


def keep_freed_memory() -> None:
    """Makes glibc reuse the megabytes of one batch for the next one, instead of returning them to the kernel.

    Threads share one heap: the agent uses few, and each heap of its own would keep what its thread has freed.
    Does nothing where there is no mallopt (musl).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_mmap_threshold, m_trim_threshold, m_arena_max = -3, -1, -8  # malloc.h
        mallopt(m_mmap_threshold, 8 * MIB)
        mallopt(m_trim_threshold, 32 * MIB)
        mallopt(m_arena_max, 1)


@contextmanager
def collector_paused() -> Iterator[None]:
    """For importing modules: their objects live as long as the process, so searching them for garbage is wasted."""
    gc.disable()
    try:
        yield
    finally:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        gc.enable()
        exclude_living_objects()


def exclude_living_objects() -> None:
    """Makes the collector ignore every object that is alive now, for shorter collections from now on."""
    gc.freeze()


def return_memory_of_start() -> None:
    """Returns to the kernel what only the start needed: cyclic garbage and freed memory, 1 MB.

    Called once, soon after the first put, because it takes 30 ms.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # musl has none
        malloc_trim(0)
