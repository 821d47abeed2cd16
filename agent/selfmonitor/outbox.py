"""Publishes the agent's own events into the shipper, and keeps those that must survive a crash.

An own event is in no log file, so a crash loses it unless it is in the checkpoint. `publish_durably` therefore keeps an
event in `pending` until CloudWatch has acknowledged it; the checkpoint stores `pending`, and the next run of the agent
gives the events back with `resend`, under their old ids. The Outbox alone assigns ids to own events. An event with a
`key` has the same id in every run of the agent, so a reader can drop the copy that a crash before the next checkpoint
makes necessary.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from agent.core.batching.span import Settles, Span
from agent.core.values import Lane
from agent.flow.budget import Budget
from agent.selfmonitor.events import HEARTBEAT, OwnEvent, kind_of, message
from agent.tail.checkpoint import PendingEvent

MOST_PENDING: Final = 4096
"""Some megabytes of the checkpoint. Events beyond are shipped as well, but do not survive a crash."""

NO_NAMESPACE: Final = ""
"""Own events belong to no pod: group and stream are those of `settings.destinations` without a namespace."""

Accept = Callable[[Lane, str, Span], object]
"""Takes over a span: its lane, the namespace that fills `{namespace}` in group and stream, the span."""


class Outbox:
    """The way out for own events."""

    def __init__(
        self, accept: Accept, budget: Budget, *, node: str, cluster: str, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`changed` is called whenever `pending` has changed."""
        self._accept = accept
        self._budget = budget
        self._node = node
        self._cluster = cluster
        self._started_ns = time.time_ns()
        self._numbers = itertools.count(1)
        self._pending: dict[str, PendingEvent] = {}
        self._rejected: set[str] = set()
        """Ids of seals that CloudWatch has rejected. They stay in `pending`."""
        self._changed = changed

    def publish(self, own_event: OwnEvent) -> str:
        """Ships the event once; a crash before CloudWatch has acknowledged it loses it. Returns its id."""
        event = self._stamped(own_event, self._new_id())
        self._ship(event, own_event.kind, own_event.lane, own_event.acknowledged)
        return event.id

    def publish_durably(self, own_event: OwnEvent, key: str | None = None) -> None:
        """Ships the event, and keeps it in `pending` until CloudWatch has acknowledged it.

        An event with the same key that is still pending is not shipped a second time.
        """
        event = self._stamped(own_event, self._new_id() if key is None else self._id_of(own_event.kind, key))
        if event.id not in self._pending:
            self._keep(event, own_event.kind)

    def hold(self, event: PendingEvent) -> None:
        """Keeps the event in `pending`. It ships only with `send`, when the checkpoint that holds it is on disk."""
        self._pending[event.id] = event
        self._changed()

    def send(self, event: PendingEvent) -> None:
        """Ships a seal that was held."""
        self._ship(event, HEARTBEAT, Lane.ROUTINE, self._acknowledgement(event, HEARTBEAT))

    def send_rejected(self) -> bool:
        """Ships the seals again that CloudWatch has rejected: without one of them the chain has a hole.

        Returns whether there are any.
        """
        # Beyond MOST_PENDING an event is not in `pending`, so it cannot be sent again.
        rejected = [self._pending[event_id] for event_id in self._rejected if event_id in self._pending]
        self._rejected.clear()
        for event in rejected:
            self.send(event)
        return bool(rejected)

    def __contains__(self, event_id: str) -> bool:
        """CloudWatch has not acknowledged the event."""
        return event_id in self._pending

    def resend(self, events: Iterable[PendingEvent]) -> None:
        """Ships the events that an earlier run of the agent kept; they may be in CloudWatch already."""
        for event in events:
            kind = kind_of(event.message)
            self._keep(event, kind, Lane.ROUTINE if kind == HEARTBEAT else Lane.URGENT)

    @property
    def pending(self) -> list[PendingEvent]:
        """Events that CloudWatch has not acknowledged, for the checkpoint."""
        return list(self._pending.values())

    def _new_id(self) -> str:
        return f"self:{self._started_ns}:{next(self._numbers)}"

    def _id_of(self, kind: str, key: str) -> str:
        digest = sha256(f"{self._node}\0{key}".encode("utf-8", "surrogateescape")).hexdigest()
        return f"self:{kind}:{digest[:32]}"

    def stamped(self, own_event: OwnEvent, event_id: str, time_ms: int, extra: bytes = b"") -> PendingEvent:
        """The event with its id and its time. `extra`: `,"key":value` to be added in front of `falcowatch`."""
        text = message(
            own_event, event_id=event_id, time_ms=time_ms, node=self._node, cluster=self._cluster, extra=extra
        )
        return PendingEvent(event_id, time_ms, text.decode())

    def _stamped(self, own_event: OwnEvent, event_id: str) -> PendingEvent:
        return self.stamped(own_event, event_id, int(time.time() * 1000))

    def _keep(self, event: PendingEvent, kind: str, lane: Lane = Lane.URGENT) -> None:
        if len(self._pending) < MOST_PENDING:
            self._pending[event.id] = event
            self._changed()
        self._ship(event, kind, lane, self._acknowledgement(event, kind))

    def _acknowledgement(self, event: PendingEvent, kind: str) -> Settles:
        acknowledgement = _Acknowledgement(self._pending, event.id, self._changed)
        if kind != HEARTBEAT:
            return acknowledgement
        return _SealAcknowledgement(acknowledgement, lambda: self._rejected.add(event.id))

    def _ship(self, event: PendingEvent, kind: str, lane: Lane, acknowledged: Settles | None) -> None:
        span = Span(acknowledged, own=kind, read_at=time.monotonic())
        span.append(event.time_ms, event.message.encode(), 0)
        self._budget.adjust(span.held_bytes)
        self._accept(lane, NO_NAMESPACE, span)


class _Acknowledgement:
    """Removes one event from the pending ones when CloudWatch has acknowledged it."""

    def __init__(self, pending: dict[str, PendingEvent], event_id: str, changed: Callable[[], None]) -> None:
        self._pending = pending
        self._id = event_id
        self._changed = changed

    def settle(self, records: int) -> None:
        self._pending.pop(self._id, None)
        self._changed()


class _SealAcknowledgement:
    """Removes a seal from the pending events when CloudWatch has acknowledged it. A rejected seal stays pending."""

    def __init__(self, acknowledgement: _Acknowledgement, rejected: Callable[[], None]) -> None:
        self._acknowledgement = acknowledgement
        self._rejected = rejected
        self._is_rejected = False

    def note_rejected(self) -> None:
        self._is_rejected = True
        self._rejected()

    def settle(self, records: int) -> None:
        if not self._is_rejected:
            self._acknowledgement.settle(records)
