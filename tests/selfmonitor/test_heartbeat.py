"""The heartbeat: its interval, its fields, its text."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

from agent.app import Agent
from agent.core.values import Lane
from agent.selfmonitor.heartbeat import Heartbeat
from agent.tail.types import Gap
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events, running, until


def heartbeats(agent: Agent, seconds: float) -> Coroutine[None, None, None]:
    parts = agent.parts
    return Heartbeat(
        seconds,
        books=agent.status.books,
        gaps=parts.gaps,
        defects=parts.telemetry.defects,
        state=parts.falco_watch.heartbeat_fields,
        send=agent._send_heartbeat,
        due=asyncio.Event(),
    ).run()


async def test_a_heartbeat_carries_the_books_their_text_and_a_sequence_number(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)), cri(b""))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)
        agent.parts.gaps.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))
        async with running(heartbeats(agent, 0.01)):
            await until(lambda: len(own_events(agent, Lane.ROUTINE)) >= 2)

        first, second = own_events(agent, Lane.ROUTINE)[:2]
        assert first["rule"] == "Falcowatch: heartbeat"
        assert first["source"] == "falcowatch"
        assert first["priority"] == "Informational"
        assert first["hostname"] == "node-a"
        assert first["output"] == "read 2, shipped 0, filtered 1, rejected 0, in flight 1, gaps 1"
        assert first["output_fields"] == {
            "books.read": 2,
            "books.shipped": 0,
            "books.filtered": 1,
            "books.rejected": 0,
            "books.in_flight": 1,
            "gap.count": 1,
            "gap.bytes": 20,
            "heartbeat.sequence": 1,
        }
        assert second["output_fields"] == {**first["output_fields"], "heartbeat.sequence": 2}


async def test_the_first_heartbeat_comes_at_the_start_and_zero_seconds_mean_none(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        await heartbeats(agent, 0)
        assert own_events(agent) == []

        async with running(heartbeats(agent, 1e6)):
            await until(lambda: own_events(agent))
        assert len(own_events(agent)) == 1


async def test_a_heartbeat_names_the_parts_that_had_defects(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.telemetry.defects.note("enrichment", ValueError("broken"))
        async with running(heartbeats(agent, 1e6)):
            await until(lambda: own_events(agent))

        [event] = own_events(agent)
        assert event["output_fields"]["defects.enrichment"] == 1
