"""The priority of lines that are not alerts in JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.line_priority import TextAlert, stated_priority, text_alert


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"07:53:51.905525426: Critical A shell", TextAlert("Critical", "")),
        (b"07:53:51.905: error A shell", TextAlert("error", "")),
        (b"07:53:51: Info x", TextAlert("Info", "")),
        (b"2026-11-23T07:37:03.796250642+0000: Error x", TextAlert("Error", "2026-11-23T07:37:03.796250642+00:00")),
        (b"2026-11-23T07:37:03-05:30: Alert x", TextAlert("Alert", "2026-11-23T07:37:03-05:30")),
        (b"2026-11-23T07:56:09+0000: Falco initialized", None),
        (b"Mon Nov 23 07:32:05 2026: Falco version", None),
        (b"07:53:51.905: Criticality", None),
        (b"Critical", None),
        (b"", None),
    ],
)
def test_an_alert_in_text_begins_with_a_time_and_a_priority(line: bytes, expected: TextAlert | None) -> None:
    assert text_alert(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'x{"priority":"Critical"', "Critical"),
        (b'x{"priority" : "Debug","a":{"priority":"ALERT"}}', "ALERT"),
        (b'x{"priority":"Odd"}', None),
        (rb'x{"output":"\"priority\":\"Critical\""}', None),
        (b'x{"source":"internal"', "emergency"),
        (b'x{"rule":"Falco internal: syscall event drop"', "emergency"),
        (b"priority Critical", None),
    ],
)
def test_the_most_urgent_priority_of_a_damaged_line_counts(line: bytes, expected: str | None) -> None:
    assert stated_priority(line) == expected


@given(st.binary())
def test_any_line_may_be_asked(line: bytes) -> None:
    assert text_alert(line) is None or stated_priority(line) is None
