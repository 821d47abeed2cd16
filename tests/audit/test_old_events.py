"""An agent seals events that are far older than the seal: old alerts at the first start, and alerts after an outage."""

from __future__ import annotations

import asyncio

import pytest

from agent.audit.history import RawEvent
from agent.cli import main
from tests.audit.cloudwatch import GROUP, put
from tests.audit.history import START_MS, Node
from tests.audit.test_command import HOUR_MS, stamp

DAY_MS = 24 * HOUR_MS


def first_start() -> list[RawEvent]:
    """An agent that finds alerts of five days ago in the files, ships them with their own times, and leaves."""
    node = Node()
    node.write(6)
    node.read(6)
    node.leave()
    return [
        event if b"heartbeat" in event.message else event._replace(time_ms=event.time_ms - 5 * DAY_MS)
        for event in node.events
    ]


@pytest.fixture
def window() -> list[str]:
    return ["--from", stamp(START_MS - HOUR_MS), "--to", stamp(START_MS + DAY_MS)]


async def test_alerts_that_are_older_than_the_chosen_time_are_read_when_a_seal_states_them(
    cloudwatch, clock, capsys, window
):
    await put(cloudwatch, clock, first_start())

    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    assert code == 0, capsys.readouterr().out


async def test_an_old_alert_that_was_deleted_is_still_missed(cloudwatch, clock, capsys, window):
    events = first_start()
    old = next(event for event in events if b"heartbeat" not in event.message)
    await put(cloudwatch, clock, [event for event in events if event is not old])

    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    assert code == 1
    assert "1 event missing: the seal states 6 in the segment, there are 5" in capsys.readouterr().out


async def test_a_node_that_left_before_the_chosen_time_is_no_problem(cloudwatch, clock, capsys):
    """Its last events are in the hour before the chosen time, which the audit reads too, and its seals are not."""
    gone, well = Node("node-gone"), Node("node-well", seed=1)
    gone.write(3)
    gone.read(3)
    gone.leave()
    from_ms = gone.now_ms + 1_000
    well.now_ms = from_ms + 60_000
    well.leave()
    await put(cloudwatch, clock, gone.events)
    await put(cloudwatch, clock, [event for event in well.events if event.time_ms >= from_ms])

    window = ["--from", stamp(from_ms), "--to", stamp(well.now_ms + 2 * HOUR_MS), "--accept-running"]
    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    printed = capsys.readouterr().out
    assert "node-gone: open: before the data (3)" in printed
    assert code == 0, printed


async def test_events_of_the_chosen_time_without_a_seal_stay_a_problem(cloudwatch, clock, capsys):
    node = Node()
    node.write(3)
    node.read(3)
    await put(cloudwatch, clock, [event for event in node.events if b"heartbeat" not in event.message])

    window = ["--from", stamp(START_MS), "--to", stamp(node.now_ms + DAY_MS), "--accept-running"]
    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    assert code == 1
    assert "problem: no seals" in capsys.readouterr().out
