"""The shape of the agent's own events: heartbeat, gap, deduplicated alerts, a change in the state of a Falco.

An own event looks like an alert of Falco (same keys, same order), so that one query reads both. It is in no log file,
so it is not a record and not part of the books. The other modules of this package decide what the events contain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from agent.core.batching.span import Settles
from agent.core.values import Lane

SOURCE: Final = "falcowatch"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """One event before it has an id and a time."""

    kind: str
    """The event's rule is `Falcowatch: <kind>`."""
    priority: str
    output: str
    fields: dict[str, object]
    lane: Lane = Lane.URGENT
    acknowledged: Settles | None = None
    """Settled when CloudWatch has acknowledged the event; None: nothing waits for that."""
    kubernetes: bytes = b""
    """`,"kubernetes":{…}` of the pod that the event is about; empty: it is about no pod."""


def message(own_event: OwnEvent, *, event_id: str, time_ms: int, node: str, cluster: str) -> bytes:
    """The event as JSON: an alert's keys in Falco's order, then `kubernetes` and `falcowatch` as on every event."""
    alert = orjson.dumps(
        {
            "hostname": node,
            "output": own_event.output,
            "output_fields": own_event.fields,
            "priority": own_event.priority,
            "rule": f"Falcowatch: {own_event.kind}",
            "source": SOURCE,
            "time": timestamp(time_ms),
        }
    )
    identity = {"id": event_id, "node": node} | ({"cluster": cluster} if cluster else {})
    return b'%b%b,"falcowatch":%b}' % (alert[:-1], own_event.kubernetes, orjson.dumps(identity))


def timestamp(time_ms: int) -> str:
    """The time as Falco writes it: UTC with nine decimals."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
