"""Heartbeats as they come out of CloudWatch."""

import orjson
import pytest

from agent.fleet.heartbeats import heartbeat_of

HEARTBEAT = {
    "rule": "Falcowatch: heartbeat",
    "source": "falcowatch",
    "output_fields": {
        "books.read": 10,
        "books.shipped": 8,
        "books.filtered": 1,
        "books.rejected": 1,
        "gap.count": 2,
        "falco.state": "reading",
        "falco.versions": ["0.44.0"],
        "lag.seconds": 1.5,
        "heartbeat.seconds": 60,
        "defects.record": 3,
        "defects.file": 1,
    },
    "seal": {"settings": "abc", "started": 5, "leaving": True},
    "falcowatch": {"id": "self:1:1", "node": "node-a"},
}


def test_a_heartbeat_says_how_its_node_is() -> None:
    heartbeat = heartbeat_of(orjson.dumps(HEARTBEAT).decode(), 1000)

    assert heartbeat is not None
    assert (heartbeat.node, heartbeat.time_ms, heartbeat.interval_seconds) == ("node-a", 1000, 60)
    assert (heartbeat.read, heartbeat.shipped, heartbeat.filtered, heartbeat.rejected) == (10, 8, 1, 1)
    assert (heartbeat.gaps, heartbeat.defects, heartbeat.lag_seconds) == (2, 4, 1.5)
    assert (heartbeat.falco_state, heartbeat.falco_versions) == ("reading", ("0.44.0",))
    assert (heartbeat.settings, heartbeat.started_ms, heartbeat.leaving) == ("abc", 5, True)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no JSON",
        "[" * 5000,
        "[]",
        '"Falcowatch: heartbeat"',
        orjson.dumps(HEARTBEAT | {"source": "syscall"}).decode(),
        orjson.dumps(HEARTBEAT | {"rule": "Falcowatch: gap"}).decode(),
        orjson.dumps(HEARTBEAT | {"falcowatch": {"node": ["node-a"]}}).decode(),
        orjson.dumps(HEARTBEAT | {"falcowatch": None}).decode(),
    ],
)
def test_anything_else_is_no_heartbeat(message: str) -> None:
    assert heartbeat_of(message, 0) is None


@pytest.mark.parametrize("fields", [None, [], "x", {"books.read": "many", "lag.seconds": -1, "falco.versions": 7}])
def test_a_field_of_the_wrong_type_counts_as_not_said(fields: object) -> None:
    heartbeat = heartbeat_of(orjson.dumps(HEARTBEAT | {"output_fields": fields, "seal": fields}).decode(), 0)

    assert heartbeat is not None
    assert (heartbeat.read, heartbeat.lag_seconds, heartbeat.falco_versions) == (0, 0, ())
    assert (heartbeat.settings, heartbeat.leaving) == ("", False)
