"""After a crash: asks CloudWatch which of the intended records have arrived. The streams are read in parallel.

GetLogEvents shows an event some moments after PutLogEvents accepted it, so missing records are looked for again for at
most ARRIVAL_SECONDS. Without the permission to read, or when a stream cannot be read (the class of its group may not
support it), no record counts as arrived and all are sent again. While CloudWatch does not answer, this module waits: no
record could be sent either.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Set
from typing import Final

from agent.core.backoff import Backoff
from agent.core.event_id import RecordId, record_id
from agent.core.values import Destination
from agent.errors import Denied, Missing, PutError, Throttled, Unavailable
from agent.ship.journal import Intent
from agent.ship.sink import ReadableSink

ARRIVAL_SECONDS: Final = 5.0
"""So long, from the start of the first look, a missing record is looked for again.

CloudWatch shows most events within a second; the references of PutLogEvents and GetLogEvents promise no time. A record
that CloudWatch shows later than this arrives twice, with the same id."""

LOOK_SECONDS: Final = 0.5
"""Between two looks."""

NEARBY_MS: Final = 1_000
"""Ranges closer than this are read in one call: an account has only ten GetLogEvents calls a second."""

MOST_UNEXPECTED: Final = 10
"""Answers in a row that no rule explains. Behind them is no outage, in which nothing could be sent either: CloudWatch
or a proxy refuses GetLogEvents alone, and waiting would keep the agent from reading for ever."""

BACKOFF: Final = Backoff(0.5, 20.0)

log = logging.getLogger(__name__)


async def arrived(sink: ReadableSink, intents: Iterable[Intent], *, waited_seconds: float = 0.0) -> dict[str, set[int]]:
    """File id → the offsets of the intended records that CloudWatch has.

    `waited_seconds`: how long earlier runs have waited already. Nothing was sent meanwhile, so an agent that is always
    killed within ARRIVAL_SECONDS still comes to an end with the next run.
    """
    patience = max(0.0, ARRIVAL_SECONDS - waited_seconds)
    by_stream: dict[Destination, list[Intent]] = {}
    for intent in intents:
        by_stream.setdefault(intent.destination, []).append(intent)
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(_in_stream(sink, stream, wanted, patience)) for stream, wanted in by_stream.items()]
    offsets: dict[str, set[int]] = {}
    for look in looks:
        for identity in look.result():
            offsets.setdefault(identity.file, set()).add(identity.offset)
    return offsets


async def _in_stream(
    sink: ReadableSink, stream: Destination, intents: list[Intent], patience_seconds: float
) -> set[RecordId]:
    loop = asyncio.get_running_loop()
    found: set[RecordId] = set()
    deadline = loop.time() + patience_seconds
    while intents:
        last = loop.time() >= deadline
        wanted = set().union(*map(_ids, intents))
        for start_ms, end_ms in _ranges(intents):
            if not await _look(sink, stream, start_ms, end_ms, wanted, found):
                return found
        intents = [intent for intent in intents if not _ids(intent) <= found]
        if last:
            break
        if intents:
            await asyncio.sleep(LOOK_SECONDS)
    return found


async def _look(
    sink: ReadableSink, stream: Destination, start_ms: int, end_ms: int, wanted: Set[RecordId], found: set[RecordId]
) -> bool:
    """Adds the wanted records that are in the stream to `found`. False: the stream cannot be read."""
    failures = unexpected = 0
    while True:
        try:
            async for _, message in sink.read_back(stream, start_ms, end_ms):
                identity = record_id(message)
                if identity is not None and identity in wanted:
                    found.add(identity)
        except Missing:
            return False  # without a stream there are no events
        except PutError as error:
            unexpected += error.reason == "unexpected"
            if not _may_pass(error) or unexpected >= MOST_UNEXPECTED:
                log.error(
                    "records that arrived before the crash cannot be read back and may be sent again; "
                    "cloudwatch.resume: exact needs the permission logs:GetLogEvents, "
                    "and a log group whose class supports it",
                    extra={"group": stream.group, "stream": stream.stream, "why": str(error)},
                )
                return False
            failures += 1
            log.warning(
                "reading back did not succeed, it will be tried again",
                extra={"stream": stream.stream, "reason": error.reason, "why": str(error)},
            )
            if isinstance(error, Denied):
                await sink.reopen()
            await asyncio.sleep(BACKOFF.seconds(failures, random.random()))
        else:
            return True


def _may_pass(error: PutError) -> bool:
    """True for errors that pass by themselves: throttling, outages, credentials that expired or do not exist yet."""
    return isinstance(error, Throttled | Unavailable) or (isinstance(error, Denied) and error.reason != "denied")


def _ids(intent: Intent) -> set[RecordId]:
    return {RecordId(file, offset) for file, offsets in intent.records.items() for offset in offsets}


def _ranges(intents: Iterable[Intent]) -> list[tuple[int, int]]:
    """The time ranges of the intents, joined where they overlap or nearly do. The end of a range is excluded."""
    ranges: list[tuple[int, int]] = []
    for start, end in sorted((intent.earliest_ms, intent.latest_ms + 1) for intent in intents):
        if ranges and start <= ranges[-1][1] + NEARBY_MS:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((start, end))
    return ranges
