"""A bound on puts per second."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]


class Pace:
    """At most so many a second, after a burst of at most `burst`; whoever comes after a quiet time goes at once."""

    def __init__(self, per_second: float, clock: Clock, *, burst: float = 1.0) -> None:
        self._interval_seconds = 1.0 / per_second
        self._burst_seconds = burst * self._interval_seconds
        self._clock = clock
        self._full_at = 0.0
        """When the whole burst is there again."""

    def delay_seconds(self) -> float:
        """How long until the next may go."""
        return max(0.0, self._full_at + self._interval_seconds - self._burst_seconds - self._clock())

    def spend(self) -> None:
        """One goes now."""
        self._full_at = max(self._full_at, self._clock()) + self._interval_seconds
