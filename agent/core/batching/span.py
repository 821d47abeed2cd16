"""The events of one chunk in one lane, as columns.

A message is kept as it will stand in the request: escaped like the inside of a JSON string, and in three pieces.
Events of one pod share the same object for their second piece, and nothing is copied before the body is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

HELD_OVERHEAD_BYTES: Final = 300
"""The memory of an event beyond its first piece: three integers, the third piece, the heads of two bytes objects, and
six places in lists (CPython 3.11)."""


class Settles(Protocol):
    """The owner of records, who must learn that they are settled: an entry of a ledger, for example."""

    def settle(self, records: int) -> None: ...


@runtime_checkable
class KeepsRejected(Settles, Protocol):
    """The owner of one of the agent's own events that must arrive: if it is rejected, the owner sends it again."""

    def note_rejected(self) -> None: ...


class Span(Struct):
    """Events in the order of their file."""

    entry: Settles | None = None
    """The owner of the records; None if nobody waits for them."""
    own: str = ""
    """The kind of the agent's own event, which is in no file and in no record count; empty for records of files."""
    file: str = ""
    read_at: float = 0.0
    """When the records were read, in seconds of the monotonic clock."""
    redated: bool = False
    """CloudWatch rejected the first times of these events; `timestamps` holds the time of their delivery."""
    timestamps: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    """The first piece of each message: the record's own bytes."""
    appended: list[bytes] = field(default_factory=list)
    """The second piece: the pod, and the beginning of the id."""
    ends: list[bytes] = field(default_factory=list)
    """The third piece: the offset in the id, and everything behind it."""
    sizes: list[int] = field(default_factory=list)
    """The UTF-8 bytes of each message, without escapes."""
    offsets: list[int] = field(default_factory=list)

    def append(self, time_ms: int, message: bytes, offset: int) -> None:
        """Adds one event. Its message, which is UTF-8, becomes the first piece."""
        self.timestamps.append(time_ms)
        self.texts.append(escaped(message.decode()))
        self.appended.append(b"")
        self.ends.append(b"")
        self.sizes.append(len(message))
        self.offsets.append(offset)

    def extend(
        self,
        timestamps: Iterable[int],
        texts: Iterable[bytes],
        appended: Iterable[bytes],
        ends: Iterable[bytes],
        sizes: Iterable[int],
        offsets: Iterable[int],
    ) -> None:
        """Adds many events, as columns."""
        self.timestamps += timestamps
        self.texts += texts
        self.appended += appended
        self.ends += ends
        self.sizes += sizes
        self.offsets += offsets

    def selected(self, positions: Sequence[int]) -> Span:
        """Some of the events, as a span of their own."""
        return replace(
            self,
            timestamps=[self.timestamps[at] for at in positions],
            texts=[self.texts[at] for at in positions],
            appended=[self.appended[at] for at in positions],
            ends=[self.ends[at] for at in positions],
            sizes=[self.sizes[at] for at in positions],
            offsets=[self.offsets[at] for at in positions],
        )

    def __len__(self) -> int:
        return len(self.timestamps)

    def message(self, at: int) -> str:
        """The message as CloudWatch will show it."""
        message: str = orjson.loads(b'"%b%b%b"' % (self.texts[at], self.appended[at], self.ends[at]))
        return message

    def conclusion(self, at: int) -> str:
        """The end of the message, at least from the agent's id on."""
        if not self.ends[at]:
            return self.message(at)
        conclusion: str = orjson.loads(b'"%b%b"' % (self.appended[at], self.ends[at]))
        return conclusion

    @property
    def messages(self) -> list[str]:
        return [self.message(at) for at in range(len(self))]

    @property
    def held_bytes(self) -> int:
        """How much of the memory budget the span holds."""
        return held_bytes(self.texts)

    def put_in_file_order(self) -> None:
        if self.offsets == sorted(self.offsets):
            return
        order = sorted(range(len(self)), key=self.offsets.__getitem__)
        for numbers in (self.timestamps, self.sizes, self.offsets):
            numbers[:] = [numbers[at] for at in order]
        for pieces in (self.texts, self.appended, self.ends):
            pieces[:] = [pieces[at] for at in order]


def escaped(text: str) -> bytes:
    """The text as it stands inside a JSON string."""
    return orjson.dumps(text)[1:-1]


def held_bytes(texts: Sequence[bytes]) -> int:
    """How much of the memory budget events with these first pieces hold."""
    return sum(map(len, texts)) + HELD_OVERHEAD_BYTES * len(texts)
