"""Hands out the dead letters once more, and removes a file only after all its dead letters were put.

An agent may append new dead letters at the same time. A replay that broke off starts again with the file it left.
The caller decides how a dead letter is put.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.dead_letter import DeadLetter
from agent.deadletters.store import REPLAYING_SUFFIX, UNREADABLE_SUFFIX, dead_letter_files, dead_letters_in
from agent.errors import StateLocked

log = logging.getLogger(__name__)

MAX_DEAD_LETTERS = 1000
MAX_BYTES = 1024 * 1024
"""Bound on the messages handed to `put` at once, about a batch of PutLogEvents; one longer message goes alone."""


async def replay(directory: Path, put: Callable[[list[DeadLetter]], Awaitable[None]]) -> int:
    """Hands out all dead letters, oldest first, removes each file after its last one, and returns how many were put.

    `put` raises to stop. Then the current file stays whole and the next replay starts at its beginning, so some of its
    dead letters are put twice. Raises StateLocked while another replay runs.
    """
    if not directory.is_dir():
        return 0
    count = 0
    with _only_one_replay(directory):
        # Only the files of now: a dead letter that `put` writes again must not be handed out for ever.
        for path in dead_letter_files(directory):
            if path.suffix != UNREADABLE_SUFFIX and (taken := _taken(path)) is not None:
                count += await _replay_file(taken, put)
    return count


async def _replay_file(path: Path, put: Callable[[list[DeadLetter]], Awaitable[None]]) -> int:
    count = 0
    for batch in _batches(path):
        await put(batch)
        count += len(batch)
    if unreadable := sum(dead_letter is None for dead_letter in dead_letters_in(path)):
        log.error("dead letters unreadable", extra={"file": str(path), "lines": unreadable})
        path.rename(path.with_suffix(UNREADABLE_SUFFIX))
    else:
        path.unlink()
    return count


def _batches(path: Path) -> Iterator[list[DeadLetter]]:
    batch: list[DeadLetter] = []
    size = 0
    for dead_letter in dead_letters_in(path):
        if dead_letter is None:
            continue
        if batch and (len(batch) == MAX_DEAD_LETTERS or size + dead_letter.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(dead_letter)
        size += dead_letter.size
    if batch:
        yield batch


def _taken(path: Path) -> Path | None:
    """Renames the file so that nobody appends to it; None when it was removed for room meanwhile."""
    taken = path.with_suffix(REPLAYING_SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # an append holds the lock for one write
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
            raise StateLocked(f"{directory}: another replay is running; wait for it or stop it") from error
        yield
    finally:
        os.close(descriptor)
