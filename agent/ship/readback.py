"""After a crash: asks CloudWatch which of the intended records it has.

GetLogEvents shows an event some moments after it was accepted, so what is missing is looked for again, for at most
ARRIVAL_SECONDS. Without the right to ask, or for a stream that cannot be asked for, nothing counts as arrived: those
records are sent again. While CloudWatch does not answer, this waits: nothing could be sent either.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Set
from typing import Final, Protocol

from agent.core.backoff import Backoff
from agent.core.event_id import RecordId, record_id
from agent.core.values import Destination
from agent.errors import Denied, Missing, PutError, Throttled, Unavailable
from agent.ship.journal import Intent

ARRIVAL_SECONDS: Final = 5.0
"""For so long a record that is not there is looked for again, counted from the start of the first look.

Long for CloudWatch, which shows most events within a second (the references of PutLogEvents and GetLogEvents promise
no time), and short for a restart. A record that shows later than that arrives twice, under the same id."""

LOOK_SECONDS: Final = 0.5
"""Between two looks."""

NEARBY_MS: Final = 1_000
"""Ranges so close to each other are asked for in one call: the account has but ten of them a second."""

BACKOFF: Final = Backoff(0.5, 20.0)

log = logging.getLogger(__name__)


class ReadsBack(Protocol):
    """The part of the client that is needed here."""

    def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]: ...

    async def reopen(self) -> None: ...


async def arrived(client: ReadsBack, intents: Iterable[Intent]) -> dict[str, set[int]]:
    """File id → the offsets of those intended records that CloudWatch has. Ends when that is known."""
    by_stream: dict[Destination, list[Intent]] = {}
    for intent in intents:
        by_stream.setdefault(intent.destination, []).append(intent)
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(_in_stream(client, stream, wanted)) for stream, wanted in by_stream.items()]
    offsets: dict[str, set[int]] = {}
    for look in looks:
        for identity in look.result():
            offsets.setdefault(identity.file, set()).add(identity.offset)
    return offsets


async def _in_stream(client: ReadsBack, stream: Destination, intents: list[Intent]) -> set[RecordId]:
    loop = asyncio.get_running_loop()
    found: set[RecordId] = set()
    deadline = loop.time() + ARRIVAL_SECONDS
    while intents:
        last = loop.time() >= deadline
        wanted = set().union(*map(_ids, intents))
        for start_ms, end_ms in _ranges(intents):
            if not await _look(client, stream, start_ms, end_ms, wanted, found):
                return found
        intents = [intent for intent in intents if not _ids(intent) <= found]
        if last:
            break
        if intents:
            await asyncio.sleep(LOOK_SECONDS)
    return found


async def _look(
    client: ReadsBack, stream: Destination, start_ms: int, end_ms: int, wanted: Set[RecordId], found: set[RecordId]
) -> bool:
    """Adds to `found` what is wanted and there. False: there is no use in asking."""
    failures = 0
    while True:
        try:
            async for _, message in client.read_back(stream, start_ms, end_ms):
                identity = record_id(message)
                if identity is not None and identity in wanted:
                    found.add(identity)
        except Missing:
            return False  # no stream, so nothing is in it
        except PutError as error:
            if not _may_pass(error):
                log.error(
                    "what arrived before the crash cannot be read back, it may be sent again; "
                    "cloudwatch.resume: exact needs the permission logs:GetLogEvents",
                    extra={"group": stream.group, "stream": stream.stream, "why": str(error)},
                )
                return False
            failures += 1
            log.warning(
                "reading back did not succeed, it will be tried again",
                extra={"stream": stream.stream, "reason": error.reason, "why": str(error)},
            )
            if isinstance(error, Denied):
                await client.reopen()
            await asyncio.sleep(BACKOFF.seconds(failures, random.random()))
        else:
            return True


def _may_pass(error: PutError) -> bool:
    """A missing permission stays missing; credentials that expired or are not there yet come back."""
    return isinstance(error, Throttled | Unavailable) or (isinstance(error, Denied) and error.reason != "denied")


def _ids(intent: Intent) -> set[RecordId]:
    return {RecordId(file, offset) for file, offsets in intent.records.items() for offset in offsets}


def _ranges(intents: Iterable[Intent]) -> list[tuple[int, int]]:
    """Their times, read together where they overlap or nearly do; the end is excluded."""
    ranges: list[tuple[int, int]] = []
    for start, end in sorted((intent.earliest_ms, intent.latest_ms + 1) for intent in intents):
        if ranges and start <= ranges[-1][1] + NEARBY_MS:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((start, end))
    return ranges
