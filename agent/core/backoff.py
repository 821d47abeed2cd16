"""How long to wait before a retry: full jitter below an exponential ceiling.

With full jitter, nodes that failed at the same moment do not retry at the same moment (AWS Architecture Blog,
"Exponential backoff and jitter"). Each kind of failure has its own first wait and its own ceiling.
The number of retries is not limited.
"""

from __future__ import annotations

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """The ceiling of the wait starts at `first_seconds` and doubles up to `most_seconds`."""

    first_seconds: float
    most_seconds: float

    def seconds(self, failures: int, chance: float) -> float:
        """The wait after this many failures in a row (at least 1). `chance` is a random number in [0, 1)."""
        doublings = min(failures - 1, 32)  # a float cannot hold 2.0 ** 1024
        return chance * min(self.most_seconds, self.first_seconds * 2.0**doublings)
