"""docs/events.md describes exactly the events that the agent publishes: kind, priority, stream and fields."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import orjson

from agent.core.dead_letter import dead_letter
from agent.core.falco_state import FalcoChange, FalcoState, FalcoView
from agent.core.values import Destination, Lane
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.falco_events import node_event, transition_event
from agent.selfmonitor.heartbeat import Heartbeat
from agent.selfmonitor.liveness import Transition
from agent.selfmonitor.lost_dead_letters import announce_lost
from agent.ship.control_event import control_event
from agent.tail.types import Gap
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events
from tools import ROOT
from tools.reference.events import ANY, EVENTS, ROUTINE, URGENT

PAGES = {page.kind: page for page in EVENTS}
STATES = get_args(get_type_hints(Transition)["state"])


def constants_of(module: ast.Module) -> Iterator[tuple[str, object]]:
    """Yields the constants at the top level of a module, with their values."""
    for node in module.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)):
                yield name, value


def published_kinds() -> Iterator[str]:
    """Yields the kind of each `OwnEvent(kind, …)` and `_Wording(kind, …)` in the code of the agent."""
    modules = [ast.parse(path.read_text()) for path in sorted((ROOT / "agent").rglob("*.py"))]
    everywhere = {name: value for module in modules for name, value in constants_of(module)}
    for module in modules:
        constants = everywhere | dict(constants_of(module))  # its own constants come first
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Name(id="OwnEvent" | "_Wording"), args=[ast.Constant(value=kind), *_]):
                    yield str(kind)
                case ast.Call(func=ast.Name(id="OwnEvent"), args=[ast.Name(id=name), *_]):
                    yield str(constants[name])


def falco_events() -> Iterator[OwnEvent]:
    for state in STATES:
        for by in ("", "falco/falco-2"):
            yield transition_event(Transition("falco/falco-1", state, 900.0, by, at_start=True))
    for state in FalcoState:
        blind = state not in (FalcoState.READING, FalcoState.SILENT)
        yield node_event(FalcoChange(FalcoView(state, (), "why", blind, 300.0, True), 300.0))


def test_the_page_describes_every_kind_of_event_and_no_other():
    assert set(published_kinds()) | {"control"} == set(PAGES)


def test_the_events_about_falco_have_the_priority_the_stream_and_the_fields_of_the_page():
    seen: dict[str, set[str]] = {}
    for event in falco_events():
        page = PAGES[event.kind]
        assert (page.priority, page.stream) == (event.priority, URGENT if event.lane is Lane.URGENT else ROUTINE)
        seen.setdefault(event.kind, set()).update(event.fields)

    for kind, fields in seen.items():
        assert fields - {"falco.successor"} == set(PAGES[kind].fields) - {"falco.successor"}, kind


def test_the_control_event_has_the_priority_of_the_page():
    ((event,),) = [orjson.loads(piece) for piece in control_event(node="n", cluster="", time_ms=0)]

    message = orjson.loads(event["message"])

    assert (PAGES["control"].priority, PAGES["control"].stream) == (message["priority"], ANY)
    assert message["output_fields"] == {}


async def test_the_events_about_losses_have_the_priority_the_stream_and_the_fields_of_the_page(tmp_path: Path):
    letter = dead_letter(
        b"x",
        reason="invalid",
        file="f00",
        offset=0,
        destination=Destination("g", "s"),
        timestamp_ms=0,
        now=datetime.now(UTC),
    )
    async with built(tmp_path, NOWHERE) as agent:
        agent.parts.gaps.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))
        announce_lost(agent.parts.outbox, letter)

        for event, kind in zip(own_events(agent, Lane.URGENT), ("gap", "dead letter lost"), strict=True):
            assert event["rule"] == f"Falcowatch: {kind}"
            assert (PAGES[kind].priority, PAGES[kind].stream) == (event["priority"], URGENT)
            assert event["output_fields"].keys() == PAGES[kind].fields.keys()


async def test_every_field_of_a_heartbeat_is_on_the_page(tmp_path: Path):
    sent: list[OwnEvent] = []

    async def send(event: OwnEvent, leaving: bool) -> bool:
        sent.append(event)
        return True

    async with built(tmp_path, NOWHERE) as agent:
        parts = agent.parts
        heartbeat = Heartbeat(
            60,
            books=agent.status.books,
            gaps=parts.gaps,
            defects=parts.telemetry.defects,
            state=agent.status.heartbeat_fields,
            send=send,
            due=asyncio.Event(),
        )
        await heartbeat.leave()

    (event,) = sent
    page = PAGES[event.kind]
    assert (page.priority, page.stream) == (event.priority, ROUTINE)
    assert event.lane is Lane.ROUTINE
    assert set(event.fields) - set(page.fields) == set()
