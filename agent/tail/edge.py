"""The edge at which every exception that one file causes ends.

An OSError is a fact about the file: it is logged at a limited rate, and the file is tried again at the next scan. Any
other exception is a defect of the agent: it is counted, logged with its traceback, and the file is tried again after a
growing delay. Either way all other files go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from typing import Final

from agent.tail.names import printable
from agent.telemetry import Occasional, Telemetry

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


class Edge:
    """The edge of the files of one source. `path` is named where an exception names no file."""

    def __init__(self, telemetry: Telemetry, path: str) -> None:
        self._telemetry = telemetry
        self._path = path
        self._occasional = Occasional()
        self._delays: dict[Hashable, tuple[int, float]] = {}
        """Defects in a row, and the time of the next try, by file."""

    def meet(self, error: Exception, key: Hashable = None) -> None:
        """Takes an exception that work on one file has raised. `key` stands for the file. Never raises."""
        if isinstance(error, OSError):
            self._log(error)
            return
        self._telemetry.defects.note("file", error)
        defects = self._delays.get(key, (0, 0.0))[0] + 1
        delay_seconds = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(defects - 1, 16))
        self._delays[key] = (defects, time.monotonic() + delay_seconds)

    def may_try(self, key: Hashable = None) -> bool:
        """Whether the file may be worked on: its last defect is long enough ago."""
        delay = self._delays.get(key)
        return delay is None or time.monotonic() >= delay[1]

    def forget(self, key: Hashable = None) -> None:
        """The file is closed, or work on it has succeeded."""
        self._delays.pop(key, None)

    def _log(self, error: OSError) -> None:
        if (fields := self._occasional.fields(f"{error.filename}{error.errno}")) is not None:
            path = printable(error.filename) if isinstance(error.filename, str) else self._path
            log.warning("file could not be read", extra={"path": path, "why": error.strerror or str(error), **fields})
