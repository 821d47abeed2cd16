"""Which events of a batch CloudWatch rejected inside a 200 reply."""

from __future__ import annotations

from typing import NamedTuple

from agent.core.values import PutReply


class Rejected(NamedTuple):
    """The events at the positions `start` to `stop` of a put. CloudWatch will never accept them."""

    start: int
    stop: int
    reason: str


def rejected(reply: PutReply, events: int) -> list[Rejected]:
    """CloudWatch accepted the events from the later of the two ends up to the start of those that are too new."""
    too_old = min(reply.too_old_end or 0, events)
    expired = min(reply.expired_end or 0, events)
    too_new = events if reply.too_new_start is None else max(reply.too_new_start, too_old, expired)
    ranges = [
        Rejected(0, too_old, "too_old"),
        Rejected(too_old, expired, "expired"),
        Rejected(too_new, events, "too_new"),
    ]
    return [part for part in ranges if part.start < part.stop]
