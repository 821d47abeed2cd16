"""Remembers the last alerts that were read, for the status page: rule, priority, pod and time of the event."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from agent.core.processing.alert import Alert, NotAnAlert, decode_alert
from agent.core.processing.timestamps import TimestampParser

MOST_ALERTS: Final = 10
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
        self._alerts: deque[LastAlert] = deque(maxlen=MOST_ALERTS)
        self._timestamps = TimestampParser()

    def __iter__(self) -> Iterator[LastAlert]:
        """The newest first."""
        return reversed(self._alerts)

    def note(self, payloads: Sequence[bytes]) -> None:
        """Takes the last alerts of a chunk. Decodes no more records than the page shows."""
        for payload in payloads[-MOST_ALERTS:]:
            try:
                alert = decode_alert(payload)
            except (NotAnAlert, ValueError, RecursionError):
                continue
            time_ms = self._timestamps.parse(alert.time)
            at = time.time() if time_ms is None else time_ms / 1000
            self._alerts.append(
                LastAlert(alert.priority[:LONGEST_SHOWN], alert.rule[:LONGEST_SHOWN], at, _pod_of(alert))
            )


def _pod_of(alert: Alert) -> str:
    if alert.output_fields is None:
        return ""
    key = alert.output_fields.key()
    return f"{key.namespace}/{key.name}"[:LONGEST_SHOWN] if key.namespace and key.name else ""
