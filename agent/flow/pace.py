"""A token bucket that limits how many puts start in a second."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]


class Pace:
    """At most `per_second` sends a second, after a burst of at most `burst`. An idle bucket sends at once."""

    def __init__(self, per_second: float, clock: Clock, *, burst: float = 1.0) -> None:
        self._interval_seconds = 1.0 / per_second
        self._burst_seconds = burst * self._interval_seconds
        self._clock = clock
        self._full_at = 0.0
        """When the bucket is full again."""

    def delay_seconds(self) -> float:
        """The time until the next send is permitted."""
        return max(0.0, self._full_at + self._interval_seconds - self._burst_seconds - self._clock())

    def spend(self) -> None:
        """Records a send that starts now."""
        self._full_at = max(self._full_at, self._clock()) + self._interval_seconds
