"""The last alerts for the status page: the newest first, bounded in number and bytes."""

from __future__ import annotations

from agent.selfmonitor.last_alerts import LONGEST_KEPT_BYTES, MOST_ALERTS, LastAlerts


def alert(rule: str, output: str = "") -> bytes:
    return b'{"output":"%b","priority":"Notice","rule":"%b","time":"2026-11-23T07:53:51.905525426Z"}' % (
        output.encode(),
        rule.encode(),
    )


def test_the_newest_alerts_of_all_chunks_come_first_and_not_more_than_the_page_shows() -> None:
    last = LastAlerts()
    last.note([alert(f"{number}") for number in range(100)])
    last.note([alert("100"), alert("101")])

    assert [one.rule for one in last] == [f"{number}" for number in range(101, 101 - MOST_ALERTS, -1)]


def test_a_record_that_is_no_alert_and_a_very_long_one_are_left_out() -> None:
    last = LastAlerts()
    last.note([alert("short"), b"text", alert("long", "x" * LONGEST_KEPT_BYTES)])
    last.note([])

    assert [(one.priority, one.rule, one.pod) for one in last] == [("Notice", "short", "")]


def test_looking_twice_shows_the_same() -> None:
    last = LastAlerts()
    last.note([alert("rule")])

    assert list(last) == list(last)
