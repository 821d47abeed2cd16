"""A gap becomes an urgent event in CloudWatch."""

from pathlib import Path

from agent.core.values import Lane
from agent.tail.reading import Gap
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events


async def test_a_gap_is_published_in_the_urgent_lane(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))

        [event] = own_events(agent, Lane.URGENT)
        assert (event["rule"], event["priority"]) == ("Falcowatch: gap", "Critical")
        assert event["output"] == "20 bytes of /var/log/pods/x were lost: deleted"
        assert (agent.parts.gaps.count, agent.parts.gaps.bytes) == (1, 20)
