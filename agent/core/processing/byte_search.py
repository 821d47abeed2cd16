"""Whether bytes contain a needle, answered by the C library's `memmem` where there is one.

The search is most of the cost of the urgent scan, and glibc searches faster than CPython.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _memmem() -> Callable[[bytes, bytes], bool] | None:
    try:
        search = ctypes.CDLL(None).memmem
    except (OSError, AttributeError):  # memmem is in glibc, musl and the BSDs, but not in the C or POSIX standard
        return None
    search.restype = ctypes.c_void_p
    search.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)

    def contains(window: bytes, needle: bytes) -> bool:
        return search(window, len(window), needle, len(needle)) is not None

    return contains


def _python_contains(window: bytes, needle: bytes) -> bool:
    return needle in window


contains: Callable[[bytes, bytes], bool] = _memmem() or _python_contains
