"""Announces bytes that were lost before they could be read: in the log, in a metric, and as an event in CloudWatch.

The event is published durably: it survives a crash, because nothing else in CloudWatch shows the loss.
"""

from __future__ import annotations

import logging
from typing import Final

from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.outbox import Outbox
from agent.tail.types import Gap
from agent.telemetry import Telemetry

KIND: Final = "gap"
log = logging.getLogger(__name__)


MOST_REMEMBERED: Final = 4096


class GapAnnouncer:
    """Announces each gap once, and counts them.

    A gap has the same event id in every run of the agent, so a gap that is found again after a kill is one event.
    """

    def __init__(self, outbox: Outbox, telemetry: Telemetry) -> None:
        self._outbox = outbox
        self._telemetry = telemetry
        self.count = 0
        self.bytes = 0
        self._announced: dict[str, int] = {}
        """The end of each announced gap, by the key of the gap; oldest first."""

    def announce(self, gap: Gap) -> None:
        key = gap.key
        if (end := self._announced.get(key)) is not None:
            if gap.at_least or gap.end == end:
                return
            key = f"{key}:{gap.end}"
        if len(self._announced) >= MOST_REMEMBERED:
            del self._announced[next(iter(self._announced))]
        self._announced[key] = gap.end
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
        self._outbox.publish_durably(OwnEvent(KIND, "Critical", output, fields), key=key)
