"""Collects what the audit of one node finds. Of each kind it keeps the first findings whole and counts the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from agent.audit.kinds import Kind, Weight

MOST_KEPT = 20
"""Findings of one kind and one node that are kept. A wrong key would give one for each seal."""


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    node: str
    where: str
    """The id of the event, the number of the seal, or the range of the file."""
    detail: str = ""
    stream: str = ""
    at_ms: int | None = None
    """The time of the seal or event; None: it has no single time."""


class Findings:
    def __init__(self, node: str) -> None:
        self._node = node
        self._kept: dict[Kind, list[Finding]] = {}
        self.counts: Counter[Kind] = Counter()
        self._first_problem_ms: int | None = None

    def add(
        self, kind: Kind, where: str, detail: str = "", *, stream: str = "", at_ms: int | None = None, count: int = 1
    ) -> None:
        self.counts[kind] += count
        if kind.weight is Weight.PROBLEM and at_ms is not None:
            self._first_problem_ms = min(at_ms, self._first_problem_ms or at_ms)
        kept = self._kept.setdefault(kind, [])
        if len(kept) < MOST_KEPT:
            kept.append(Finding(kind, self._node, where, detail, stream, at_ms))

    def __iter__(self) -> Iterator[Finding]:
        """Problems first, in the order of the kinds."""
        for kind in Kind:
            yield from self._kept.get(kind, ())

    @property
    def weight(self) -> Weight:
        """The heaviest weight of all findings."""
        weights = {kind.weight for kind in self.counts}
        return next((weight for weight in Weight if weight in weights), Weight.NOTE)

    @property
    def first_problem_ms(self) -> int | None:
        """The time of the oldest problem that has a time."""
        return self._first_problem_ms
