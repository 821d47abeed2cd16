"""What is read of an alert, from real alerts and from odd ones; and timestamps."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.alert import Alert, NotAnAlert, decode_alert, decode_leniently, decode_notice
from agent.core.processing.timestamps import Clock
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
        assert Clock().milliseconds(alert.time) == int(moment.timestamp() * 1000 + 1e-6)


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_the_lenient_decoder_agrees_with_the_strict_one_on_every_captured_alert(path: Path) -> None:
    for line in path.read_bytes().split(b"\n")[:-1]:
        assert decode_leniently(line) == decode_alert(line)


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
def test_an_alert_may_lack_everything_but_rule_and_priority(payload: bytes, expected: Alert) -> None:
    assert decode_leniently(payload) == expected


def test_keys_of_ours_that_are_there_already_are_noticed() -> None:
    payload = b'{"rule":"R","priority":"Error","time":5,"kubernetes":1,"falcowatch":{}}'

    alert = decode_leniently(payload)

    assert alert.kubernetes is not None
    assert alert.falcowatch is not None


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
def test_a_line_that_is_no_alert_is_refused_by_both(payload: bytes) -> None:
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


def test_a_message_of_falco_about_itself_is_read_whole() -> None:
    for name in (
        "0.44.1-drops-internal",
        "0.40.0-drops-internal",
        "0.44.1-metrics-internal",
        "0.40.0-metrics-internal",
    ):
        path = next(path for path in CAPTURED if path.stem == name)
        for line in path.read_bytes().split(b"\n")[:-1]:
            assert decode_notice(line).output_fields == json.loads(line)["output_fields"]


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("1970-01-01T00:00:00.000000000Z", 0),
        ("2026-11-23T07:53:51.905525426Z", 1795420431905),
        ("2026-11-23T07:53:51.9Z", 1795420431900),
        ("2026-11-23T07:53:51.90Z", 1795420431900),
        ("2026-11-23T07:53:51Z", 1795420431000),
        ("2026-11-23T07:53:51", 1795420431000),
        ("2026-11-23T07:53:51.905525426+00:00", 1795420431905),
        ("2026-11-23T07:53:51.905525426", 1795420431905),
        ("2026-11-23T09:53:51.905+02:00", 1795420431905),
        ("2026-11-23T02:23:51.905-05:30", 1795420431905),
        ("2026-11-23T02:23:51-05:30", 1795420431000),
        ("2016-12-31T23:59:60.5Z", 1483228800500),
    ],
)
def test_a_timestamp_is_read_to_the_millisecond(stamp: str, expected: int) -> None:
    assert Clock().milliseconds(stamp) == expected


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23 07:53:51",
        "2026-13-23T07:53:51Z",
        "2026-11-23T24:53:51Z",
        "1969-12-31T23:59:59Z",
        "2026-11-23T07:53:51.Z",
        "2026-11-23T07:53:51.x5Z",
        "2026-11-23T07:53:51.905+2:00",
        "2026-11-23T07:53:51.905+02-00",
        "2026-11-23T07:53:51.905+0a:00",
        "2026-11-23T07:53:51X",
        "２０２６-11-23T07:53:51Z",
        "2026-11-23T07:53:51.²²²Z",
        "+026-11-23T07:53:51Z",
    ],
)
def test_what_is_no_timestamp_is_refused(stamp: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|literal"):
        Clock().milliseconds(stamp)


def test_a_clock_remembers_seconds_but_not_for_ever() -> None:
    clock = Clock()

    for second in range(10_000):
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.25Z")
        assert clock.milliseconds(text) == second * 1000 + 250

    assert len(clock._seconds) <= 4097


@given(stamp=st.text(max_size=40))
def test_any_text_is_a_timestamp_or_a_value_error(stamp: str) -> None:
    try:
        assert isinstance(Clock().milliseconds(stamp), int)
    except ValueError:
        return


@given(
    moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)), decimals=st.integers(0, 9)
)
def test_any_moment_with_any_number_of_decimals_is_read_back(moment: datetime, decimals: int) -> None:
    fraction = f"{moment.microsecond:06d}000"[:decimals]
    stamp = moment.strftime("%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
    expected = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000 + int(f"{fraction}000"[:3])

    assert Clock().milliseconds(f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}T{stamp}") == expected
