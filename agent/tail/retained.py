"""Decides which files are closed of those that are only kept open for their bytes or for a late write.

Two bounds: `tail.retain_deleted_bytes` for unread bytes of deleted files, and a number of descriptors for files that
have ended. Beyond them the oldest files are closed, and bytes that can no longer be read are a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.tail.names import printable
from agent.tail.tailer import Tailer
from agent.tail.types import Gap, Reading

MOST_ENDED: Final = 256
"""Files that have ended and stay open, because a process may still write to them."""

DELETED: Final = "deleted"

STILL_WRITTEN: Final = "deleted while it was written to"


def release_excess(tailers: Sequence[Tailer], reading: Reading) -> None:
    _bound_unread(tailers, reading)
    _bound_ended(tailers, reading)


def _bound_unread(tailers: Sequence[Tailer], reading: Reading) -> None:
    deleted = [file for tailer in tailers for file in tailer.files if file.deleted and file.unread]
    excess = sum(file.unread for file in deleted) - reading.settings.retain_deleted_bytes
    for file in deleted:
        if excess <= 0:
            return
        excess -= file.unread
        start, lost = file.end, file.give_up()
        reading.announce(Gap(file.id, printable(file.path), start, start + lost, DELETED))


def _bound_ended(tailers: Sequence[Tailer], reading: Reading) -> None:
    ended = [file for tailer in tailers for file in tailer.files if file.ended and not file.unread]
    for file in sorted(ended, key=lambda file: file.wrote_at)[: max(0, len(ended) - MOST_ENDED)]:
        if file.deleted and file.may_be_written:
            reading.announce(Gap(file.id, printable(file.path), file.end, file.end, STILL_WRITTEN, at_least=True))
        file.give_up()
