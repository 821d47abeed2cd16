"""The values that the demo measures and its view shows: one moment of a run, the result of a run, and rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LATEST_ALERTS: Final = 8
"""Number of alerts that the view lists."""


@dataclass(frozen=True, slots=True)
class LatestAlert:
    """One row of the list of alerts that arrived last."""

    time: str
    """Time of day, such as `12:03:44`."""
    priority: str
    rule: str
    pod: str
    """`namespace/name`. Empty when the alert is about the node or names no known pod."""


@dataclass(frozen=True, slots=True)
class DemoProgress:
    """One moment of a run."""

    target: int
    """Number of alerts that will be written."""
    written: int
    arrived: int
    duplicates: int
    elapsed_seconds: float
    rate_written: float = 0.0
    """Alerts a second, over the window of `Rate`."""
    rate_arrived: float = 0.0
    puts: int = 0
    put_rate: float = 0.0
    backpressure: bool = False
    latest_alerts: Sequence[LatestAlert] = ()
    """Newest last."""

    @property
    def under_way(self) -> int:
        """Alerts that are written and have not arrived."""
        return max(0, self.written - self.arrived)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: the comparison of written and arrived alerts, and what the agent used."""

    written: int
    arrived: int
    """Different alerts that arrived; duplicates are not included."""
    duplicates: int
    altered: int
    """Alerts that arrived with other bytes than those written."""
    seconds: float
    cpu_seconds: float | None = None
    """CPU time of the agent's process, from its start to its end."""
    peak_bytes: int | None = None
    """Highest resident memory of the agent."""
    next_steps: Sequence[tuple[str, str]] = ()
    """Commands or files to try next, each with its purpose."""

    @property
    def lost(self) -> int:
        return self.written - self.arrived

    @property
    def holds(self) -> bool:
        """Every alert arrived, and none was altered."""
        return not (self.lost or self.altered)


class Rate:
    """The growth of a counter a second, over the last `window_seconds`."""

    def __init__(self, window_seconds: float = 2.0) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, total: int, now: float) -> float:
        """Add a sample and return the rate."""
        self._samples.append((now, total))
        while len(self._samples) > 2 and now - self._samples[1][0] >= self._window_seconds:
            self._samples.popleft()
        since, before = self._samples[0]
        return (total - before) / (now - since) if now > since else 0.0
