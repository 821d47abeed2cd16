"""The shape of the agent's own events: heartbeat, gap, deduplicated alerts, a change in the state of a Falco.

An own event looks like an alert of Falco (same keys, same order), so that one query reads both. It is in no log file,
so it is not a record and not part of the books. The other modules of this package decide what the events contain.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from msgspec import Struct

from agent.core.batching.span import Settles
from agent.core.values import Lane

SOURCE: Final = "falcowatch"
RULE_PREFIX: Final = "Falcowatch: "
HEARTBEAT: Final = "heartbeat"
LONGEST_TEXT: Final = 8192
"""Characters. A path has at most 4,096 bytes; the event has to stay far below CloudWatch's limit of 1 MiB."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OwnEvent(Struct, frozen=True):
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


def message(own_event: OwnEvent, *, event_id: str, time_ms: int, node: str, cluster: str, extra: bytes = b"") -> bytes:
    """The event as JSON: an alert's keys in Falco's order, then `kubernetes` and `falcowatch` as on every event.

    `extra`: `,"key":value` that stands in front of `falcowatch`.
    """
    alert = orjson.dumps(
        {
            "hostname": node,
            "output": safe_text(own_event.output),
            "output_fields": {key: _safe(value) for key, value in own_event.fields.items()},
            "priority": safe_text(own_event.priority),
            "rule": RULE_PREFIX + own_event.kind,
            "source": SOURCE,
            "time": timestamp(time_ms),
        }
    )
    identity = {"id": event_id, "node": node} | ({"cluster": cluster} if cluster else {})
    return b'%b%b%b,"falcowatch":%b}' % (alert[:-1], own_event.kubernetes, extra, orjson.dumps(identity))


def kind_of(text: str) -> str:
    """The kind of an own event that `message` made."""
    try:
        return str(orjson.loads(text)["rule"]).removeprefix(RULE_PREFIX)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "unknown"


def safe_text(text: str) -> str:
    """The text as valid UTF-8 and of bounded length: paths and names of rules come from outside.

    A byte of a file name that is not UTF-8 is written as `\\xff`.
    """
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def _safe(value: object) -> object:
    if isinstance(value, str):
        return safe_text(value)
    return [_safe(item) for item in value] if isinstance(value, list) else value


def timestamp(time_ms: int) -> str:
    """The time as Falco writes it: UTC with nine decimals."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
