"""Turns Falco's messages about itself into metrics.

A drop notice counts the system calls that Falco missed within one second, with every value a string. A metrics snapshot
carries totals since Falco's start for one source of events, and the digests of its rules files (Falco 0.40 and 0.44).
An odd value in either counts as none: what Falco writes must never end the agent.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from agent.core.processing.alert import DROP_NOTICE, METRICS_SNAPSHOT, NotAnAlert, Notice, decode_notice
from agent.telemetry import Telemetry
from agent.telemetry.labels import label

RULES_DIGEST = "falco.sha256_rules_file."
MOST_RULES_FILES = 64
"""Rules files in one snapshot; Falco's chart has three."""
LONGEST_NAME = 128
"""Characters of a source or a start time."""
MOST_SOURCES = 16
"""Remembered event sources (syscall and a plugin or two) and starts of Falco, which a crash loop makes many of."""


class _Source(Struct):
    """The last snapshot of one source of events."""

    events: float = 0.0
    output_drops: float = 0.0


class Notices:
    """Reads notices, and remembers the last numbers so that no drop counts twice."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._sources: dict[str, _Source] = {}
        self._noticed = 0.0
        """Dropped system calls, summed over the drop notices."""
        self._totals: dict[str, float] = {}
        """Dropped system calls by start of Falco, from the last snapshot of each."""
        self._snapped = 0.0
        """Dropped system calls, summed over the snapshots."""
        self.syscall_drops = 0.0
        """System calls that Falco could not see."""
        self.version = ""
        self.rules: dict[str, str] = {}
        """Digest by rules file, as Falco names them."""

    def read(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            try:
                self._read(decode_notice(payload))
            except (NotAnAlert, UnicodeDecodeError, RecursionError):
                continue  # the message itself ships, and is counted by its rule

    def _read(self, notice: Notice) -> None:
        if notice.rule == DROP_NOTICE:
            self._noticed += _number(notice.output_fields.get("n_drops"))
            self._count_drops()
        elif notice.rule == METRICS_SNAPSHOT:
            self._read_snapshot(notice.output_fields)

    def _read_snapshot(self, fields: dict[str, int | float | str | bool | None]) -> None:
        name = str(fields.get("evt.source", ""))[:LONGEST_NAME]
        if name not in self._sources and len(self._sources) >= MOST_SOURCES:
            self._sources.clear()
        source = self._sources.setdefault(name, _Source())
        # Only the syscall source has numbers of scap, the kernel side.
        events = _number(fields.get("scap.n_evts", fields.get("falco.num_evts")))
        # Fewer than before: Falco has restarted and counts from 0.
        self._telemetry.falco_events.inc(events - source.events if events >= source.events else events)
        source.events = events
        source.output_drops = _number(fields.get("falco.outputs_queue_num_drops"))
        # All sources share one output queue.
        self._telemetry.falco_output_drops.set(max(each.output_drops for each in self._sources.values()))
        if "scap.n_drops" in fields:
            self._note_total(str(fields.get("falco.start_ts", ""))[:LONGEST_NAME], fields)
        self._read_rules(fields)

    def _note_total(self, start: str, fields: dict[str, int | float | str | bool | None]) -> None:
        total = _number(fields["scap.n_drops"])
        # The first snapshot of a start counts only the drops since the snapshot before it.
        before = self._totals.pop(start, _number(fields.get("scap.n_drops_prev")))
        if len(self._totals) >= MOST_SOURCES:
            del self._totals[next(iter(self._totals))]
        self._totals[start] = max(total, before)
        self._snapped += max(0.0, total - before)
        self._count_drops()

    def _count_drops(self) -> None:
        """Counts the larger sum: Falco limits the rate of its notices, and snapshots are late."""
        drops = max(self._noticed, self._snapped)
        self._telemetry.falco_syscall_drops.inc(drops - self.syscall_drops)
        self.syscall_drops = drops

    def _read_rules(self, fields: dict[str, int | float | str | bool | None]) -> None:
        self.version = label(str(fields.get("falco.version", self.version)))
        keys = [key for key in fields if key.startswith(RULES_DIGEST)][:MOST_RULES_FILES]
        self.rules = {label(key.removeprefix(RULES_DIGEST)): label(str(fields[key])) for key in keys}
        digests = ",".join(f"{name}:{digest[:12]}" for name, digest in sorted(self.rules.items()))
        self._telemetry.falco_rules_loaded.info({"version": self.version, "rules": digests})


def _number(value: object) -> float:
    """A finite number that is not negative, given as a number or as text; else 0."""
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if 0.0 <= number < float("inf") else 0.0
