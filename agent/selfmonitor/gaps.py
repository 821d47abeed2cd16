"""Announces bytes that were lost before they could be read: in the log, in a metric, and as an event in CloudWatch.

The event is published durably: it survives a crash, because nothing else in CloudWatch shows the loss.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.outbox import Outbox
from agent.tail.checkpoint import PendingEvent
from agent.tail.reading import Gap
from agent.telemetry import Telemetry

KIND: Final = "gap"
log = logging.getLogger(__name__)


class GapAnnouncer:
    """Announces each gap once, and counts them."""

    def __init__(self, outbox: Outbox, telemetry: Telemetry) -> None:
        self._outbox = outbox
        self._telemetry = telemetry
        self.count = 0
        self.bytes = 0

    def announce(self, gap: Gap) -> None:
        lost = gap.end - gap.start
        self.count += 1
        self.bytes += lost
        self._telemetry.gap_bytes.inc(lost)
        fields: dict[str, object] = {
            "file": gap.file,
            "path": gap.path,
            "from": gap.start,
            "to": gap.end,
            "bytes": lost,
            "why": gap.why,
            "at_least": gap.at_least,
        }
        log.error("bytes were lost before they could be read", extra=fields)
        at_least = "at least " if gap.at_least else ""
        output = f"{at_least}{lost} bytes of {gap.path} were lost: {gap.why}"
        self._outbox.publish_durably(OwnEvent(KIND, "Critical", output, fields))

    def resend(self, events: Iterable[PendingEvent]) -> None:
        """Ships the gap events that CloudWatch had not acknowledged when the last run of the agent ended."""
        self._outbox.resend(events, KIND)
