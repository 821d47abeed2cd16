"""Unforeseen exceptions: counted by part, logged with a traceback at a limited rate, and remembered as findings.

A defect is an exception that no code expected. It concerns one record, one file or one part, and must not end the
agent; but somebody has to see it, so it shows in a metric, in the log, on the status page, in /readyz and in the
heartbeat.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, get_args

import prometheus_client
from msgspec import Struct

from agent.telemetry.logs import Occasional

Part = Literal["record", "file", "enrichment", "selfmonitor", "http", "urgent_scan"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

RECENT_SECONDS: Final = 3600.0
"""A part is reported for this long after its last defect."""

LONGEST_REASON: Final = 200

log = logging.getLogger(__name__)


class Defect(Struct, frozen=True):
    """The defects of one part."""

    part: Part
    count: int
    """Since the start of the agent."""
    reason: str
    """The last exception: its type and the start of its text."""
    noted_at: float
    """When the last one happened, in seconds of the monotonic clock."""


class Contained:
    """No exception of the block leaves it: whatever it is, it concerns this part alone."""

    def __init__(self, defects: Defects, part: Part) -> None:
        self._defects = defects
        self._part = part

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False  # there is none, or the task is cancelled
        self._defects.note(self._part, error)
        return True


class Defects:
    def __init__(self, counter: prometheus_client.Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter = counter
        self._clock = clock
        self._last: dict[Part, Defect] = {}
        self._occasional = Occasional(clock=clock)
        self.counts: Counter[Part] = Counter()
        self._contained = {part: Contained(self, part) for part in PARTS}
        for part in PARTS:
            counter.labels(part)

    def note(self, part: Part, error: BaseException) -> None:
        """Takes down one exception of that part. Never raises."""
        self.counts[part] += 1
        self._counter.labels(part).inc()
        reason = _reason(error)
        self._last[part] = Defect(part, self.counts[part], reason, self._clock())
        # One traceback a minute for each place, not for each text, which may hold words from outside.
        if (fields := self._occasional.fields(f"{part} {type(error).__name__} {_place(error)}")) is not None:
            log.error("defect", exc_info=error, extra={"part": part, "why": reason, **fields})

    def contained(self, part: Part) -> Contained:
        """A context that takes down an exception of its block and goes on behind the block."""
        return self._contained[part]

    @property
    def recent(self) -> list[Defect]:
        """Parts with a defect in the last hour."""
        now = self._clock()
        return [defect for defect in self._last.values() if now - defect.noted_at < RECENT_SECONDS]


def _reason(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # the exception's own defect
        text = ""
    return f"{type(error).__name__}: {text}"[:LONGEST_REASON] if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Where the exception was raised: the innermost frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
