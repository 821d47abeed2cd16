"""Values that travel between the stages of the agent. They have no behaviour."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct


class Lane(StrEnum):
    """A way to CloudWatch. Each lane has its own stream, and its own share of the budget and of the send slots."""

    ROUTINE = "routine"
    URGENT = "urgent"
    OTHER = "other"
    """Lines that are not alerts."""


class PodKey(NamedTuple):
    """The pod that an alert names. Each part may be missing."""

    namespace: str | None
    name: str | None
    uid: str | None
    container_id: str | None
    """12 or 64 hexadecimal characters, or `host`."""


class Fragment(Struct, frozen=True):
    """The bytes that enrichment appends to an alert. They are encoded once for each version of a pod."""

    plain: bytes
    """`,"kubernetes":{…}`, or empty."""
    escaped: bytes
    """The same bytes as they stand inside a JSON string: quotes and backslashes are escaped."""
    result: str
    """hit, miss, host or late: the label of `enrichment_total`."""


class Destination(Struct, frozen=True):
    """The log group and the log stream that a lane is sent to."""

    group: str
    stream: str


class PutReply(Struct, frozen=True):
    """The content of a 200 reply to PutLogEvents: which events of the batch CloudWatch rejected.

    The indices are those of PutLogEvents (reference, read 2026-11): CloudWatch rejected the events before
    `too_old_end`, those before `expired_end`, and those from `too_new_start` on. It accepted all others.
    """

    too_old_end: int | None = None
    expired_end: int | None = None
    too_new_start: int | None = None
    next_token: str | None = None
    entity_error: str | None = None
    """Why CloudWatch rejected the entity. It accepted the events all the same."""
