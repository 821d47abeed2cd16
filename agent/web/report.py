"""The state of the agent at one moment, as values. The status page and /status are made from them alone.

Times are seconds since 1970. The report includes `now`, so that the pages depend on nothing but the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from agent.core.falco_state import FalcoView


class Probe(Struct, frozen=True):
    """One check of a condition. `detail` is one line; it names the remedy when the check failed."""

    name: str
    ok: bool
    detail: str
    required: bool = True
    """False: when the check fails, the agent still does its work. It is a finding, but /readyz stays 200."""


class Books(Struct, frozen=True):
    """The accounting of records since the start: read = shipped + filtered + rejected + in flight."""

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


class LaneReport(Struct, frozen=True):
    name: str
    stream: str
    waiting: int
    """Number of records that wait."""
    oldest_seconds: float
    """Time since the oldest waiting record was read; 0 when no record waits."""
    shipped: int = 0


class FileReport(Struct, frozen=True):
    path: str
    id: str
    size: int
    committed: int
    state: str = "open"
    """Shown as it is: `open`, `rotated`, `truncated`, `deleted, still held`."""

    @property
    def behind(self) -> int:
        return max(0, self.size - self.committed)


class Alert(Struct, frozen=True):
    time: float
    priority: str
    rule: str
    pod: str = ""
    """`namespace/pod` that the alert is about; empty: it is about the host."""


class Falco(Struct, frozen=True):
    """The state of Falco on this node."""

    silent_seconds: float | None = None
    """Time since Falco last wrote a line; None: it has written none since the agent started."""
    silent: bool = False
    """Whether this is longer than the setting `falco.silent_seconds`."""
    versions: Sequence[str] = ()
    syscall_drops: int = 0
    alerts_by_priority: Mapping[str, int] = field(default_factory=dict)
    view: FalcoView | None = None
    """Whether Falco is read, and the state of each Falco; None: the agent has not looked yet."""

    @property
    def state(self) -> str | None:
        """`reading`, `text`, `silent`, `elsewhere` or `none`."""
        return None if self.view is None else self.view.state.value


class Enrichment(Struct, frozen=True):
    mode: str = "none"
    pods: int = 0
    results: Mapping[str, int] = field(default_factory=dict)
    """Number of alerts by result of the pod lookup: hit, miss, host, late."""


class Report(Struct, frozen=True):
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
    """PutLogEvents requests by outcome."""
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
