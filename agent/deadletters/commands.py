"""`falcowatch dead-letters`: shows what CloudWatch would not take, and puts it again.

A letter goes to where it was meant to go. What has been mended by now (a retention that was too short, a
clock that was wrong) arrives; what is refused again, and what is too large to go whole, stays a letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.core.batching.batch import Batch
from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.pending import PendingSpans
from agent.core.batching.rejected import rejected
from agent.core.batching.span import Span
from agent.core.values import Destination
from agent.deadletters.replay import replay
from agent.deadletters.store import DeadLetter, DeadLetters, read_letters
from agent.errors import Invalid, Missing
from agent.settings import Settings

DIRECTORY = "dead-letters"
"""Below the state directory."""


def lines(state_dir: Path) -> Iterator[str]:
    """One line for each letter, oldest first; never the text of an alert."""
    for letter in read_letters(state_dir / DIRECTORY):
        where = f"{letter.destination.group} {letter.destination.stream}".strip() or "-"
        yield f"{letter.time}  {letter.reason:10} {letter.size:>9} bytes  {letter.file}:{letter.offset}  {where}"


async def put_again(settings: Settings) -> tuple[int, int]:
    """How many letters arrived, and how many remain. Raises PutError when CloudWatch cannot be reached."""
    directory = settings.state_dir / DIRECTORY
    kept = 0
    async with open_cloudwatch(settings.cloudwatch) as client:
        again = DeadLetters(directory)

        async def put(letters: list[DeadLetter]) -> None:
            nonlocal kept
            too_large = [one for one in letters if one.size > LARGEST_MESSAGE_BYTES or not one.destination.group]
            refused = [*too_large]
            ready = sorted((one for one in letters if one not in too_large), key=_destination)
            for destination, group in groupby(ready, key=lambda letter: letter.destination):
                refused += await _put(client, destination, list(group))
            await asyncio.to_thread(again.bury, refused)
            kept += len(refused)

        handed_out = await replay(directory, put)
    return handed_out - kept, kept


async def _put(client: LogsClient, destination: Destination, letters: list[DeadLetter]) -> list[DeadLetter]:
    """Puts them in batches; those that were refused."""
    span = Span()
    for number, letter in enumerate(letters):
        span.append(letter.timestamp_ms, letter.message.decode(errors="replace").encode(), number)
    waiting = PendingSpans()
    waiting.add(span)
    refused: list[DeadLetter] = []
    while waiting.events:
        refused += [letters[number] for number in await _put_batch(client, destination, waiting.take())]
    return refused


async def _put_batch(client: LogsClient, destination: Destination, batch: Batch) -> list[int]:
    try:
        reply = await client.put(destination, batch.encode())
    except Missing:
        await client.create(destination)
        reply = await client.put(destination, batch.encode())
    except Invalid:
        if batch.events == 1:
            return [_number(batch, 0)]
        first, second = batch.halves()
        return await _put_batch(client, destination, first) + await _put_batch(client, destination, second)
    return [
        _number(batch, position) for start, stop, _ in rejected(reply, batch.events) for position in range(start, stop)
    ]


def _number(batch: Batch, position: int) -> int:
    span, at = batch.where(position)
    return span.offsets[at]


def _destination(letter: DeadLetter) -> tuple[str, str]:
    return letter.destination.group, letter.destination.stream
