"""Formats the agent's own log: one JSON object a line on stderr, or text for people.

A line is an event in the past tense plus fields: `log.info("batch sent", extra={"stream": …, "events": …})`.
The log never contains the text of an alert.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from agent.core.redact import without_passwords

MOST_KEYS = 1024
"""Keys in an `Occasional`; when it is full, keys without a recent event are removed."""

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(level: str, style: Literal["json", "text"]) -> None:
    """Writes every log record of `level` and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The SDKs log every request at debug and every credential lookup at info.
    for noisy in ("botocore", "aiobotocore", "asyncio", "kubernetes_asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """`{"time":…,"level":…,"logger":…,"event":…, fields…}`"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        # A field must not overwrite the time, level, logger or event of the line.
        line |= {f"field_{key}" if key in line else key: value for key, value in _fields(record).items()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:
            # orjson refuses a file name that is not UTF-8 and an integer beyond 64 bits; json accepts both.
            text = json.dumps(line, default=str, separators=(",", ":"))
        return without_passwords(text)


class TextFormatter(logging.Formatter):
    """`12:03:44 warning event phrase key=value …`"""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_printable(str(value))}" for key, value in _fields(record).items())
        line = f"{_stamp(record)[11:19]} {record.levelname.lower():7} {_printable(record.getMessage())}{fields}"
        return without_passwords(f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line)


class Occasional:
    """Limits a log event to one per `period_seconds` for each key, and counts the events in between."""

    def __init__(self, period_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_seconds = period_seconds
        self._clock = clock
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def fields(self, key: str) -> dict[str, int] | None:
        """Fields to add to the log line; None when this event must not be logged."""
        now = self._clock()
        if now - self._last.get(key, -self._period_seconds) < self._period_seconds:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        if len(self._last) >= MOST_KEYS:
            self._remove_old_keys(now)
        self._last[key] = now
        return {"repeated": repeated} if (repeated := self._suppressed.pop(key, 0)) else {}

    @property
    def remembered(self) -> int:
        """Number of keys in memory."""
        return len(self._last)

    def _remove_old_keys(self, now: float) -> None:
        """Removes keys without an event in the last period. Keys name files and pods, so there are always new ones."""
        for key in [key for key, last in self._last.items() if now - last >= self._period_seconds]:
            del self._last[key]
            self._suppressed.pop(key, None)


def _stamp(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}


def _printable(text: str) -> str:
    """The text without line breaks and terminal escapes, since names in it come from outside."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
