"""Which share of the budget the lanes may take, so that a lane that is stuck does not keep the others. Pure.

Two ways of reading share the budget. Ordinary reading takes every record in the order of the file. The urgent scan goes
ahead and takes urgent records only; a part of the budget is reserved for it. When the routine lane is stuck, ordinary
reading stops, and the urgent scan must go on without it. When the urgent lane is stuck, the urgent scan must not fill
the budget with records that cannot be sent, because ordinary reading could not go on.

Ordinary reading takes records of every stream, too. When one stream accepts nothing for hours and others accept, the
records of that one are spilled: they leave memory for the disk, and reading goes on for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

STUCK_SECONDS: Final = 0.1
"""Ordinary reading that has waited for the budget for so long counts as stuck. Usually it waits for a few milliseconds,
also when a backlog is read at full speed."""

SCAN_SHARE: Final = 4
"""The urgent scan stops while the urgent lane holds one quarter of the budget."""


def must_scan_ahead(unread_bytes: int, backlog_bytes: int, waiting_seconds: float) -> bool:
    """Whether urgent records must be searched ahead of ordinary reading.

    `backlog_bytes` is the length of a backlog from which on this is worthwhile. `waiting_seconds`: for how long
    ordinary reading has waited for the budget without getting any.
    """
    return unread_bytes > backlog_bytes or (unread_bytes > 0 and waiting_seconds >= STUCK_SECONDS)


def may_scan_ahead(urgent_bytes: int, limit_bytes: int) -> bool:
    """Whether the urgent scan may take more, when the urgent lane holds so much of the budget."""
    return urgent_bytes < limit_bytes // SCAN_SHARE


SILENT_SECONDS: Final = 2.0
"""A stream that has accepted nothing for so long, while records waited, is taken for one that accepts nothing."""

SPILL_SHARE: Final = 4
"""The records of a stream are spilled when they hold one quarter of the budget."""

ASK_SECONDS: Final = 10.0
"""Between two control events to a stream that has nothing to send, while another one is stuck."""

KEPT_SHARE: Final = 8
"""Spilling and loading both end when the records of the stream in memory hold one eighth of the budget."""


class StreamLoad(Struct, frozen=True):
    """What one stream holds, and when it last moved, in seconds of the monotonic clock."""

    held_bytes: int
    """Bytes of the budget."""
    oldest_read_at: float | None
    """When the oldest of its records in memory was read; None: there is none."""
    last_accepted_at: float
    """When CloudWatch last accepted an event; minus infinity: never."""

    def accepts(self, now: float) -> bool:
        """CloudWatch has accepted events of this stream lately, or it has nothing to send."""
        return self.oldest_read_at is None or now - self._moved_at < SILENT_SECONDS

    def has_accepted_since(self, other: StreamLoad) -> bool:
        """CloudWatch has accepted events of this stream since the other one last moved."""
        return self.last_accepted_at > other._moved_at

    @property
    def _moved_at(self) -> float:
        return max(self.oldest_read_at or 0.0, self.last_accepted_at)


def bytes_to_spill(stream: StreamLoad, others: Sequence[StreamLoad], limit_bytes: int, now: float) -> int:
    """How many bytes of this stream must leave memory, so that reading can go on for the others.

    In an outage of CloudWatch no stream accepts anything, and the records stay in the log files. So another stream must
    have accepted something since this one last moved.
    """
    if not _is_stuck(stream, limit_bytes, now) or not _is_alone(stream, others, now):
        return 0
    return stream.held_bytes - limit_bytes // KEPT_SHARE


def must_ask(streams: Sequence[StreamLoad], limit_bytes: int, now: float) -> bool:
    """Whether a stream would be spilled if another one had accepted something. A stream that is idle can be asked."""
    return any(_is_stuck(stream, limit_bytes, now) and not _is_alone(stream, streams, now) for stream in streams)


def bytes_to_load(stream: StreamLoad, limit_bytes: int, now: float) -> int:
    """How many bytes of this stream may come back to memory."""
    return max(0, limit_bytes // KEPT_SHARE - stream.held_bytes) if stream.accepts(now) else 0


def _is_stuck(stream: StreamLoad, limit_bytes: int, now: float) -> bool:
    """The stream holds its share of memory, and CloudWatch accepts nothing of it."""
    return stream.held_bytes >= limit_bytes // SPILL_SHARE and not stream.accepts(now)


def _is_alone(stuck: StreamLoad, others: Sequence[StreamLoad], now: float) -> bool:
    """Another stream shows that CloudWatch answers."""
    return any(other.accepts(now) and other.has_accepted_since(stuck) for other in others)
