"""The pauses of the other lanes for a throttled urgent request: short ones, and a bounded share of their time. Pure.

An account has one quota of puts. While an urgent request waits for its next attempt, the others leave the quota to it.
When the urgent stream alone is throttled, for hours perhaps, their pauses are of no use, so the time of the pauses is a
bucket of seconds that fills slowly.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.2
"""The pauses take at most this share of the time, in the long run."""

SHARE_IN_A_THROTTLED_ACCOUNT: Final = 0.5
"""The same share while requests of the other lanes are throttled, too: the whole account is above its quota."""

LONGEST_PAUSE_SECONDS: Final = 1.0
"""The bucket holds at most so many seconds, so no pause is longer."""

SHORTEST_PAUSE_SECONDS: Final = 0.1
"""A shorter pause does not begin, because the quota of an account would not recover in it."""


class Pauses:
    """Times are in seconds of one clock."""

    def __init__(self) -> None:
        self._left_seconds = LONGEST_PAUSE_SECONDS
        self._counted_at = 0.0
        """When the bucket was last filled. During a pause it is not filled."""
        self._until: float | None = None

    def begin(self, now: float, share: float = SHARE) -> None:
        """An urgent request was throttled. `share`: the seconds that the bucket gains in a second without a pause."""
        if self.remaining_seconds(now):
            return
        self.end(now)
        self._left_seconds += share * (now - self._counted_at)
        self._left_seconds = min(LONGEST_PAUSE_SECONDS, self._left_seconds)
        self._counted_at = now
        if self._left_seconds >= SHORTEST_PAUSE_SECONDS:
            self._until = now + self._left_seconds

    def end(self, now: float) -> None:
        """An urgent request was accepted."""
        if self._until is None:
            return
        ended_at = min(now, self._until)
        self._left_seconds -= ended_at - self._counted_at
        self._counted_at, self._until = ended_at, None

    def remaining_seconds(self, now: float) -> float:
        """How long the pause still lasts; 0: there is none."""
        return max(0.0, self._until - now) if self._until is not None else 0.0
