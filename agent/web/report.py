"""What the agent says of itself at one moment, as values: the status page and /status show nothing else.

Times are seconds since 1970, and `now` is among them, so what is made of a report depends on nothing
but the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that must hold; `detail` is one line, with the remedy when it does not."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Books:
    """Records since the start: what was read is shipped, filtered, rejected or in flight."""

    read: int
    shipped: int
    filtered: int
    rejected: int
    in_flight: int

    @property
    def unaccounted(self) -> int:
        return self.read - self.shipped - self.filtered - self.rejected - self.in_flight

    @property
    def balanced(self) -> bool:
        return self.unaccounted == 0


@dataclass(frozen=True, slots=True)
class LaneReport:
    name: str
    stream: str
    waiting: int
    """Records."""
    oldest_seconds: float
    """Since the oldest unsettled record was read; 0 when none waits."""
    shipped: int = 0


@dataclass(frozen=True, slots=True)
class FileReport:
    path: str
    id: str
    size: int
    committed: int
    state: str = "open"
    """A word or two: open, rotated, deleted (still held), waiting …"""

    @property
    def behind(self) -> int:
        return max(0, self.size - self.committed)


@dataclass(frozen=True, slots=True)
class Alert:
    time: float
    priority: str
    rule: str
    pod: str = ""
    """`namespace/name`; empty: the host itself, or not known."""


@dataclass(frozen=True, slots=True)
class Falco:
    """What is known of the Falco on this node."""

    silent_seconds: float | None = None
    """Since it last wrote; None: it has not been heard yet."""
    silent: bool = False
    """It has been silent for longer than `falco.silent_seconds`."""
    versions: Sequence[str] = ()
    syscall_drops: int = 0
    alerts_by_priority: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Enrichment:
    mode: str = "none"
    pods: int = 0
    results: Mapping[str, int] = field(default_factory=dict)
    """Alerts by what was known of their pod: hit, miss, host, late."""


@dataclass(frozen=True, slots=True)
class Report:
    version: str
    node: str
    cluster: str
    group: str
    started_at: float
    now: float
    books: Books
    lanes: Sequence[LaneReport] = ()
    files: Sequence[FileReport] = ()
    lag_bytes: int = 0
    lag_seconds: float = 0.0
    budget_bytes: int = 0
    budget_used_bytes: int = 0
    backpressure: bool = False
    backpressure_seconds: float = 0.0
    send_slots: int = 0
    send_slots_used: int = 0
    puts: Mapping[str, int] = field(default_factory=dict)
    """Puts by outcome; `accepted` is the good one."""
    throttled: int = 0
    last_acknowledged_at: float | None = None
    gaps: int = 0
    gap_bytes: int = 0
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """Records by reason."""
    filtered: Mapping[str, int] = field(default_factory=dict)
    """Records by reason."""
    checkpoint_age_seconds: float | None = None
    last_alerts: Sequence[Alert] = ()
    """Newest first."""
    falco: Falco = Falco()
    enrichment: Enrichment = Enrichment()

    @property
    def uptime_seconds(self) -> float:
        return max(0.0, self.now - self.started_at)
