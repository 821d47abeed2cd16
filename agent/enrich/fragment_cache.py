"""A cache of fragments that is bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from agent.core.values import Fragment

MOST_ENTRIES = 2048
"""Several containers of each of 500 pods."""

LARGEST_CACHE_BYTES = 4 * 1024 * 1024
"""Bytes of all keys and fragments together: 2048 fragments of a usual size (1 KiB, plain and escaped)."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class FragmentCache(Generic[K, V]):
    """When the cache is full, it is emptied: filling it again costs less than bookkeeping for each lookup."""

    def __init__(self) -> None:
        self._entries: dict[K, V] = {}
        self._bytes = 0
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, fragment: Fragment, key_bytes: int) -> None:
        """Stores a value that holds this fragment. A value that alone would fill the cache is not stored."""
        cost = key_bytes + len(fragment.plain) + len(fragment.escaped)
        if cost > LARGEST_CACHE_BYTES // 16:
            return
        if len(self._entries) >= MOST_ENTRIES or self._bytes + cost > LARGEST_CACHE_BYTES:
            self.clear()
        self._entries[key] = value
        self._bytes += cost

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
