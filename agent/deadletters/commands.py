"""The command `falcowatch dead-letters`: lists the dead letters, and puts them again.

A dead letter goes to the group and stream it was meant for. It arrives when its cause is gone, for example a retention
that was too short or a wrong clock. A dead letter that is refused again, or is too large to go whole, is kept.

Most dead letters are events that the agent made. Those of records that were shortened or had a defect are the bytes of
the log file, which may be forged: with keys that only the agent writes, they ship wrapped and marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

import orjson

from agent.core.batching.batch import Batch
from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.pending import PendingSpans
from agent.core.batching.rejected import rejected
from agent.core.batching.span import Span
from agent.core.dead_letter import DeadLetter
from agent.core.processing.reserved import reserved_in
from agent.core.values import Destination, PutReply
from agent.deadletters.replay import replay
from agent.deadletters.store import DeadLetterStore, read_dead_letters
from agent.errors import Invalid, Missing, StateError

DIRECTORY = "dead-letters"
"""Below the state directory."""

AS_WRITTEN: Final = frozenset({"truncated", "defect"})
"""The reasons of dead letters that hold the bytes of a log file, and not an event of the agent."""


class Sink(Protocol):
    """CloudWatch Logs, as far as a replay needs it; `LogsClient` is one."""

    async def put(self, destination: Destination, events: Sequence[bytes]) -> PutReply: ...

    async def create(self, destination: Destination) -> None: ...


def lines(state_dir: Path) -> Iterator[str]:
    """One line for each dead letter, oldest first. A line never holds the text of an alert.

    Raises StateError when the directory cannot be read.
    """
    with _readable(state_dir / DIRECTORY) as directory:
        found = list(map(_line, read_dead_letters(directory)))
    yield from found or [f"no dead letters in {directory}"]


def _line(found: DeadLetter) -> str:
    where = f"{found.destination.group} {found.destination.stream}".strip() or "-"
    return f"{found.time}  {found.reason:10} {found.size:>9} bytes  {found.file}:{found.offset}  {where}"


async def put_again(state_dir: Path, sink: Sink) -> tuple[int, int]:
    """How many dead letters arrived, and how many remain.

    Raises PutError when CloudWatch cannot be reached, and StateError when the directory cannot be read.
    """
    directory = state_dir / DIRECTORY
    store = DeadLetterStore(directory)
    kept = 0

    async def put(dead_letters: list[DeadLetter]) -> None:
        nonlocal kept
        too_large = [one for one in dead_letters if one.size > LARGEST_MESSAGE_BYTES or not one.destination.group]
        refused = [*too_large]
        ready = sorted((one for one in dead_letters if one not in too_large), key=_destination)
        for destination, group in groupby(ready, key=lambda dead_letter: dead_letter.destination):
            refused += await _put(sink, destination, list(group))
        await asyncio.to_thread(store.append, refused)
        kept += len(refused)

    with _readable(directory):
        handed_out = await replay(directory, put)
    return handed_out - kept, kept


@contextmanager
def _readable(directory: Path) -> Iterator[Path]:
    try:
        yield directory
    except OSError as error:
        raise StateError(
            f"{error.filename or directory}: dead letters cannot be read ({error.strerror}); "
            "run this command as the user of the agent"
        ) from error


async def _put(sink: Sink, destination: Destination, dead_letters: list[DeadLetter]) -> list[DeadLetter]:
    """Puts the dead letters in batches and returns those that were refused."""
    span = Span()
    for number, dead_letter in enumerate(dead_letters):
        span.append(dead_letter.timestamp_ms, _message(dead_letter), number)
    waiting = PendingSpans()
    waiting.add(span)
    refused: list[DeadLetter] = []
    while waiting.events:
        refused += [dead_letters[number] for number in await _put_batch(sink, destination, waiting.take(now_ms=0))]
    return refused


async def _put_batch(sink: Sink, destination: Destination, batch: Batch) -> list[int]:
    """The numbers of the events that were refused."""
    try:
        reply = await sink.put(destination, batch.encode())
    except Missing:
        await sink.create(destination)
        reply = await sink.put(destination, batch.encode())
    except Invalid:
        if batch.events == 1:
            return [_number(batch, 0)]
        first, second = batch.halves()
        return await _put_batch(sink, destination, first) + await _put_batch(sink, destination, second)
    return [
        _number(batch, position) for start, stop, _ in rejected(reply, batch.events) for position in range(start, stop)
    ]


def _message(dead_letter: DeadLetter) -> bytes:
    text = dead_letter.message.decode(errors="replace")
    forged = reserved_in(dead_letter.message) if dead_letter.reason in AS_WRITTEN else []
    is_wrapped_already = dead_letter.reason == "truncated" and forged == ["log"]
    if not forged or is_wrapped_already:
        return text.encode()
    identity = f"{dead_letter.file}:{dead_letter.offset}"
    return orjson.dumps({"log": text, "stream": "unknown", "falcowatch": {"id": identity, "forged": forged}})


def _number(batch: Batch, position: int) -> int:
    span, at = batch.where(position)
    return span.offsets[at]


def _destination(dead_letter: DeadLetter) -> tuple[str, str]:
    return dead_letter.destination.group, dead_letter.destination.stream
