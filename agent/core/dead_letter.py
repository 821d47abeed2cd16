"""A record that CloudWatch rejected, or could not take whole, with everything that a later replay needs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from msgspec import Struct

from agent.core.values import Destination


class DeadLetter(Struct, frozen=True):
    time: str
    """When the record was rejected, as an RFC 3339 time."""
    reason: str
    """too_old, too_new, expired, invalid, truncated …: the label of `dead_letters_total`."""
    file: str
    offset: int
    destination: Destination
    timestamp_ms: int
    """The timestamp of the event, as it was or would have been put."""
    size: int
    digest: str
    """SHA-256 of the message. The shortened event names the digest of the record's text instead: without whitespace at
    its end, and with U+FFFD for each byte that is not UTF-8."""
    message: bytes
    """The whole original text."""


def dead_letter(
    message: bytes, *, reason: str, file: str, offset: int, destination: Destination, timestamp_ms: int, now: datetime
) -> DeadLetter:
    return DeadLetter(
        time=now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        reason=reason,
        file=file,
        offset=offset,
        destination=destination,
        timestamp_ms=timestamp_ms,
        size=len(message),
        digest=hashlib.sha256(message).hexdigest(),
        message=message,
    )
