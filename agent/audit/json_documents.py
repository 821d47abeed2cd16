"""Reads the events out of JSON documents of any size, as `aws logs filter-log-events` prints them.

A document is `{"events": [ … ], …}` or a bare list, and another document may follow. The decoder of the standard
library finds the end of each event by itself, so only a part of the text is in memory.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from io import BufferedIOBase
from json.decoder import WHITESPACE  # type: ignore[attr-defined]  # the pattern that the decoder itself uses
from typing import Any, TypeGuard

from agent.audit.history import UNKNOWN_MS, RawEvent
from agent.core.proof.read_seal import LATEST_MS

_CHUNK_BYTES = 1024 * 1024
_LONGEST_VALUE = 32 * 1024 * 1024
"""Characters of one value, which is an event or the list of searched streams."""


def events_in(first: bytes, stream: BufferedIOBase) -> Iterator[RawEvent]:
    """The events of all documents. Raises ValueError when the text is not such a document."""
    text = _Text(first, stream)
    while (opening := text.next_character()) is not None:
        if opening == "[":
            yield from _list(text)
        elif opening == "{":
            yield from _object(text)
        else:
            raise ValueError(f"JSON is expected to begin with {{ or [, not {opening!r}")


def _object(text: _Text) -> Iterator[RawEvent]:
    text.take("{")
    while text.next_character() != "}":
        name = text.value()
        text.take(":")
        if name == "events" and text.next_character() == "[":
            yield from _list(text)
        else:
            text.value()
        if text.next_character() == ",":
            text.take(",")
    text.take("}")


def _list(text: _Text) -> Iterator[RawEvent]:
    text.take("[")
    while text.next_character() != "]":
        yield _event(text.value())
        if text.next_character() == ",":
            text.take(",")
    text.take("]")


def _event(value: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise ValueError(f"an event must be an object, not {type(value).__name__}")  # noqa: TRY004  # of the input
    message, time_ms = value.get("message"), value.get("timestamp")
    ingested_ms, stream = value.get("ingestionTime", UNKNOWN_MS), value.get("logStreamName", "")
    if not isinstance(message, str) or not _is_time(time_ms) or not _is_time(ingested_ms):
        raise ValueError("an event needs a text `message` and a whole number `timestamp` in milliseconds since 1970")
    return RawEvent(str(stream), time_ms, ingested_ms, message.encode(errors="replace"))


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int and UNKNOWN_MS <= value <= LATEST_MS


class _Text:
    """The text that was read and not used yet."""

    def __init__(self, first: bytes, stream: BufferedIOBase) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = self._decoder.decode(first)
        self._place = 0
        self._decode = json.JSONDecoder().raw_decode

    def next_character(self) -> str | None:
        """The next character that is no white space, without taking it. None: the text ends."""
        while True:
            self._place = WHITESPACE.match(self._text, self._place).end()
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._read_more():
                return None

    def take(self, expected: str) -> None:
        found = self.next_character()
        if found != expected:
            raise ValueError(f"the JSON is cut off or invalid: {expected!r} is expected, not {found!r}")
        self._place += 1

    def value(self) -> Any:
        self.next_character()
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except ValueError as error:
                if len(self._text) - self._place > _LONGEST_VALUE or not self._read_more():
                    raise ValueError(f"the JSON is cut off or invalid: {error.args[0]}") from error
                continue
            if end == len(self._text) and not isinstance(value, dict | list | str) and self._read_more():
                continue  # a number may go on
            self._place = end
            return value

    def _read_more(self) -> bool:
        more = self._stream.read(_CHUNK_BYTES)
        self._text = self._text[self._place :] + self._decoder.decode(more, final=not more)
        self._place = 0
        return bool(more)
