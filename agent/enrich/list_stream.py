"""Cuts the answers of the API server into JSON objects while they arrive, so that an answer is never held as a whole.

`Lines` cuts a watch, which has one event a line. `ListObjects` cuts a list, `{"metadata":{…},"items":[{…},{…}]}`, into
its items and the rest of it, the envelope. Both keep at most one object in memory. An object over LARGEST_OBJECT_BYTES
is skipped and counted, and the objects behind it are read. Pure; the bytes come in pieces of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agent.errors import KubernetesError

LARGEST_OBJECT_BYTES = 4 * 1024 * 1024
"""Longest pod that is decoded. etcd accepts objects up to 1.5 MiB by default; their JSON can be somewhat larger."""

LARGEST_ENVELOPE_BYTES = 256 * 1024
"""Longest envelope of a list. It holds the version and a continue token: less than 1 KiB."""

MOST_EMPTY_LINES = 10_000
"""Empty lines in a row before an answer counts as endless. The API server sends none."""

MOST_SKIPPED_BYTES = 64 * 1024 * 1024
"""Bytes of one oversized object that are skipped before the answer counts as endless."""

_OUTSIDE_STRINGS: Final = re.compile(rb'(?>[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""Everything up to the next bracket, complete strings included."""

_REST_OF_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)

_ITEMS_KEY: Final = re.compile(rb'"items"\s*:\s*\Z')


class Lines:
    """Cuts a stream of bytes into lines without their newlines. Empty lines are left out."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skipped_bytes = 0
        """Bytes of the current line that were dropped because the line is too long."""
        self._empty = 0
        """Empty lines since the last event."""
        self.oversized = 0
        """Lines that were skipped."""

    def feed(self, data: bytes) -> Iterator[bytes | bytearray]:
        """The lines that end in this piece. Raises KubernetesError for a line that does not end."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._append(data[start:end])
            start = end + 1
            line, self._line = self._line, bytearray()
            if self._skipped_bytes:
                self.oversized += 1
                self._skipped_bytes = 0
            elif line.strip():
                self._empty = 0
                yield line
            else:
                self._count_empty()
            # Otherwise this line would stay in memory while the next one arrives.
            del line
        self._append(data[start:])

    def _count_empty(self) -> None:
        self._empty += 1
        if self._empty > MOST_EMPTY_LINES:
            raise KubernetesError(f"the watch sent over {MOST_EMPTY_LINES} empty lines; expected events")

    def _append(self, data: bytes) -> None:
        if not self._skipped_bytes and len(self._line) + len(data) <= LARGEST_OBJECT_BYTES:
            self._line += data
            return
        self._skipped_bytes += len(self._line) + len(data)
        self._line = bytearray()
        if self._skipped_bytes > MOST_SKIPPED_BYTES:
            raise KubernetesError(f"the watch sent a line of over {MOST_SKIPPED_BYTES} bytes; expected an event")


class ListObjects:
    """Cuts one list into its items. After the last piece, `envelope` returns the list with `"items":[]`."""

    def __init__(self) -> None:
        self._data = bytearray()
        """Bytes that were not yet cut: the current item, or the current part of the envelope."""
        self._position = 0
        """Bytes of `_data` that were scanned."""
        self._in_string = False
        self._depth = 0
        self._items_depth = 0
        """Depth of the objects in `items`; 0 outside of `items`."""
        self._envelope = bytearray()
        self._skipped_bytes = 0
        self.oversized = 0
        """Items that were skipped."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The items that end in this piece. Raises KubernetesError when the answer cannot be a list of pods."""
        self._data += data
        while (bracket := self._next_bracket()) is not None:
            if bracket in b"{[":
                self._opened(bracket)
            elif (item := self._closed()) is not None:
                yield item
        self._drop_oversized()

    def envelope(self) -> bytes:
        """The list without its items. Raises KubernetesError when the list is incomplete."""
        if self._depth or self._in_string:
            raise KubernetesError("the list of pods is incomplete: the answer ended before the list did")
        return bytes(self._envelope + self._data)

    def _next_bracket(self) -> int | None:
        """Moves behind the next bracket outside of strings. None: it is not in the data yet."""
        data = self._data
        if self._in_string:
            self._position = self._string_end()
            if self._in_string:
                return None
        found = _OUTSIDE_STRINGS.match(data, self._position)
        self._position = found.end() if found else self._position
        if self._position == len(data):
            return None
        if data[self._position] == ord('"'):
            # The string continues in the next piece.
            self._in_string = True
            self._position = self._string_end(self._position + 1)
            return None
        self._position += 1
        return data[self._position - 1]

    def _string_end(self, start: int | None = None) -> int:
        """The position behind the current string if it ends in the data; otherwise the end of the data.

        A backslash at the end of the data is left for the next piece.
        """
        found = _REST_OF_STRING.match(self._data, self._position if start is None else start)
        end = found.end() if found else self._position
        if end < len(self._data) and self._data[end] == ord('"'):
            self._in_string = False
            return end + 1
        return end

    def _opened(self, bracket: int) -> None:
        self._depth += 1
        if self._items_depth and self._depth == self._items_depth:
            # Only commas and spaces are between two items.
            del self._data[: self._position - 1]
            self._position = 1
        elif bracket == ord("[") and self._depth == 2 and _ITEMS_KEY.search(self._data, 0, self._position - 1):
            self._keep_envelope(self._position)
            self._items_depth = 3

    def _closed(self) -> bytes | None:
        self._depth -= 1
        if self._depth < 0:
            raise KubernetesError("expected a list of pods, found a closing bracket that was not opened")
        if self._items_depth and self._depth == self._items_depth - 1:
            item = None if self._skipped_bytes else bytes(memoryview(self._data)[: self._position])
            self.oversized += item is None
            self._skipped_bytes = 0
            del self._data[: self._position]
            self._position = 0
            return item
        if self._items_depth and self._depth == self._items_depth - 2:
            # The end of `items`: what is before it are commas, spaces and values that are not objects.
            del self._data[: self._position - 1]
            self._position = 1
            self._items_depth = 0
        if not self._items_depth:
            self._keep_envelope(self._position)
        return None

    def _keep_envelope(self, end: int) -> None:
        self._envelope += self._data[:end]
        del self._data[:end]
        self._position = 0
        if len(self._envelope) > LARGEST_ENVELOPE_BYTES:
            raise KubernetesError(f"expected a list of pods, found {bytes(self._envelope[:80])!r}")

    def _drop_oversized(self) -> None:
        """Drops the scanned bytes of an item that is too long, and refuses an envelope that is too long."""
        if len(self._data) <= (LARGEST_OBJECT_BYTES if self._items_depth else LARGEST_ENVELOPE_BYTES):
            return
        if not self._items_depth:
            raise KubernetesError(f"expected a list of pods, found {bytes(self._data[:80])!r}")
        self._skipped_bytes += self._position
        del self._data[: self._position]
        self._position = 0
        if self._skipped_bytes > MOST_SKIPPED_BYTES:
            raise KubernetesError(f"the list has an item of over {MOST_SKIPPED_BYTES} bytes; expected a pod")
