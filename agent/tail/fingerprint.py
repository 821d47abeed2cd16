"""The id of a log file, made from its first line."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Final

from agent.core.reading.line_formats import Plain, recognise

FINGERPRINT_BYTES: Final = 1024

JSON_FINGERPRINT_BYTES: Final = 128 * 1024
"""A line of JSON is taken whole: the times of Docker and of Falco stand at its end."""

MARKER_BYTES: Final = 64
"""This many bytes before an offset show whether a file still holds what was read of it."""


def identify(source_identity: str, head: bytes, *, final: bool = False) -> str | None:
    """The id of a log file, the same wherever rotation moves the file and whether or not it is compressed.

    Made from the source and the first line, which holds a time in nanoseconds in every format that is read.
    None: the file holds too little to tell. `final`: nothing more will be written to it.
    """
    line, newline, _ = head.partition(b"\n")
    enough = JSON_FINGERPRINT_BYTES if head.startswith(b"{") else FINGERPRINT_BYTES
    if not newline and len(head) < enough and not (final and head):
        return None
    key = blake2b(os.fsencode(source_identity), digest_size=16).digest()
    return blake2b(line, digest_size=8, key=key).hexdigest()


def is_cut(head: bytes) -> bool:
    """The head holds only part of a first line of JSON."""
    return len(head) == FINGERPRINT_BYTES and head.startswith(b"{") and b"\n" not in head


def has_stamp(head: bytes) -> bool:
    """Whether the first line holds a time in nanoseconds, so that no other log begins with it."""
    line = head.partition(b"\n")[0]
    return not isinstance(recognise(head), Plain) or b'"time":"' in line


def digest(marker: bytes) -> str:
    """A marker as the checkpoint keeps it: without the text of an alert."""
    return blake2b(marker, digest_size=8).hexdigest()
