"""A gap becomes an urgent event in CloudWatch, once and always under the same id."""

from pathlib import Path

import pytest

from agent.core.values import Lane
from agent.tail.types import Gap
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events


async def test_a_gap_is_published_in_the_urgent_lane(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))

        [event] = own_events(agent, Lane.URGENT)
        assert (event["rule"], event["priority"]) == ("Falcowatch: gap", "Critical")
        assert event["output"] == "20 bytes of /var/log/pods/x were lost: deleted"
        assert (agent.parts.gaps.count, agent.parts.gaps.bytes) == (1, 20)


GAP = Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False)


async def test_a_gap_that_is_found_twice_is_announced_once(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(GAP)
        agent.parts.gaps.announce(GAP)

        assert len(own_events(agent)) == 1
        assert (agent.parts.gaps.count, agent.parts.telemetry.value("gap_bytes_total")) == (1, 20)


@pytest.mark.parametrize(
    "again",
    [
        GAP,
        Gap("f00", "/var/log/pods/x.20261123-100000", 10, 30, "deleted", False),  # it was renamed meanwhile
    ],
)
async def test_a_gap_that_is_found_again_after_a_kill_has_the_same_id(tmp_path: Path, again: Gap) -> None:
    ids = []
    for gap in (GAP, again):
        async with built(tmp_path, NOWHERE) as agent:  # nothing of the first run is in the checkpoint
            agent.parts.gaps.announce(gap)
            ids += [event["falcowatch"]["id"] for event in own_events(agent)]

    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_a_gap_of_unknown_size_has_the_same_id_whatever_was_seen_of_it(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        for end in (30, 40, 40):
            agent.parts.gaps.announce(Gap("f00", "/var/log/pods/x", 10, end, "deleted", True))

        assert len(own_events(agent)) == 1


@pytest.mark.parametrize(
    "other",
    [
        Gap("f01", "/var/log/pods/x", 10, 30, "deleted", False),
        Gap("f00", "/var/log/pods/x", 30, 40, "deleted", False),
        Gap("f00", "/var/log/pods/x", 10, 50, "deleted", False),
        Gap("f00", "/var/log/pods/x", 10, 30, "truncated", False),
    ],
)
async def test_two_different_gaps_are_two_events(tmp_path: Path, other: Gap) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(GAP)
        agent.parts.gaps.announce(other)

        first, second = own_events(agent)
        assert first["falcowatch"]["id"] != second["falcowatch"]["id"]


async def test_an_event_that_an_earlier_run_kept_is_not_published_twice(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(GAP)
        kept = agent.parts.outbox.pending

    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.outbox.resend(kept)
        agent.parts.gaps.announce(GAP)

        assert len(own_events(agent)) == 1
        assert agent.parts.outbox.pending == kept


async def test_a_path_that_is_not_text_is_announced_with_its_bytes_escaped(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(Gap("f00", "/var/log/\udcff.log", 10, 30, "deleted", False))

        [event] = own_events(agent)
        assert event["output_fields"]["path"] == "/var/log/\\xff.log"
        assert event["output"] == "20 bytes of /var/log/\\xff.log were lost: deleted"
