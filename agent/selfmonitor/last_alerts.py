"""Remembers the last alerts that were read, for the status page: rule, priority, pod and time of the event.

They are decoded when the page is asked for, because a flood reads many alerts between two views.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from agent.core.processing.alert import Alert, NotAnAlert, decode_alert
from agent.core.processing.timestamps import TimestampParser

MOST_ALERTS: Final = 10
LONGEST_KEPT_BYTES: Final = 16 * 1024
"""A longer record is not shown. Most alerts have about 1 KB."""

LONGEST_SHOWN: Final = 253
"""Characters of a rule or a pod."""


class LastAlert(NamedTuple):
    priority: str
    rule: str
    time: float
    """The time of the alert, in seconds since 1970; if the alert states none, the time at which it was read."""
    pod: str
    """`namespace/pod`; empty: the alert names no pod."""


class LastAlerts:
    def __init__(self) -> None:
        self._noted: deque[tuple[Sequence[bytes], float]] = deque(maxlen=MOST_ALERTS)
        """The last records of a chunk, and when they were read."""

    def __iter__(self) -> Iterator[LastAlert]:
        """The newest first."""
        timestamps = TimestampParser()
        records = ((payload, read_at) for payloads, read_at in reversed(self._noted) for payload in reversed(payloads))
        return islice(filter(None, (_shown(payload, read_at, timestamps) for payload, read_at in records)), MOST_ALERTS)

    def note(self, payloads: Sequence[bytes]) -> None:
        """Takes the last records of a chunk."""
        last = [payload for payload in payloads[-MOST_ALERTS:] if len(payload) <= LONGEST_KEPT_BYTES]
        if last:
            self._noted.append((last, time.time()))


def _shown(payload: bytes, read_at: float, timestamps: TimestampParser) -> LastAlert | None:
    """None for a record that is not an alert."""
    try:
        alert = decode_alert(payload)
    except (NotAnAlert, ValueError, RecursionError):
        return None
    time_ms = timestamps.parse(alert.time)
    at = read_at if time_ms is None else time_ms / 1000
    return LastAlert(alert.priority[:LONGEST_SHOWN], alert.rule[:LONGEST_SHOWN], at, _pod_of(alert))


def _pod_of(alert: Alert) -> str:
    if alert.output_fields is None:
        return ""
    key = alert.output_fields.key()
    return f"{key.namespace}/{key.name}"[:LONGEST_SHOWN] if key.namespace and key.name else ""
