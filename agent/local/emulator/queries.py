"""GetLogEvents and FilterLogEvents: their parameters, and pages of events with tokens for the neighbouring pages.

Each operation has two parts. The first reads parameters and indexes on the event loop's thread. It returns the second,
a function that only reads files, so that a long search can run on another thread while puts go on.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Iterable

import orjson

from agent.local.emulator.descriptions import Reply
from agent.local.emulator.pages import (
    AFTER_ALL,
    BEFORE_ALL,
    MAX_PAGE_EVENTS,
    Found,
    Key,
    Page,
    Range,
    page_of,
    places_of,
)
from agent.local.emulator.parameters import STREAM_NAME, Parameters
from agent.local.emulator.patterns import matcher
from agent.local.emulator.replies import invalid_parameter
from agent.local.emulator.rules import DAY_MS
from agent.local.emulator.store import Group, Store
from agent.local.emulator.streamlog import StreamLog

FOR_EVER_MS = 2**62
NEWEST_FIRST_SINCE_MS = 1_704_067_200_000
"""FilterLogEvents can read newest first only from 2024-01-01 on (API reference, read 2026-11)."""

Work = Callable[[], Reply]


def get_log_events(store: Store, asked: Parameters, now_ms: int) -> Work:
    group_name, stream_name = asked.named_group(), asked.stream_name()
    start_ms, end_ms = asked.integer("startTime") or 0, asked.integer("endTime")
    token = _cursor(asked)
    forward = asked.flag("startFromHead") if token is None else not token[0]
    cursor = token[1] if token else BEFORE_ALL if forward else AFTER_ALL
    limit = asked.integer("limit", minimum=1, maximum=MAX_PAGE_EVENTS) or MAX_PAGE_EVENTS
    group = store.group(group_name)
    log = group.stream(stream_name).log
    wanted = Range(
        start_ms=max(start_ms, _kept_since_ms(group, now_ms)),
        end_ms=FOR_EVER_MS if end_ms is None else end_ms,
        cursor=cursor,
        backward=not forward,
        limit=limit,
    )
    places = places_of([(stream_name, log)], wanted)
    known = None if token is None else cursor

    def work() -> Reply:
        page = page_of(places, wanted)
        found = page.found if forward else page.found[::-1]
        forward_key, backward_key = _both_ends(page, found, forward, known)
        return {
            "events": [
                {"timestamp": item.key.timestamp, "message": message, "ingestionTime": item.key.ingested}
                for item, message in zip(found, _messages({stream_name: log}, found), strict=True)
            ],
            "nextForwardToken": _token(False, forward_key),
            "nextBackwardToken": _token(True, backward_key),
        }

    return work


def filter_log_events(store: Store, asked: Parameters, now_ms: int) -> Work:
    group_name = asked.named_group()
    names = asked.texts("logStreamNames", max_count=100, pattern=STREAM_NAME)
    prefix = asked.text("logStreamNamePrefix", pattern=STREAM_NAME)
    if names is not None and prefix is not None:
        raise invalid_parameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    start_ms, end_ms = asked.integer("startTime") or 0, asked.integer("endTime")
    if end_ms is not None and start_ms > end_ms:
        raise invalid_parameter("The startTime must not be later than the endTime.")
    matches = matcher(asked.text("filterPattern", min_length=0, max_length=1024) or "")
    token = _cursor(asked)
    backward = token[0] if token else not asked.flag("startFromHead", default=True)
    if backward and start_ms < NEWEST_FIRST_SINCE_MS:
        raise invalid_parameter("startFromHead=false needs a startTime on or after Jan 1, 2024 00:00:00 UTC.")
    limit = asked.integer("limit", minimum=1, maximum=MAX_PAGE_EVENTS) or MAX_PAGE_EVENTS
    group = store.group(group_name)
    if names is not None:
        logs = {name: group.stream(name).log for name in names}
    else:
        logs = {name: stream.log for name, stream in group.streams.items() if name.startswith(prefix or "")}
    wanted = Range(
        start_ms=max(start_ms, _kept_since_ms(group, now_ms)),
        end_ms=FOR_EVER_MS if end_ms is None else end_ms + 1,  # inclusive here, exclusive in GetLogEvents
        cursor=token[1] if token else AFTER_ALL if backward else BEFORE_ALL,
        backward=backward,
        limit=limit,
        matches=matches,
    )
    places = places_of(logs.items(), wanted)

    def work() -> Reply:
        page = page_of(places, wanted)
        reply: Reply = {
            "events": [
                {
                    "logStreamName": item.key.stream,
                    "timestamp": item.key.timestamp,
                    "message": message,
                    "ingestionTime": item.key.ingested,
                    "eventId": _event_id(item.key),
                }
                for item, message in zip(page.found, _messages(logs, page.found), strict=True)
            ],
            "searchedLogStreams": [],
        }
        return reply if page.resume is None else reply | {"nextToken": _token(backward, page.resume)}

    return work


def _kept_since_ms(group: Group, now_ms: int) -> int:
    days = group.settings.retention_days
    return 0 if days is None else now_ms - days * DAY_MS


def _both_ends(page: Page, found: list[Found], forward: bool, known: Key | None) -> tuple[Key, Key]:
    """The cursors after and before a page. At the end of the stream the caller gets its own token back, as with AWS."""
    if found:
        ahead, behind = found[-1].key, found[0].key
    elif known is None:
        ahead = behind = BEFORE_ALL  # so that a reader of an empty stream sees later events
    elif forward:
        ahead, behind = known, known._replace(position=known.position + 1)
    else:
        ahead, behind = known._replace(position=known.position - 1), known
    if page.resume is not None:
        return (page.resume, behind) if forward else (ahead, page.resume)
    return ahead, behind


def _messages(logs: dict[str, StreamLog], found: list[Found]) -> Iterable[str]:
    """The messages of `found`, in its order. Each stream's file is opened once."""
    by_stream: dict[str, list[tuple[int, int]]] = {}
    for item in found:
        by_stream.setdefault(item.key.stream, []).append((item.key.position, item.length))
    texts = {stream: iter([text.decode() for text in logs[stream].messages(at)]) for stream, at in by_stream.items()}
    return (next(texts[item.key.stream]) for item in found)


def _event_id(key: Key) -> str:
    """56 digits as AWS's ids have, unique for each event, sorted by the event's time."""
    return f"{key.timestamp:014d}{zlib.crc32(key.stream.encode()):010d}{key.position:032d}"


def _token(backward: bool, key: Key) -> str:
    return ("b/" if backward else "f/") + base64.urlsafe_b64encode(orjson.dumps(list(key))).decode()


def _cursor(asked: Parameters) -> tuple[bool, Key] | None:
    token = asked.text("nextToken", max_length=4096)
    if token is None:
        return None
    try:
        timestamp, ingested, stream, position = orjson.loads(base64.urlsafe_b64decode(token[2:]))
        key = Key(int(timestamp), int(ingested), str(stream), int(position))
    except (ValueError, TypeError, binascii.Error):
        raise invalid_parameter("The specified nextToken is invalid.") from None
    if token[:2] not in ("f/", "b/"):
        raise invalid_parameter("The specified nextToken is invalid.")
    return token[0] == "b", key
