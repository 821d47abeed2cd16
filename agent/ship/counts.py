"""The shipper's own numbers: what it counted, and the condition it is in. The status page reads them."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field

from agent.core.values import Lane


class Counts(Struct):
    shipped: Counter[Lane] = field(default_factory=Counter)
    """Records that CloudWatch accepted."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason → records that CloudWatch will never accept."""
    puts: Counter[str] = field(default_factory=Counter)
    """Outcome → PutLogEvents calls."""
    throttled: int = 0


class Condition(Struct):
    """Moments are seconds of the monotonic clock."""

    last_acknowledged_at: float | None = None
    last_failed_at: float | None = None
    """The moment of the last put that did not deliver."""
    troubled: int = 0
    """Deliveries that wait for their next attempt."""
    denied: str | None = None
    """Why the last put was denied; None: it was not."""
