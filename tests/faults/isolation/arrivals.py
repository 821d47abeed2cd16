"""The alerts of isolation scenarios, and their arrivals, latencies and gaps, read from the files of CloudWatch.

Each alert carries its number and the time of its writing, so that its latency is the difference to its acceptance.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from agent.local.emulator import EmbeddedCloudWatch
from tests.faults.isolation.result import Result
from tests.faults.isolation.stored_seals import SEAL
from tests.faults.writers import moment


def numbered_alert(
    number: int,
    *,
    priority: str = "Notice",
    rule: str = "Terminal shell in container",
    pod: str | None = None,
    at_ns: int | None = None,
    filler: int = 0,
) -> bytes:
    """An alert in Falco's format, with its number and the time of its writing."""
    now = time.time_ns()
    fields: dict[str, Any] = {"container.id": "host", "evt.n": number, "evt.written": now}
    if pod is not None:
        fields |= {"container.id": f"{number % 4096:012x}", "k8s.ns.name": "shop", "k8s.pod.name": pod}
    return orjson.dumps(
        {
            "hostname": "node",
            "output": "x" * filler,
            "output_fields": fields,
            "priority": priority,
            "rule": rule,
            "source": "syscall",
            "tags": [],
            "time": moment(now if at_ns is None else at_ns),
        }
    )


def cri(payload: bytes, *, at_ns: int | None = None, tag: str = "F", stream: str = "stdout") -> bytes:
    return f"{moment(time.time_ns() if at_ns is None else at_ns)} {stream} {tag} ".encode() + payload + b"\n"


def alert_lines(numbers: Iterable[int], **options: Any) -> list[bytes]:
    return [cri(numbered_alert(number, **options)) for number in numbers]


@dataclass(slots=True)
class Arrivals:
    """What CloudWatch has stored, without the seals, which the audit reads."""

    counts: dict[int, int] = field(default_factory=dict)
    """Number of an alert → how many times it arrived as an alert."""
    seconds: dict[int, float] = field(default_factory=dict)
    """Number of an alert → seconds from its writing to its first acceptance."""
    streams: dict[int, str] = field(default_factory=dict)
    by_stream: dict[str, int] = field(default_factory=dict)
    """Stream → number of events."""
    gaps: list[dict[str, Any]] = field(default_factory=list)
    """Different gap events, by id."""
    gap_copies: int = 0
    """Gap events beyond the first of each id."""
    wrapped: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    own_rules: list[str] = field(default_factory=list)

    def missing(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if number not in self.counts]

    def expect_all(self, result: Result, numbers: Iterable[int], claim: str = "lost without a gap event") -> None:
        missing = self.missing(numbers)
        result.measured["lost"] = len(missing)
        result.expect(not missing, f"{claim}: {len(missing)} alerts, first {missing[:5]}")

    def expect_no_gap(self, result: Result) -> None:
        result.measured["gaps"] = len(self.gaps)
        gaps = [gap.get("output", "")[:160] for gap in self.gaps[:3]]
        result.expect(not self.gaps, f"{len(self.gaps)} false gap events (+{self.gap_copies} copies): {gaps}")

    def expect_gap(self, result: Result) -> None:
        result.measured["gaps"] = len(self.gaps)
        result.expect(bool(self.gaps), "bytes were lost, and no gap event arrived")


async def arrivals(place: Path, group: str = "falco") -> Arrivals:
    """Read the stored events. The embedded CloudWatch's process must have ended."""
    found = Arrivals()
    gap_ids: set[str] = set()
    async with EmbeddedCloudWatch(place / "cloudwatch") as stored:
        for event in stored.events(group):
            if SEAL in event.message:
                continue
            entry = _decoded(event.message)
            found.events.append(entry)
            found.by_stream[event.stream] = found.by_stream.get(event.stream, 0) + 1
            if entry.get("source") == "falcowatch" and "rule" in entry:
                found.own_rules.append(entry["rule"])
            if entry.get("source") == "falcowatch" and entry.get("rule") == "Falcowatch: gap":
                identity = entry["falcowatch"]["id"]
                if identity in gap_ids:
                    found.gap_copies += 1
                else:
                    gap_ids.add(identity)
                    found.gaps.append(entry)
            fields = entry.get("output_fields")
            if isinstance(fields, dict) and "evt.n" in fields and "rule" in entry:
                number = fields["evt.n"]
                if "evt.written" in fields:
                    seconds = max(0.0, event.ingested / 1e3 - fields["evt.written"] / 1e9)
                    found.seconds[number] = min(seconds, found.seconds.get(number, seconds))
                found.counts[number] = found.counts.get(number, 0) + 1
                found.streams[number] = event.stream
            elif "log" in entry:
                found.wrapped += 1
    return found


def _decoded(message: bytes) -> dict[str, Any]:
    """The event; empty for one that this decoder cannot read, such as a number that is too large."""
    with contextlib.suppress(orjson.JSONDecodeError):
        entry = orjson.loads(message)
        return entry if isinstance(entry, dict) else {}
    return {}
