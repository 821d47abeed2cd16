"""Puts dead letters once more, and forgets them only then.

Promises that a file is removed only when all its letters were put, also while an agent goes on burying beside it, and
that a replay which broke off starts again with the file it left. How a letter is put is the caller's.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.deadletters.store import REPLAYING_SUFFIX, UNREADABLE_SUFFIX, DeadLetter, letter_files, letters_in
from agent.errors import StateLocked

log = logging.getLogger(__name__)

MAX_LETTERS = 1000
MAX_BYTES = 1024 * 1024
"""Of the messages handed to `put` at once, unless one alone is longer: about a batch of PutLogEvents."""


async def replay(directory: Path, put: Callable[[list[DeadLetter]], Awaitable[None]]) -> int:
    """Hands out all letters, oldest first, and removes each file after its last letter was put; how many were put.

    `put` raises to stop: the file at hand stays whole and is replayed from its start next time, so some of its letters
    are put twice. Raises StateLocked when another replay is at work.
    """
    if not directory.is_dir():
        return 0
    count = 0
    with _only_one_replay(directory):
        # Only what is there now: a letter that `put` buries again must not be handed out for ever.
        for path in letter_files(directory):
            if path.suffix != UNREADABLE_SUFFIX and (taken := _taken(path)) is not None:
                count += await _replay_file(taken, put)
    return count


async def _replay_file(path: Path, put: Callable[[list[DeadLetter]], Awaitable[None]]) -> int:
    count = 0
    for batch in _batches(path):
        await put(batch)
        count += len(batch)
    if unreadable := sum(letter is None for letter in letters_in(path)):
        log.error("dead letters unreadable", extra={"file": str(path), "letters": unreadable})
        path.rename(path.with_suffix(UNREADABLE_SUFFIX))
    else:
        path.unlink()
    return count


def _batches(path: Path) -> Iterator[list[DeadLetter]]:
    batch: list[DeadLetter] = []
    size = 0
    for letter in letters_in(path):
        if letter is None:
            continue
        if batch and (len(batch) == MAX_LETTERS or size + letter.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += letter.size
    if batch:
        yield batch


def _taken(path: Path) -> Path | None:
    """The file under a name to which nobody appends; None when it was removed for room meanwhile."""
    taken = path.with_suffix(REPLAYING_SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # a burial holds it for one write
        path.rename(taken)
    except FileNotFoundError:
        return None
    finally:
        os.close(descriptor)
    return taken


@contextmanager
def _only_one_replay(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateLocked(f"{directory}: another replay is at work; wait for it or stop it") from error
        yield
    finally:
        os.close(descriptor)
