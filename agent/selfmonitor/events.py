"""Events of our own, shaped as Falco shapes an alert: heartbeat, silence, gap, storm.

They tell what no line of a log file tells, so they are in no file and not in the books. What is said is
decided elsewhere; here it gets its form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from agent.core.batching.span import Settles
from agent.core.processing.dedup import Group
from agent.core.values import Lane
from agent.telemetry import Telemetry

SOURCE: Final = "falcowatch"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event of our own."""

    kind: str
    """Its rule is `Falcowatch: <kind>`."""
    priority: str
    output: str
    fields: dict[str, object]
    lane: Lane = Lane.URGENT
    stands_for: Settles | None = None
    """Told when CloudWatch has the event."""
    place: bytes = b""
    """`,"kubernetes":{…}` of the pod that it is about; empty: none."""


def message(own_event: OwnEvent, *, event_id: str, time_ms: int, node: str, cluster: str) -> bytes:
    """The keys of an alert, in Falco's order, and ours at the end as on every event."""
    alert = orjson.dumps(
        {
            "hostname": node,
            "output": own_event.output,
            "output_fields": own_event.fields,
            "priority": own_event.priority,
            "rule": f"Falcowatch: {own_event.kind}",
            "source": SOURCE,
            "time": stamp(time_ms),
        }
    )
    who = {"id": event_id, "node": node} | ({"cluster": cluster} if cluster else {})
    return b'%b%b,"falcowatch":%b}' % (alert[:-1], own_event.place, orjson.dumps(who))


def storm(fold: Group, values: dict[str, bytes], place: bytes, telemetry: Telemetry) -> OwnEvent:
    """What stands for the alerts of a fold; of the same priority as they, and with the fields that made them identical.

    `values` are JSON, as Falco wrote them.
    """
    _, rule, priority, source, _ = fold.identity
    fields: dict[str, object] = {key: orjson.Fragment(value) for key, value in values.items()}
    fields |= {
        "storm.rule": rule,
        "storm.source": source,
        "storm.count": fold.count,
        "storm.first": stamp(fold.first_ms),
        "storm.last": stamp(fold.last_ms),
        "storm.ids": fold.ids,
    }
    output = f"{fold.count} more alerts of one minute were identical and did not ship one by one: {rule}"
    return OwnEvent("storm", priority, output, fields, Lane.ROUTINE, _Folded(fold, telemetry), place)


def stamp(time_ms: int) -> str:
    """As Falco writes times: nine decimals, UTC."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class _Folded:
    """Tells a fold, and the books, that the event which stands for it has been acknowledged."""

    def __init__(self, fold: Group, telemetry: Telemetry) -> None:
        self._fold = fold
        self._telemetry = telemetry

    def settle(self, records: int) -> None:
        self._telemetry.records_filtered.labels("folded").inc(self._fold.count)
        self._fold.settle()
