"""What is read of an alert, from real alerts and from unusual ones."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.core.processing.alert import Alert, NotAnAlert, decode_alert, decode_leniently, decode_notice
from agent.core.processing.timestamps import TimestampParser
from agent.core.values import PodKey

CAPTURED = sorted((Path(__file__).parents[2] / "data" / "falco").glob("*.jsonl"))


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_every_captured_alert_is_read_as_a_whole_decoder_reads_it(path: Path) -> None:
    for line in path.read_bytes().split(b"\n")[:-1]:
        whole = json.loads(line)

        alert = decode_alert(line)

        assert (alert.rule, alert.priority, alert.time) == (whole["rule"], whole["priority"], whole["time"])
        assert alert.source == whole["source"]
        fields = whole.get("output_fields")
        assert (alert.output_fields is None) == (fields is None)
        if alert.output_fields is not None:
            assert alert.output_fields.container_id == fields.get("container.id")
        moment = datetime.fromisoformat(whole["time"][:26] + "+00:00")
        assert TimestampParser().milliseconds(alert.time) == int(moment.timestamp() * 1000 + 1e-6)


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_the_lenient_decoder_agrees_with_the_strict_one_on_every_captured_alert(path: Path) -> None:
    for line in path.read_bytes().split(b"\n")[:-1]:
        strict, lenient = decode_alert(line), decode_leniently(line)

        for name in ("priority", "rule", "source", "time", "output_fields"):
            assert getattr(strict, name) == getattr(lenient, name)


@pytest.mark.parametrize("field", ["k8s.ns.name", "k8s.pod.name", "k8s.pod.uid", "container.id"])
@pytest.mark.parametrize("value", [5, [1], {"a": 1}, True, 1.5])
def test_an_alert_whose_rule_prints_something_else_for_a_pod_field_is_still_an_alert(field: str, value: object) -> None:
    payload = msgspec.json.encode({"rule": "R", "priority": "Error", "output_fields": {field: value}})
    with pytest.raises(NotAnAlert):
        decode_alert(payload)

    alert = decode_leniently(payload)

    assert alert.output_fields is not None
    assert alert.output_fields.key() == PodKey(None, None, None, None)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"rule":"R","priority":"Error"}', Alert(rule="R", priority="Error")),
        (b'{"rule":"R","priority":"Error","time":5,"source":null}', Alert(rule="R", priority="Error")),
        (b'{"rule":"R","priority":"Error","output_fields":[]}', Alert(rule="R", priority="Error")),
    ],
)
def test_an_alert_may_lack_every_key_except_rule_and_priority(payload: bytes, expected: Alert) -> None:
    assert decode_leniently(payload) == expected


@pytest.mark.parametrize(
    "more",
    [
        b'"kubernetes":1',
        b'"falcowatch":null',
        b'"Falcowatch":{}',
        rb'"\u0066alcowatch":{}',
        b'"source":"falcowatch"',
        b'"source":"falcowatch","source":"syscall"',
        rb'"sourc\u0065":"falcowatc\u0068","source":"syscall"',
        b'"source":"my_plugin"',
    ],
)
def test_the_strict_decoder_refuses_keys_and_sources_that_falco_does_not_write(more: bytes) -> None:
    payload = b'{"rule":"R","priority":"Error",%b}' % more

    with pytest.raises(NotAnAlert):
        decode_alert(payload)
    assert decode_leniently(payload).rule == "R"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b"{}",
        b'{"rule":"R"}',
        b'{"priority":"Error"}',
        b'{"rule":5,"priority":"x"}',
        b'{"rule":"R","priority":"Er',
        b"Events detected: 58",
        b'{"rule":"R","priority":"Error","x":' + b"[" * 100_000,
        b"\xff",
    ],
)
def test_both_decoders_refuse_a_line_that_is_not_an_alert(payload: bytes) -> None:
    with pytest.raises((NotAnAlert, RecursionError)):
        decode_alert(payload)
    with pytest.raises((NotAnAlert, UnicodeDecodeError)):
        decode_leniently(payload)


@pytest.mark.parametrize("unknown", ["<NA>", "", None])
def test_falco_s_words_for_unknown_name_no_pod(unknown: str | None) -> None:
    payload = msgspec.json.encode(
        {"rule": "R", "priority": "Error", "output_fields": {"k8s.ns.name": unknown, "container.id": "3f2b8a342f11"}}
    )
    fields = decode_alert(payload).output_fields

    assert fields is not None
    assert fields.key() == PodKey(None, None, None, "3f2b8a342f11")


def test_all_fields_of_a_message_of_falco_about_itself_are_read() -> None:
    for name in (
        "0.44.1-drops-internal",
        "0.40.0-drops-internal",
        "0.44.1-metrics-internal",
        "0.40.0-metrics-internal",
    ):
        path = next(path for path in CAPTURED if path.stem == name)
        for line in path.read_bytes().split(b"\n")[:-1]:
            assert decode_notice(line).output_fields == json.loads(line)["output_fields"]


def test_a_clock_remembers_seconds_but_not_for_ever() -> None:
    clock = TimestampParser()

    for second in range(10_000):
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.25Z")
        assert clock.milliseconds(text) == second * 1000 + 250

    assert len(clock._seconds) <= 4097
