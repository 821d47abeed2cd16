"""The limits of PutLogEvents, as a function on values: it takes one batch and returns the accepted part, or raises.

It follows the API reference (read 2026-11) in every limit: a refusal of the whole batch raises; events that are too
old, too new or expired are cut off by index. Names, tags and the other parameters are checked in `parameters`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter, le

from agent.local.emulator.parameters import GROUP_CLASSES
from agent.local.emulator.replies import ServiceError, invalid_member, invalid_parameter, serialization

MAX_BATCH_BYTES = 1_048_576
MAX_BATCH_EVENTS = 10_000
MAX_EVENT_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
"""Counted for each event beside its UTF-8 bytes."""

DAY_MS = 86_400_000
MAX_AGE_MS = 14 * DAY_MS
MAX_FUTURE_MS = 2 * 3_600_000
MAX_SPAN_MS = DAY_MS

ENTITY_KEYS = frozenset({"Type", "ResourceType", "Identifier", "Name", "Environment"})
ENTITY_TYPES = frozenset({"Service", "RemoteService", "Resource", "AWS::Service", "AWS::Resource"})


@dataclass(frozen=True, slots=True)
class Rejected:
    """The index ranges that AWS rejects by age: [0, too_old_end), [0, expired_end), [too_new_start, n)."""

    too_old_end: int | None
    too_new_start: int | None
    expired_end: int | None

    def as_reply(self) -> dict[str, int]:
        reply = {
            "tooNewLogEventStartIndex": self.too_new_start,
            "tooOldLogEventEndIndex": self.too_old_end,
            "expiredLogEventEndIndex": self.expired_end,
        }
        return {name: index for name, index in reply.items() if index is not None}


@dataclass(frozen=True, slots=True)
class Batch:
    """The accepted events of one put: parallel lists, and all messages in one UTF-8 payload joined by newlines."""

    timestamps: Sequence[int]
    lengths: Sequence[int]
    payload: bytes
    rejected: Rejected | None

    @property
    def counted_bytes(self) -> int:
        return sum(self.lengths) + EVENT_OVERHEAD_BYTES * len(self.lengths)


def check_batch(log_events: object, *, now_ms: int, retention_days: int | None) -> Batch:
    """Raises InvalidParameterException or SerializationException when AWS would refuse the whole batch.

    Valid batches need no Python-level step for each event: each rule is one pass over a list in C.
    """
    timestamps, messages = _columns(log_events)
    payload = "\n".join(messages).encode()
    lengths = list(map(len, messages))
    if sum(lengths) + len(messages) - 1 != len(
        payload
    ):  # some message is not ASCII, so its length in characters is not its length in bytes
        lengths = [len(message.encode()) for message in messages]
    _check_sizes(lengths)
    if not all(map(le, timestamps, islice(timestamps, 1, None))):
        raise invalid_parameter("Log events in a single PutLogEvents request must be in chronological order.")
    rejected = _check_ages(timestamps, now_ms, retention_days)
    if rejected is None:
        return Batch(timestamps, lengths, payload, None)
    first = max(rejected.too_old_end or 0, rejected.expired_end or 0)
    end = len(timestamps) if rejected.too_new_start is None else rejected.too_new_start
    accepted = "\n".join(messages[first:end]).encode()
    return Batch(timestamps[first:end], lengths[first:end], accepted, rejected)


def check_entity(entity: object, log_class: str) -> str | None:
    """The `errorType` with which AWS rejects the entity (it still accepts the events), or None for a valid entity.

    AWS does not document the order of its checks, so the order here is a choice.
    """
    if entity is None:
        return None
    if not isinstance(entity, Mapping):
        raise serialization("entity: expected a structure")
    if log_class != GROUP_CLASSES[0]:
        return "UnsupportedLogGroupType"
    keys, attributes = entity.get("keyAttributes"), entity.get("attributes", {})
    if keys is None:
        return "MissingRequiredFields"
    if not _is_text_map(keys) or not _is_text_map(attributes):
        return "InvalidEntity"
    if "Type" not in keys:
        return "MissingRequiredFields"
    if keys["Type"] not in ENTITY_TYPES:
        return "InvalidTypeValue"
    if not 2 <= len(keys) <= 4 or not keys.keys() <= ENTITY_KEYS or not _within(keys, 32):
        return "InvalidKeyAttributes"
    if len(attributes) > 10 or not _within(attributes, 256):
        return "InvalidAttributes"
    return None


def _columns(log_events: object) -> tuple[list[int], list[str]]:
    if log_events is None:
        raise invalid_member(None, "logEvents", "Member must not be null")
    if not isinstance(log_events, list):
        raise serialization("logEvents: expected a list")
    if not 1 <= len(log_events) <= MAX_BATCH_EVENTS:
        raise invalid_member(
            f"[{len(log_events)} events]",
            "logEvents",
            f"Member must have length between 1 and {MAX_BATCH_EVENTS}",
        )
    try:
        timestamps = list(map(itemgetter("timestamp"), log_events))
        messages = list(map(itemgetter("message"), log_events))
    except (KeyError, TypeError):
        raise _bad_event(log_events) from None
    if set(map(type, timestamps)) != {int} or set(map(type, messages)) != {str} or "" in messages:
        raise _bad_event(log_events)
    if min(timestamps) < 0:
        index = next(i for i, timestamp in enumerate(timestamps) if timestamp < 0)
        where = f"logEvents.{index + 1}.member.timestamp"
        raise invalid_member(timestamps[index], where, "Member must have value greater than or equal to 0")
    return timestamps, messages


def _bad_event(log_events: list[object]) -> ServiceError:
    for number, event in enumerate(log_events, start=1):
        where = f"logEvents.{number}.member"
        if not isinstance(event, dict):
            return serialization(f"{where}: expected a structure")
        for name, kind in (("timestamp", int), ("message", str)):
            value = event.get(name)
            if value is None:
                return invalid_member(None, f"{where}.{name}", "Member must not be null")
            if type(value) is not kind:
                return serialization(f"{where}.{name}: expected {'a long' if kind is int else 'a string'}")
            if value == "":
                return invalid_member("", f"{where}.{name}", "Member must have length greater than or equal to 1")
    raise AssertionError("called for a batch without a bad event")


def _check_sizes(lengths: list[int]) -> None:
    largest = max(lengths)
    if largest > MAX_EVENT_BYTES:
        raise invalid_parameter(f"Log event too large: {largest} bytes exceeds limit of {MAX_EVENT_BYTES}")
    total = sum(lengths) + EVENT_OVERHEAD_BYTES * len(lengths)
    if total > MAX_BATCH_BYTES:
        raise invalid_parameter(f"Upload too large: {total} bytes exceeds limit of {MAX_BATCH_BYTES}")


def _check_ages(timestamps: list[int], now_ms: int, retention_days: int | None) -> Rejected | None:
    """The timestamps are known to be sorted, so each limit is one index and the valid events are one slice."""
    too_old_end = bisect_left(timestamps, now_ms - MAX_AGE_MS)
    too_new_start = bisect_right(timestamps, now_ms + MAX_FUTURE_MS)
    expired_end = 0 if retention_days is None else bisect_left(timestamps, now_ms - retention_days * DAY_MS)
    first = max(too_old_end, expired_end)
    if first < too_new_start and timestamps[too_new_start - 1] - timestamps[first] > MAX_SPAN_MS:
        raise invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    if first == 0 and too_new_start == len(timestamps):
        return None
    return Rejected(
        too_old_end=too_old_end or None,
        too_new_start=too_new_start if too_new_start < len(timestamps) else None,
        expired_end=expired_end or None,
    )


def _is_text_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())


def _within(pairs: Mapping[str, str], max_key: int) -> bool:
    return all(1 <= len(key) <= max_key and 1 <= len(value) <= 512 for key, value in pairs.items())
