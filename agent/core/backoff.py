"""How long to wait before trying again: full jitter under an exponential ceiling.

Full jitter spreads a fleet that failed in step (AWS Architecture Blog, "Exponential backoff and
jitter"). Each kind of failure has its own first step and ceiling; none ever gives up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits of up to `first_seconds`, doubling up to `most_seconds`."""

    first_seconds: float
    most_seconds: float

    def seconds(self, failures: int, chance: float) -> float:
        """The wait after so many failures in a row (1 or more); `chance` is uniform in [0, 1)."""
        doublings = min(failures - 1, 32)  # 2 ** 1000 is no float
        return chance * min(self.most_seconds, self.first_seconds * 2.0**doublings)
