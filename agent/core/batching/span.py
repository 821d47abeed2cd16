"""The events of one chunk in one lane, by columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import orjson

HELD_OVERHEAD_BYTES: Final = 300
"""What an event costs in memory beyond its text: three integers, two heads of bytes and the end of its id, six places
in lists (CPython 3.11)."""


class Settles(Protocol):
    """Whoever wants to know that records are done: a ledger's entry, or what an event of our own stands for."""

    def settle(self, records: int) -> None: ...


@dataclass(slots=True)
class Span:
    """The events of one chunk in one lane, by columns and in file order.

    A message is kept as it will stand in the request, escaped as the inside of a JSON string is, and in three pieces:
    so what thousands have in common is one object, and nothing is copied before the request's body is joined.
    """

    entry: Settles | None = None
    """Who is told that they are done."""
    own: str = ""
    """What kind of event of our own making this is, which is in no file and not in the books; empty: it is none."""
    file: str = ""
    read_at: float = 0.0
    """Seconds of the monotonic clock."""
    timestamps: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    """The first piece of each message: the record's own bytes."""
    appended: list[bytes] = field(default_factory=list)
    """The second: its pod, which many share."""
    ends: list[bytes] = field(default_factory=list)
    """The third: the end of its id and all that follows."""
    sizes: list[int] = field(default_factory=list)
    """UTF-8 bytes of each message, not escaped."""
    offsets: list[int] = field(default_factory=list)

    def append(self, time_ms: int, message: bytes, offset: int) -> None:
        """One event more; its message, which is UTF-8, in a single piece."""
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
        """Many events more, by columns."""
        self.timestamps += timestamps
        self.texts += texts
        self.appended += appended
        self.ends += ends
        self.sizes += sizes
        self.offsets += offsets

    def __len__(self) -> int:
        return len(self.timestamps)

    def message(self, at: int) -> str:
        """As CloudWatch will show it."""
        message: str = orjson.loads(b'"%b%b%b"' % (self.texts[at], self.appended[at], self.ends[at]))
        return message

    def conclusion(self, at: int) -> str:
        """The end of that message, as much of it as holds our id."""
        if not self.ends[at]:
            return self.message(at)
        conclusion: str = orjson.loads(b'"%b%b"' % (self.appended[at], self.ends[at]))
        return conclusion

    @property
    def messages(self) -> list[str]:
        return [self.message(at) for at in range(len(self))]

    @property
    def held_bytes(self) -> int:
        """What the span counts for in the budget."""
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
    """As it stands inside a JSON string."""
    return orjson.dumps(text)[1:-1]


def held_bytes(texts: Sequence[bytes]) -> int:
    """What events with these texts count for in the budget."""
    return sum(map(len, texts)) + HELD_OVERHEAD_BYTES * len(texts)
