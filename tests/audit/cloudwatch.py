"""Puts a history into an embedded CloudWatch, event by event, at the times at which the node sent them."""

from collections.abc import Iterable

import orjson

from agent.audit.history import RawEvent
from agent.core.values import Destination
from agent.local.emulator import EmbeddedCloudWatch
from tests.audit.history import START_MS
from tests.cloudwatch.clients import client_of

GROUP = "falco"


class Clock:
    """The clock of the embedded CloudWatch, in seconds."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> float:
        return self.ms / 1000


async def put(cloudwatch: EmbeddedCloudWatch, clock: Clock, events: Iterable[RawEvent], group: str = GROUP) -> None:
    known: set[Destination] = set()
    async with client_of(cloudwatch) as client:
        for event in events:
            clock.ms = event.ingested_ms
            destination = Destination(group, event.stream)
            if destination not in known:
                await client.create(destination)
                known.add(destination)
            await client.put(destination, [_as_json(event)])


def _as_json(event: RawEvent) -> bytes:
    return orjson.dumps([{"timestamp": event.time_ms, "message": event.message.decode()}])
