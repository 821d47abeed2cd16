"""The script of `falcowatch demo --chaos`: which fault comes in which second, and the list of those that came. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from agent.local.emulator.faults import Fault
from agent.web.figures import count, duration, plural

ALERTS_A_SECOND: Final = 500.0
_FLOOD_ALERTS: Final = 20_000


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


@dataclass(frozen=True, slots=True)
class Script:
    """One minute of faults."""

    steps: Sequence[Step]
    writing_seconds: float
    """Alerts are written for this long. Then the demo waits until all have arrived."""
    flood_alerts: int


_STEPS: Final = (
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
    Step(41, Act.FLOOD, f"flood of {count(_FLOOD_ALERTS)} alerts, a Critical behind it"),
    Step(48, Act.RECOVER, "CloudWatch is fast again"),
)  # fmt: skip

SCRIPT: Final = Script(_STEPS, 50.0, _FLOOD_ALERTS)


class Schedule:
    """Gives each step once, when its second has come."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._waiting = sorted(steps, key=lambda step: step.at)

    def due(self, seconds: float) -> Iterator[Step]:
        while self._waiting and self._waiting[0].at <= seconds:
            yield self._waiting.pop(0)

    @property
    def is_over(self) -> bool:
        return not self._waiting


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that has happened."""

    at: float
    act: Act
    text: str
    note: str = ""
    """A number that belongs to it."""

    @property
    def line(self) -> str:
        return f"{self.at:5.0f} s  {self.text}" + (f" ({self.note})" if self.note else "")


class Journal:
    """Everything that has happened so far, in order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def add(self, at: float, step: Step, *, requests_hit: int) -> None:
        """`requests_hit`: by the faults of CloudWatch since they were set. They end with a step RECOVER."""
        note = f"{plural(requests_hit, 'request')} hit" if step.act is Act.RECOVER else ""
        self._entries.append(Entry(at, step.act, step.text, note))

    def add_arrival(self, at: float, what: str, seconds: float) -> None:
        """`seconds`: from the writing of the alert to the moment when CloudWatch has accepted it."""
        self._entries.append(Entry(at, Act.FLOOD, f"{what} has arrived", f"{duration(seconds)} after it was written"))
