"""Hostile answers: responses that CloudWatch never sends, but that a proxy, a wrong endpoint or an attacker may send.

Each answer is a value: status, headers, and an iterator over the chunks of its body, which may never end. The server
sends the chunks until the client closes the connection. This module decides the bytes and does no I/O.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

JSON = "application/x-amz-json-1.1"
CHUNK_BYTES = 64 * 1024
DEFAULT_BYTES = 1_000_000_000
"""Size of `huge_error`, unless the fault names another."""
DEEP_LEVELS = 100_000

Chunks = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class HostileAnswer:
    """One response. `pause_seconds` is the wait before each chunk."""

    status: int
    chunks: Callable[[], Chunks]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON})
    pause_seconds: float = 0.0


def hostile_answer(kind: str, *, location: str | None = None, size: int | None = None) -> HostileAnswer:
    """The answer of this kind: one of `HOSTILE_KINDS`. `location` is for `redirect`, `size` for `huge_error`."""
    if kind == "redirect":
        return HostileAnswer(302, _once(b""), {"Location": location or "http://127.0.0.1:9/"})
    if kind == "huge_error":
        length = DEFAULT_BYTES if size is None else size
        headers = {"Content-Type": JSON, "Content-Length": str(length)}
        return HostileAnswer(500, lambda: _padding(length), headers)
    return _ANSWERS[kind]


def _once(body: bytes) -> Callable[[], Chunks]:
    return lambda: iter([body])


def _json(value: object) -> Callable[[], Chunks]:
    return _once(orjson.dumps(value))


def _padding(size: int) -> Chunks:
    while size > 0:
        yield b"x" * min(CHUNK_BYTES, size)
        size -= CHUNK_BYTES


def _endless() -> Chunks:
    yield b'{"nextSequenceToken":"'
    while True:
        yield b"1" * CHUNK_BYTES


def _slow() -> Chunks:
    yield b"{"
    while True:
        yield b" "


def _rejected(info: object) -> HostileAnswer:
    return HostileAnswer(200, _json({"rejectedLogEventsInfo": info}))


_ANSWERS: dict[str, HostileAnswer] = {
    "empty": HostileAnswer(200, _once(b"")),
    "html": HostileAnswer(
        200, _once(b"<html><body>Please log in to the network.</body></html>"), {"Content-Type": "text/html"}
    ),
    "not_json": HostileAnswer(200, _once(b'{"nextSequenceToken":')),
    "json_list": HostileAnswer(200, _json([1, 2, 3])),
    "endless": HostileAnswer(200, _endless),
    "slow_body": HostileAnswer(200, _slow, pause_seconds=1.0),
    "rejected_list": _rejected([1]),
    "rejected_text": _rejected("all"),
    "rejected_text_index": _rejected({"tooOldLogEventEndIndex": "1"}),
    "rejected_index_too_large": _rejected({"tooOldLogEventEndIndex": 10**9}),
    "rejected_negative_index": _rejected({"tooNewLogEventStartIndex": -1}),
    "numeric_type": HostileAnswer(400, _json({"__type": 503, "message": ["no"]})),
    "deep_json": HostileAnswer(200, _once(b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS)),
    "deep_error": HostileAnswer(400, _once(b'{"__type":' + b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS + b"}")),
}
HOSTILE_KINDS = ("redirect", "huge_error", *_ANSWERS)
