"""The agent's own log: one JSON object a line on stderr, or plain text for a person.

Event phrase plus fields, past tense: `log.info("batch sent", extra={"stream": …, "events": …})`.
Never the text of an alert.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

import orjson

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
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """`12:03:44 warning event phrase key=value …`"""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{_stamp(record)[11:19]} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Occasional:
    """Lets an event through once a `period_seconds` for each key, and says how many it held back."""

    def __init__(self, period_seconds: float = 60.0) -> None:
        self._period_seconds = period_seconds
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def fields(self, key: str) -> dict[str, int] | None:
        """Fields to add to the log line, or None when this one is to be held back."""
        now = time.monotonic()
        if now - self._last.get(key, -self._period_seconds) < self._period_seconds:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return None
        self._last[key] = now
        return {"repeated": held} if (held := self._held_back.pop(key, 0)) else {}


def _stamp(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
