"""The result of an isolation scenario, and the description of a scenario in the catalogue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.audit.kinds import Kind
from tests.faults.audit import audit_stored
from tests.faults.isolation.stage import MAX_PEAK_BYTES, noting_peaks, sealing

SEAL_SECONDS = 1.0


@dataclass(slots=True)
class Result:
    """The claim of the scenario holds when both lists of problems are empty."""

    problems: list[str] = field(default_factory=list)
    too_slow: list[str] = field(default_factory=list)
    """Problems of elapsed time, which a busy machine can cause too. `make test` ignores them."""
    measured: dict[str, float | int | str] = field(default_factory=dict)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def expect_fast(self, holds: bool, problem: str) -> None:
        if not holds:
            self.too_slow.append(problem)

    def line(self) -> str:
        return "  ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.measured.items()
        )


@dataclass(frozen=True, slots=True)
class IsolationScenario:
    """One entry of the catalogue. The name of its function, read as a sentence, is the claim."""

    function: Callable[..., Awaitable[Result]]
    variant: str | None = None
    """Second argument of the function, such as the kind of a fault."""
    quick: bool = False
    """Played by `make test` too."""
    sealed: bool = True
    """The agents seal each second, so that the audit proves the events. False: heartbeats disturb the scenario."""
    audit_finds: frozenset[Kind] = frozenset()
    """Problems that the audit has to find, because the scenario causes them on purpose."""

    @property
    def name(self) -> str:
        claim = getattr(self.function, "__name__", "scenario").replace("_", " ")
        return claim if self.variant is None else f"{claim} ({self.variant})"

    async def play(self, place: Path) -> Result:
        """Every scenario bounds the memory of its agents, and the audit proves the events that it has stored."""
        arguments = () if self.variant is None else (self.variant,)
        with noting_peaks() as peaks, sealing(SEAL_SECONDS if self.sealed else 0):
            result = await self.function(place, *arguments)
        result.problems += await audit_stored(place, expected=self.audit_finds)
        if peaks:
            peak_mib = max(peaks) / 2**20
            result.measured["peak_mib"] = round(peak_mib)
            result.expect(max(peaks) < MAX_PEAK_BYTES, f"peak memory {peak_mib:.0f} MiB")
        return result


def variants(
    function: Callable[..., Awaitable[Result]],
    names: Iterable[str],
    *,
    quick: Collection[str] = (),
    sealed: bool = True,
    audit_finds: frozenset[Kind] = frozenset(),
) -> list[IsolationScenario]:
    """One scenario for each variant. Those in `quick` are played by `make test` too."""
    return [IsolationScenario(function, name, name in quick, sealed, audit_finds) for name in names]


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile; infinity when there are no values."""
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)] if ordered else float("inf")
