"""The script of `falcowatch demo --chaos`: which fault comes in which second, and the list of those that came. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from agent.local.emulator.faults import Fault
from agent.web.figures import count, duration, plural

WRITING_SECONDS: Final = 50.0
"""Alerts are written for this long. Then the demo waits until all have arrived."""
ALERTS_A_SECOND: Final = 500.0
FLOOD_ALERTS: Final = 20_000


class Act(Enum):
    """What the demo does in one step."""

    KILL = auto()
    START = auto()
    ROTATE = auto()
    FLOOD = auto()
    FAIL = auto()
    """CloudWatch begins to fail."""
    RECOVER = auto()
    """CloudWatch works again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the script."""

    at: float
    """Second of the run."""
    act: Act
    text: str
    faults: tuple[Fault, ...] = ()
    """With FAIL: the faults of the embedded CloudWatch from now on."""


SCRIPT: Final = (
    Step(
        3, Act.FAIL, "throttling: CloudWatch refuses 60% of the requests",
        (Fault("throttle", operation="PutLogEvents", probability=0.6),),
    ),
    Step(8, Act.KILL, "kill -9: the agent dies while CloudWatch throttles it"),
    Step(9, Act.ROTATE, "kubelet rotates the log, and nobody reads it"),
    Step(10, Act.ROTATE, "kubelet rotates again, and compresses the first file (gzip)"),
    Step(11, Act.RECOVER, "CloudWatch answers again"),
    Step(12, Act.START, "the agent starts again, from its checkpoint"),
    Step(
        18, Act.FAIL, "outage: every connection to CloudWatch is reset",
        (Fault("reset"),),
    ),
    Step(21, Act.ROTATE, "kubelet rotates during the outage"),
    Step(26, Act.RECOVER, "the outage ends"),
    Step(
        31, Act.FAIL, "CloudWatch accepts the events and resets the connection",
        (Fault("reset", operation="PutLogEvents", probability=0.6, accepted=True),),
    ),
    Step(36, Act.RECOVER, "connections stay open again"),
    Step(
        40, Act.FAIL, "CloudWatch is slow: half a second for each request",
        (Fault("slow", operation="PutLogEvents", seconds=0.5),),
    ),
    Step(41, Act.FLOOD, f"a flood of {count(FLOOD_ALERTS)} alerts, and one Critical behind it"),
    Step(48, Act.RECOVER, "CloudWatch is fast again"),
)  # fmt: skip


class Script:
    """Gives each step once, when its second has come."""

    def __init__(self, steps: Sequence[Step] = SCRIPT) -> None:
        self._waiting = sorted(steps, key=lambda step: step.at)

    def due(self, seconds: float) -> Iterator[Step]:
        while self._waiting and self._waiting[0].at <= seconds:
            yield self._waiting.pop(0)

    @property
    def is_over(self) -> bool:
        return not self._waiting


@dataclass(frozen=True, slots=True)
class Entry:
    """One step that was done."""

    at: float
    act: Act
    text: str
    note: str = ""
    """The effect of the step. It may become known later."""

    @property
    def line(self) -> str:
        return f"{self.at:5.0f} s  {self.text}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class FloodLatencies:
    """Seconds from the writing of an alert to the moment when CloudWatch has accepted it. None: not yet."""

    critical: float | None = None
    last: float | None = None
    """Of the alert at the end of the flood, in front of the Critical."""

    @property
    def are_known(self) -> bool:
        return self.critical is not None and self.last is not None

    @property
    def text(self) -> str:
        known = {"the Critical arrived after": self.critical, "the flood after": self.last}
        return ", ".join(f"{name} {duration(seconds)}" for name, seconds in known.items() if seconds is not None)


class Journal:
    """The steps that were done so far, in order, with their effects."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def add(self, at: float, step: Step, *, requests_hit: int = 0) -> None:
        """`requests_hit`: with RECOVER, the number of requests that the faults have hit since they were set."""
        if step.act is Act.RECOVER:
            self._note(Act.FAIL, f"{plural(requests_hit, 'request')} hit")
        self._entries.append(Entry(at, step.act, step.text))

    def flood_arrives(self, latencies: FloodLatencies) -> None:
        self._note(Act.FLOOD, latencies.text)

    def _note(self, act: Act, note: str) -> None:
        """Sets the note of the newest entry of this kind."""
        for position in reversed(range(len(self._entries))):
            if self._entries[position].act is act:
                self._entries[position] = replace(self._entries[position], note=note)
                return
