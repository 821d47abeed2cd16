"""Publishes one event for each group of identical alerts that were not shipped one by one.

`core.processing.dedup` collects the groups; this module takes those whose minute is over. The alerts of a group stay
unsettled until CloudWatch has acknowledged the event, so a crash before that reads them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import orjson

from agent.core.processing.dedup import Deduplicator, Group
from agent.core.values import Fragment, Lane, PodKey
from agent.flow.ticks import next_tick
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.events import OwnEvent, timestamp
from agent.telemetry.defects import Defects

LOOK_SECONDS: Final = 1.0


class DuplicatePublisher:
    """`deduplicator`: None when deduplication is off, and then nothing is ever published."""

    def __init__(
        self,
        deduplicator: Deduplicator | None,
        *,
        publish: Callable[[OwnEvent], object],
        fragment: Callable[[PodKey, int], Fragment],
        counts: Counts,
        defects: Defects,
    ) -> None:
        self._deduplicator = deduplicator
        self._publish = publish
        self._fragment = fragment
        self._counts = counts
        self._defects = defects

    async def run(self) -> None:
        """Publishes the groups whose minute is over, once a second; until cancelled."""
        while self._deduplicator is not None:
            await next_tick(LOOK_SECONDS)
            self.publish()

    def publish(self, *, at_once: bool = False) -> None:
        """Publishes the groups whose minute is over; `at_once` publishes the open groups too."""
        deduplicator = self._deduplicator
        if deduplicator is None:
            return
        for group in deduplicator.take_all() if at_once else deduplicator.take(int(time.time() * 1000)):
            # A group whose event cannot be made stays unsettled, so a restart reads its alerts again.
            with self._defects.contained("selfmonitor"):
                kubernetes = self._fragment(group.pod, group.last_ms).plain if group.pod is not None else b""
                self._publish(_event(group, deduplicator.values(group), kubernetes, self._counts))

    @property
    def held_records(self) -> int:
        """Records in open groups: they wait for the end of their minute, not for CloudWatch."""
        return 0 if self._deduplicator is None else self._deduplicator.held_records


def _event(group: Group, values: dict[str, bytes], kubernetes: bytes, counts: Counts) -> OwnEvent:
    """The event of one group: the alerts' priority, and the fields that made them identical.

    `values` are JSON as Falco wrote it, in which a string may hold bytes that are not UTF-8.
    """
    _, rule, priority, source, _ = group.identity
    fields: dict[str, object] = {key: orjson.Fragment(value.decode(errors="replace")) for key, value in values.items()}
    fields |= {
        "storm.rule": rule,
        "storm.source": source,
        "storm.count": group.count,
        "storm.first": timestamp(group.first_ms),
        "storm.last": timestamp(group.last_ms),
        "storm.ids": group.ids,
    }
    output = f"{group.count} more alerts of one minute were identical and did not ship one by one: {rule}"
    return OwnEvent("storm", priority, output, fields, Lane.ROUTINE, _GroupAcknowledgement(group, counts), kubernetes)


class _GroupAcknowledgement:
    """Counts and settles the alerts of a group when CloudWatch has acknowledged the event that reports them."""

    def __init__(self, group: Group, counts: Counts) -> None:
        self._group = group
        self._counts = counts

    def settle(self, records: int) -> None:
        self._counts.filter("folded", self._group.count)
        self._group.settle()
