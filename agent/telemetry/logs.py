"""The agent's own log: one JSON object a line on stderr, or plain text for a person.

Event phrase plus fields, past tense: `log.info("batch sent", extra={"stream": …, "events": …})`.
Never the text of an alert.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

MOST_KEYS = 1024
"""Keys that `Occasional` remembers before it forgets the quiet ones."""

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(level: str, style: Literal["json", "text"]) -> None:
    """Sends every record of `level` and above to stderr, in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The SDK narrates each request at debug and each credential lookup at info: not ours to repeat.
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
        # A field never stands in for what the line itself says.
        line |= {f"field_{key}" if key in line else key: value for key, value in _fields(record).items()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:
            # A file name that is not UTF-8, a number beyond 64 bits: the line is worth more than its exact form.
            return json.dumps(line, default=str, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """`12:03:44 warning event phrase key=value …`"""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_printable(str(value))}" for key, value in _fields(record).items())
        line = f"{_stamp(record)[11:19]} {record.levelname.lower():7} {_printable(record.getMessage())}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Occasional:
    """Lets an event through once a `period_seconds` for each key, and says how many it held back."""

    def __init__(self, period_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_seconds = period_seconds
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def fields(self, key: str) -> dict[str, int] | None:
        """Fields to add to the log line, or None when this one is to be held back."""
        now = self._clock()
        if now - self._last.get(key, -self._period_seconds) < self._period_seconds:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return None
        if len(self._last) >= MOST_KEYS:
            self._forget_quiet_ones(now)
        self._last[key] = now
        return {"repeated": held} if (held := self._held_back.pop(key, 0)) else {}

    @property
    def remembered(self) -> int:
        """How many keys are known: bounded by those seen in a period."""
        return len(self._last)

    def _forget_quiet_ones(self, now: float) -> None:
        """Keys name files and pods, which come and go; those silent for a period need not be remembered."""
        for key in [key for key, last in self._last.items() if now - last >= self._period_seconds]:
            del self._last[key]
            self._held_back.pop(key, None)


def _stamp(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}


def _printable(text: str) -> str:
    """The text in one line, without what a terminal would obey: names come from outside."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
