"""Settings of the allocator and of the garbage collector for a process that moves megabytes in and out all day."""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

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
    """Returns to the kernel what only the start needed. Called once, soon after the first put, for it takes 30 ms.

    Cyclic garbage and freed memory are 1 MB. The pages of shared libraries that the start has read, and nobody reads
    again, are 16 MB of the resident memory (Python 3.13, 2026-11).
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:  # musl has none
        malloc_trim(0)
    _unmap_library_pages()


class _Segment(ctypes.Structure):
    """Elf64_Phdr of elf.h: a part of a library that is mapped into memory."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical_address", ctypes.c_uint64),
        ("bytes_in_file", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    )


class _Library(ctypes.Structure):
    """dl_phdr_info of link.h, as far as it is used."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("segments", ctypes.POINTER(_Segment)),
        ("segment_count", ctypes.c_uint16),
    )


_Visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Library), ctypes.c_size_t, ctypes.c_void_p)


def _unmap_library_pages() -> None:
    """Unmaps the pages of code and constants of all libraries. The next use of a page maps it again, from the cache.

    Segments that are not writable have the content of their file, so nothing is lost. While `dl_iterate_phdr` runs, no
    other thread can load a library. Does nothing where it does not exist (macOS).
    """
    libc = ctypes.CDLL(None)
    loaded, writable = 1, 2  # elf.h: PT_LOAD, PF_W

    def unmap(found: Any, _size: int, _data: object) -> int:
        library = found.contents
        if library.name.startswith(b"/"):  # the kernel's own library has no path
            for segment in library.segments[: library.segment_count]:
                if segment.type == loaded and not segment.flags & writable:
                    start = (library.base + segment.address) // mmap.PAGESIZE * mmap.PAGESIZE
                    end = (library.base + segment.address + segment.bytes) // mmap.PAGESIZE * mmap.PAGESIZE
                    libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
        return 0

    if hasattr(libc, "dl_iterate_phdr") and ctypes.sizeof(ctypes.c_void_p) == 8:
        libc.dl_iterate_phdr(_Visitor(unmap), None)
