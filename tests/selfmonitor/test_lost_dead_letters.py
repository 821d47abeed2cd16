"""A dead letter that could not be kept is announced in CloudWatch, because its record exists nowhere else."""

from hashlib import sha256
from pathlib import Path

from agent.core.values import Lane
from agent.selfmonitor.lost_dead_letters import MOST_PENDING, SHOWN_BYTES
from tests.deadletters.test_store import a_dead_letter
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events


async def test_a_lost_dead_letter_is_a_critical_event_with_id_reason_digest_and_its_first_bytes(tmp_path: Path) -> None:
    record = b"x" * 5000
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.dead_letters.announce(a_dead_letter(record, reason="invalid", file="f", offset=7))

        [event] = own_events(agent, Lane.URGENT)
        pending = agent.parts.outbox.pending

    assert (event["rule"], event["priority"]) == ("Falcowatch: dead letter lost", "Critical")
    assert event["output_fields"] == {
        "id": "f:7",
        "reason": "invalid",
        "bytes": 5000,
        "sha256": sha256(record).hexdigest(),
        "text": "x" * SHOWN_BYTES,
    }
    assert len(pending) == 1  # the checkpoint keeps it until CloudWatch has it


async def test_the_events_that_the_checkpoint_keeps_are_bounded(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        for offset in range(MOST_PENDING + 20):
            agent.parts.dead_letters.announce(a_dead_letter(reason="invalid", file="f", offset=offset))

        assert len(own_events(agent, Lane.URGENT)) == MOST_PENDING + 20
        assert len(agent.parts.outbox.pending) == MOST_PENDING
