"""The fault kit's own audit: it is silent on an honest history and finds what two verifiers find in another."""

from pathlib import Path

import pytest

from agent.audit.kinds import Kind
from agent.local.emulator import EmbeddedCloudWatch
from tests.audit.cloudwatch import GROUP, Clock, put
from tests.audit.history import Node
from tests.faults.audit import audit_group, audit_stored


def node(*, leaves: bool = True) -> Node:
    made = Node()
    for _ in range(3):
        made.write(5)
        made.read(5)
        made.seal()
    if leaves:
        made.leave()
    else:
        made.write(5)
        made.read(5)
    return made


async def stored(place: Path, made: Node, *, without: int | None = None) -> EmbeddedCloudWatch:
    """An embedded CloudWatch that holds the history, perhaps without one of its events. It is stopped."""
    clock = Clock()
    events = [event for position, event in enumerate(made.events) if position != without]
    async with EmbeddedCloudWatch(place / "cloudwatch", now=clock) as cloudwatch:
        await put(cloudwatch, clock, events)
    return cloudwatch


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFALCOWATCHTESTS0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


async def test_an_honest_history_is_proved(tmp_path: Path) -> None:
    cloudwatch = await stored(tmp_path, node())

    assert audit_group(cloudwatch, GROUP) == []
    assert audit_group(cloudwatch, "another group") == []


async def test_a_missing_event_is_found_by_both_verifiers(tmp_path: Path) -> None:
    made = node()
    alert = next(position for position, event in enumerate(made.events) if b'"seal"' not in event.message)
    cloudwatch = await stored(tmp_path, made, without=alert)

    found = audit_group(cloudwatch, GROUP)

    assert {line.partition(":")[0] for line in found} == {"audit", "reference"}
    assert "count differs" in found[0]


async def test_an_agent_that_was_killed_at_the_end_may_have_events_without_a_seal(tmp_path: Path) -> None:
    cloudwatch = await stored(tmp_path, node(leaves=False))

    assert audit_group(cloudwatch, GROUP) != []
    assert await audit_stored(tmp_path) == []


async def test_a_scenario_that_causes_a_problem_on_purpose_fails_without_it(tmp_path: Path) -> None:
    cloudwatch = await stored(tmp_path, node())

    assert audit_group(cloudwatch, GROUP, expected={Kind.CHAIN_RESTARTED}) == [
        "audit: found none of ['chain restarted']"
    ]
