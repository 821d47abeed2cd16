"""Which share of the budget the lanes may take, so that a lane that is stuck does not hold back the others. Pure.

Two ways of reading share the budget. Ordinary reading takes every record in the order of the file. The urgent scan goes
ahead and takes urgent records only; a part of the budget is reserved for it. When the routine lane is stuck, ordinary
reading stops, and the urgent scan must go on without it. When the urgent lane is stuck, the urgent scan must not fill
the budget with records that cannot be sent, because ordinary reading could not go on.

Ordinary reading takes records of every stream. When one stream is stuck and another one accepts events, the records of
the stuck stream are spilled: they leave memory for the disk, and reading goes on for the other streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

READING_WAITS_SECONDS: Final = 0.1
"""After waiting for the budget so long, ordinary reading counts as stuck. Usually ordinary reading waits a few
milliseconds, even at full speed."""

SCAN_DIVISOR: Final = 4
"""The urgent scan stops while the urgent lane holds the budget divided by this."""


def must_scan_ahead(unread_bytes: int, most_unread_bytes: int, waiting_seconds: float) -> bool:
    """Whether urgent records must be searched ahead of ordinary reading.

    `most_unread_bytes`: with more unread bytes than this, the search is worthwhile. `waiting_seconds`: for how long
    ordinary reading has waited for the budget without getting any.
    """
    return unread_bytes > most_unread_bytes or (unread_bytes > 0 and waiting_seconds >= READING_WAITS_SECONDS)


def may_scan_ahead(urgent_bytes: int, limit_bytes: int) -> bool:
    """Whether the urgent scan may take more, when the urgent lane holds so much of the budget."""
    return urgent_bytes < limit_bytes // SCAN_DIVISOR


SILENT_SECONDS: Final = 2.0
"""After this time without an acceptance, while records wait, a stream counts as silent."""

SPILL_DIVISOR: Final = 4
"""A silent stream is stuck when its records hold the budget divided by this. Its records are spilled when another
stream accepts events."""

ASK_SECONDS: Final = 10.0
"""Between two control events to a stream that has nothing to send, while another one is stuck."""

KEPT_DIVISOR: Final = 8
"""Spilling and loading aim at this amount of records of the stream in memory: the budget divided by this. Whole spans
leave, and whole blocks come back, so the amount may be somewhat smaller or larger."""


class StreamLoad(Struct, frozen=True):
    """What one stream holds, when it was read, and when it was last accepted, in seconds of the monotonic clock."""

    held_bytes: int
    """Bytes of the budget."""
    oldest_read_at: float | None
    """When the oldest of its records in memory was read; None: there is none."""
    last_accepted_at: float
    """When CloudWatch last accepted an event; minus infinity: never."""

    def is_silent(self, now: float) -> bool:
        """Records have waited for SILENT_SECONDS, and CloudWatch has accepted no event of this stream meanwhile."""
        return self.oldest_read_at is not None and now - self._waits_since >= SILENT_SECONDS

    def has_accepted_since(self, other: StreamLoad) -> bool:
        """CloudWatch has accepted events of this stream since the other one began to wait."""
        return self.last_accepted_at > other._waits_since

    @property
    def _waits_since(self) -> float:
        """Since when records have waited without an acceptance."""
        return max(self.oldest_read_at or 0.0, self.last_accepted_at)


def bytes_to_spill(stream: StreamLoad, others: Sequence[StreamLoad], limit_bytes: int, now: float) -> int:
    """How many bytes of this stream must leave memory, so that reading can go on for the others.

    In an outage of CloudWatch no stream accepts anything, and the records stay in the log files. So another stream must
    have accepted an event since this one began to wait.
    """
    if not _is_stuck(stream, limit_bytes, now) or not _another_accepts(stream, others, now):
        return 0
    return stream.held_bytes - limit_bytes // KEPT_DIVISOR


def must_ask(streams: Sequence[StreamLoad], limit_bytes: int, now: float) -> bool:
    """Whether a stream would be spilled if another one had accepted an event.

    If so, the spiller asks the idle streams.
    """
    return any(_is_stuck(stream, limit_bytes, now) and not _another_accepts(stream, streams, now) for stream in streams)


def bytes_to_load(stream: StreamLoad, limit_bytes: int, now: float) -> int:
    """How many bytes of this stream may come back to memory."""
    return 0 if stream.is_silent(now) else max(0, limit_bytes // KEPT_DIVISOR - stream.held_bytes)


def _is_stuck(stream: StreamLoad, limit_bytes: int, now: float) -> bool:
    """The stream holds its share of memory, and CloudWatch accepts nothing of it."""
    return stream.held_bytes >= limit_bytes // SPILL_DIVISOR and stream.is_silent(now)


def _another_accepts(stuck: StreamLoad, others: Sequence[StreamLoad], now: float) -> bool:
    """Another stream shows that CloudWatch answers."""
    return any(not other.is_silent(now) and other.has_accepted_since(stuck) for other in others)
