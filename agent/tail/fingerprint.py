"""The id of a log file, made from its first line."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

FINGERPRINT_BYTES: Final = 1024


JSON_FINGERPRINT_BYTES: Final = 128 * 1024
"""Of a line of JSON all of it: Docker's stamp and Falco's stand at its end."""


MARKER_BYTES: Final = 64
"""So many bytes before an offset tell whether a file still holds what was read of it."""


def identify(belongs_to: str, head: bytes, *, final: bool = False) -> str | None:
    """The id of a log file, the same wherever rotation moves it and whether it is compressed or not.

    Made from whose log it is and the first line, which holds a timestamp in nanoseconds in every format
    that is read. None while there is not enough of the file to tell; `final`: there will never be more.
    """
    line, newline, _ = head.partition(b"\n")
    enough = JSON_FINGERPRINT_BYTES if head.startswith(b"{") else FINGERPRINT_BYTES
    if not newline and len(head) < enough and not (final and head):
        return None
    return blake2b(line, digest_size=8, key=blake2b(belongs_to.encode(), digest_size=16).digest()).hexdigest()


def is_cut(head: bytes) -> bool:
    return len(head) == FINGERPRINT_BYTES and head.startswith(b"{") and b"\n" not in head


def digest(marker: bytes) -> str:
    """A marker as it is kept on disk, where no text of an alert belongs."""
    return blake2b(marker, digest_size=8).hexdigest()
