"""The time under which an event ships.

An alert states its own time, but its author can choose that time. The stamp of the runtime on the same line cannot be
chosen. So the alert's time counts only if it is within an hour of the stamp. A line without a stamp may be old, because
it waited in a file, but it cannot come from the future.

CloudWatch rejects events outside a window around now. An event outside it ships under the time of its delivery, unless
the configuration says otherwise. Whenever the time is not the alert's own, `falcowatch.time` in the event says so.
The alert's own time stays in its bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

HOUR_MS: Final = 3_600_000

DAY_MS: Final = 24 * HOUR_MS

MOST_DAYS: Final = 14
"""PutLogEvents reference, read 2026-11: not older than 14 days or than the group's retention …"""

MOST_AHEAD_MS: Final = 2 * HOUR_MS
"""… and not more than two hours ahead."""

MARGIN_MS: Final = 10 * 60_000
"""An event must still be inside the window when it is sent."""

NO_TIME: Final = "runtime: the alert has no valid time"

FAR_FROM_STAMP: Final = "runtime: the alert's time is more than an hour away"

FUTURE: Final = "delivery: the alert's time is in the future"

TOO_OLD: Final = "delivery: older than CloudWatch accepts"

TOO_NEW: Final = "delivery: further ahead than CloudWatch accepts"


class EventTime(NamedTuple):
    """The time of an event in milliseconds, and where it comes from if it is not the alert's own."""

    time_ms: int
    note: str = ""


class Window(Struct, frozen=True):
    """Which times CloudWatch accepts, as far as they are adjusted."""

    oldest_ms: int
    """How far before now; a time before that is adjusted."""
    ahead_ms: int

    @classmethod
    def of(cls, *, adjusts: bool, retention_days: int | None) -> Window:
        if not adjusts:
            return cls(1 << 62, 1 << 62)
        days = min(MOST_DAYS, retention_days or MOST_DAYS)
        return cls(days * DAY_MS - MARGIN_MS, MOST_AHEAD_MS - MARGIN_MS)

    def contains(self, first_ms: int, last_ms: int, now_ms: int) -> bool:
        """All times from the first to the last are inside the window."""
        return now_ms - self.oldest_ms <= first_ms and last_ms <= now_ms + self.ahead_ms

    def adjusted(self, time: EventTime, now_ms: int) -> EventTime:
        if time.time_ms < now_ms - self.oldest_ms:
            return EventTime(now_ms, TOO_OLD)
        if time.time_ms > now_ms + self.ahead_ms:
            return EventTime(now_ms, TOO_NEW)
        return time


def event_time(stated_ms: int | None, stamp_ms: int | None, now_ms: int) -> EventTime:
    """`stated_ms` is the alert's own time, `stamp_ms` that of the runtime; None if there is none."""
    if stated_ms is None:
        return EventTime(now_ms if stamp_ms is None else stamp_ms, NO_TIME)
    if stamp_ms is not None:
        near = abs(stated_ms - stamp_ms) <= HOUR_MS
        return EventTime(stated_ms) if near else EventTime(stamp_ms, FAR_FROM_STAMP)
    return EventTime(stated_ms) if stated_ms <= now_ms + HOUR_MS else EventTime(now_ms, FUTURE)
