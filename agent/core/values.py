"""The values that travel between the stations, with no behaviour of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Lane(StrEnum):
    """The ways to CloudWatch; each has a stream of its own, and its own share of budget and slots."""

    ROUTINE = "routine"
    URGENT = "urgent"
    OTHER = "other"
    """Lines that are no alert."""


class PodKey(NamedTuple):
    """What an alert says about the pod it happened in; any part may be missing."""

    namespace: str | None
    name: str | None
    uid: str | None
    container_id: str | None
    """12 or 64 hexadecimal characters, or `host`."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The bytes that enrichment appends to an alert, encoded once for each version of a pod."""

    plain: bytes
    """`,"kubernetes":{…}`, or nothing."""
    escaped: bytes
    """The same as it stands inside a JSON string: quotes and backslashes escaped."""
    result: str
    """hit, miss, host or late: the label of `enrichment_total`."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a lane's events go."""

    group: str
    stream: str


@dataclass(frozen=True, slots=True)
class PutReply:
    """What CloudWatch said inside a 200: which events of the batch it will never take.

    Indices as PutLogEvents means them (reference, read 2026-11): events before `too_old_end` and
    before `expired_end` are refused, and those from `too_new_start` on; all else is accepted.
    """

    too_old_end: int | None = None
    expired_end: int | None = None
    too_new_start: int | None = None
    next_token: str | None = None
    entity_error: str | None = None
    """Why the entity was refused; the events themselves were taken."""
