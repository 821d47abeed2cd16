"""The control event: shows whether a stream accepts events at all.

CloudWatch may refuse one event as invalid, or every event of a stream, for example while the KMS key of the group is
disabled. Before an event becomes a dead letter for this reason, the stream must have accepted another event after the
refusal. When nothing else is sent, the control event is that other event.

When one stream accepts nothing, CloudWatch may be away, or this stream alone may be refused. A control event in a
stream that has nothing to send shows which.
"""

from __future__ import annotations

from datetime import UTC, datetime

import orjson


def control_event(*, node: str, cluster: str, time_ms: int) -> list[bytes]:
    """The pieces of a JSON array with one event, which has the keys of an alert like every event of the agent."""
    when = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    message = orjson.dumps(
        {
            "hostname": node,
            "output": "Falcowatch asked whether this stream accepts events",
            "output_fields": {},
            "priority": "Debug",
            "rule": "Falcowatch: control",
            "source": "falcowatch",
            "time": when,
            "falcowatch": {"id": f"control:{time_ms}", "node": node} | ({"cluster": cluster} if cluster else {}),
        }
    )
    return [orjson.dumps([{"timestamp": time_ms, "message": message.decode()}])]
