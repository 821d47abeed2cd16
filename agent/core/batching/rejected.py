"""Which events of a put CloudWatch did not accept."""

from __future__ import annotations

from typing import NamedTuple

from agent.core.values import PutReply


class Rejected(NamedTuple):
    """Events of a put that CloudWatch will never take: positions `start` to `stop`, and why."""

    start: int
    stop: int
    reason: str


def rejected(reply: PutReply, events: int) -> list[Rejected]:
    """What a 200 did not accept. Accepted are those from the later of the two ends up to the start."""
    too_old = min(reply.too_old_end or 0, events)
    expired = min(reply.expired_end or 0, events)
    too_new = events if reply.too_new_start is None else max(reply.too_new_start, too_old, expired)
    ranges = [
        Rejected(0, too_old, "too_old"),
        Rejected(too_old, expired, "expired"),
        Rejected(too_new, events, "too_new"),
    ]
    return [part for part in ranges if part.start < part.stop]
