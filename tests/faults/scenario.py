"""A scenario as a value: the writer of the files, what happens to the agent, and the faults of CloudWatch."""

from dataclasses import dataclass, field

from tests.faults.writers import DELETES

CLOUDWATCH_FAULTS: dict[str, dict[str, object]] = {
    "throttled": {"kind": "throttle", "probability": 0.5},
    "quota": {"kind": "throttle", "per_second": 3.0},
    "error-500": {"kind": "error", "status": 500, "probability": 0.5},
    "error-503": {"kind": "error", "status": 503, "probability": 0.5},
    "slow": {"kind": "slow", "seconds": 0.5, "probability": 0.5},
    "hang": {"kind": "hang", "probability": 0.3},
    "reset-before": {"kind": "reset", "probability": 0.4},
    "reset-after": {"kind": "reset", "probability": 0.4, "accepted": True},
    "closed-after": {"kind": "close", "probability": 0.4, "accepted": True},
    "late-after": {"kind": "error", "status": 500, "probability": 0.3, "accepted": True},
    "denied": {"kind": "denied"},
    "expired": {"kind": "expired_token"},
    "bad-key": {"kind": "invalid_token"},
    "missing": {"kind": "error", "status": 400, "code": "ResourceNotFoundException", "probability": 0.3},
    "dead": {"kind": "reset", "operation": "*"},
}
ANSWER_IS_LOST = {"reset-after", "closed-after", "late-after", "hang"}
"""Faults after which CloudWatch may have accepted a put whose answer the agent did not get."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. The same seed makes the same choices."""

    name: str
    claim: str = "every record arrives, whatever happens at random"
    """What the scenario proves, as a sentence."""
    seed: int = 0
    writer: str = "kubelet"
    bursts: int = 60
    kills: int = 0
    terminations: int = 0
    cloudwatch_faults: tuple[str, ...] = ()
    """Keys of `CLOUDWATCH_FAULTS`; one of them is chosen at random again and again."""
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def may_lose(self) -> bool:
        """Whether files are deleted while no agent runs that could hold them open."""
        return self.writer in DELETES and bool(self.kills + self.terminations)


@dataclass(slots=True)
class Outcome:
    """The result of a scenario: counts, and the problems that the proof found."""

    written: int = 0
    lost: list[int] = field(default_factory=list)
    duplicated: int = 0
    duplicated_bytes: int = 0
    in_flight_bytes: int = 0
    """Bytes that were read and not in the checkpoint when a process ended, over all processes: these may be resent."""
    gap_bytes: int = 0
    gaps: int = 0
    kills: int = 0
    terminations: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        return (
            f"written {self.written:6} lost {len(self.lost):4} duplicated {self.duplicated:6} "
            f"({self.duplicated_bytes} of {self.in_flight_bytes} bytes in flight) "
            f"gaps {self.gaps} ({self.gap_bytes} bytes)"
            f" kills {self.kills} terminations {self.terminations}"
        )
