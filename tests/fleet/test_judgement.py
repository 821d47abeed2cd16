"""What is odd about a node, and what needs a person."""

from dataclasses import replace

import pytest

from agent.fleet.heartbeats import Heartbeat
from agent.fleet.judgement import judged

FROM_MS = 1_000_000
NOW_MS = FROM_MS + 900_000
WELL = Heartbeat(
    "node-a",
    NOW_MS - 1000,
    interval_seconds=60,
    version="0.2.0",
    falco_state="reading",
    settings="abc",
    started_ms=FROM_MS,
    read=10,
    shipped=10,
)


def named(node: str) -> Heartbeat:
    return replace(WELL, node=node)


def findings(*heartbeats: Heartbeat) -> list[tuple[str, bool]]:
    fleet = judged(heartbeats, from_ms=FROM_MS, now_ms=NOW_MS)
    return [(finding.text, finding.needs_a_person) for node in fleet.nodes for finding in node.findings]


def test_nothing_is_odd_about_a_node_that_is_well() -> None:
    assert findings(WELL) == []
    assert not judged([WELL], from_ms=FROM_MS, now_ms=NOW_MS).needs_a_person


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"time_ms": NOW_MS - 151_000}, "silent: no heartbeat, and the agent did not say that it stops"),
        ({"time_ms": FROM_MS - 1}, "silent: no heartbeat, and the agent did not say that it stops"),
        ({"falco_state": "none"}, "Falco: none"),
        ({"falco_state": "elsewhere"}, "Falco: elsewhere"),
        ({"gaps": 1}, "1 gaps: bytes of alerts were lost"),
        ({"rejected": 1200}, "1,200 records were rejected by CloudWatch"),
        ({"syscall_drops": 7}, "7 system calls that Falco missed"),
        ({"defects": 1}, "1 unforeseen exceptions"),
        ({"warnings": ("enrichment",)}, "warnings: enrichment"),
        ({"unacknowledged_seconds": 301.0}, "unacknowledged for 301 s"),
        ({"lag_seconds": 4000.0}, "4,000 s behind"),
    ],
)
def test_trouble_needs_a_person(change: dict[str, object], text: str) -> None:
    assert findings(replace(WELL, **change)) == [(text, True)]  # type: ignore[arg-type]


def test_a_node_that_left_in_an_orderly_way_needs_nobody() -> None:
    assert findings(replace(WELL, time_ms=FROM_MS - 1, leaving=True)) == [("stopped in an orderly way", False)]


def test_another_version_and_other_settings_are_odd_and_need_nobody() -> None:
    others = [replace(WELL, node=f"node-{number}") for number in range(3)]

    assert findings(*others, replace(WELL, version="0.1.0", settings="def")) == [
        ("version 0.1.0, most nodes have 0.2.0", False),
        ("settings def, most nodes have abc", False),
    ]


def test_the_odd_nodes_come_first() -> None:
    fleet = judged(
        [*map(named, "ad"), replace(WELL, node="b", version="0.1"), replace(WELL, node="c", gaps=1)],
        from_ms=FROM_MS,
        now_ms=NOW_MS,
    )

    assert [node.last.node for node in fleet.nodes] == ["c", "b", "a", "d"]
    assert fleet.needs_a_person


def test_nodes_that_were_expected_and_not_heard_are_missing() -> None:
    gone = replace(WELL, node="b", time_ms=FROM_MS - 1)

    fleet = judged([WELL, gone], from_ms=FROM_MS, now_ms=NOW_MS, expected=3)

    assert (fleet.missing, fleet.needs_a_person) == (2, True)
    assert judged([WELL], from_ms=FROM_MS, now_ms=NOW_MS, expected=1).missing == 0


def window(*heartbeats: Heartbeat) -> int:
    [node] = judged(heartbeats, from_ms=FROM_MS, now_ms=NOW_MS).nodes
    return node.window["read"]


def test_totals_are_those_of_the_window() -> None:
    before = replace(WELL, time_ms=FROM_MS - 10, read=100, started_ms=1)
    first = replace(WELL, time_ms=FROM_MS + 10, read=150, started_ms=1)
    last = replace(WELL, read=180, started_ms=1)

    assert window(before, first, last) == 80
    assert window(first, last) == 30
    assert window(last) == 0


def test_an_agent_that_was_restarted_begins_to_count_anew() -> None:
    before = replace(WELL, time_ms=FROM_MS + 10, read=100, started_ms=1)

    assert window(before, replace(WELL, read=120, started_ms=FROM_MS + 20)) == 120
    assert window(replace(before, started_ms=0), replace(WELL, read=7, started_ms=0)) == 7
    assert window(replace(WELL, read=5, started_ms=FROM_MS)) == 5
