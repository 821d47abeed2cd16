"""Compares a segment again when the agent's filters were changed between two readings of the same range. Pure.

A life of the agent may ship a record that the next life, which reads the same range again, filters. The segment of the
one does not hold the record, and CloudWatch does. The times of ingestion tell which life shipped an event: events from
before the life began, or from after the next life with other settings began, are left out, and the segment is compared
again. Without a change of the settings nothing is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from agent.audit.history import UNKNOWN_MS, Claim, Copy, HeldSeal, NodeHistory
from agent.audit.ranges import Range, is_in, joined
from agent.audit.segments import Outcome, RunningSegment


@dataclass(frozen=True, slots=True)
class Reconsidered:
    outcome: Outcome
    left_out: int = 0
    is_undecided: bool = False


@dataclass(frozen=True, slots=True)
class _Life:
    """When the agent ran that stated a segment, and whether its neighbours had other settings."""

    started_ms: int
    others_before: bool
    others_after_ms: int | None


class OtherFilters:
    def __init__(
        self, history: NodeHistory, file: str, seals: Sequence[HeldSeal], segments: Sequence[RunningSegment]
    ) -> None:
        self._history = history
        self._file = file
        self._seals = seals
        self._claims = [claim for segment in segments for claim in segment.claims]

    def reconsidered(self, outcomes: Sequence[Outcome]) -> Iterator[Reconsidered]:
        """All outcomes of one segment in the order of their ends, some of them compared again."""
        again: dict[int, Reconsidered] = {}
        surplus = [outcome for outcome in outcomes if not outcome.proves and outcome.surplus > 0]
        by_life = sorted(surplus, key=lambda outcome: (outcome.claim.seal.started_ms, outcome.claim.end))
        for _, group in groupby(by_life, key=lambda outcome: outcome.claim.seal.started_ms):
            members = [*group]
            life = self._life_of(members[0].claim)
            if life.others_before or life.others_after_ms is not None:
                for before, after in zip(members, self._compare(members, life), strict=True):
                    again[id(before)] = after
        for outcome in outcomes:
            yield again.get(id(outcome)) or Reconsidered(outcome)

    def _compare(self, outcomes: Sequence[Outcome], life: _Life) -> Iterator[Reconsidered]:
        claims = [outcome.claim for outcome in outcomes]
        stated_later = joined(
            (claim.start, claim.end)
            for claim in self._claims
            if life.others_after_ms is not None and claim.seal.started_ms >= life.others_after_ms
        )
        segment = RunningSegment(claims)
        left_out: list[int] = []
        times_known = True
        copies = self._history.copies(self._file, segment.start, segment.end)
        for offset, group in groupby(copies, key=lambda copy: copy.offset):
            segment.settle(offset)
            same = [*group]
            times_known = times_known and all(copy.ingested_ms != UNKNOWN_MS for copy in same)
            if times_known and _is_of_another_life(same, life, stated_later):
                left_out.append(offset)
            else:
                segment.feed(offset, same[0].canonical)
        segment.settle(segment.end)
        for before, after in zip(outcomes, segment.outcomes, strict=True):
            candidates = sum(offset < after.claim.end for offset in left_out)
            if not times_known:
                yield Reconsidered(before, is_undecided=True)
            elif after.proves:
                yield Reconsidered(after, candidates)
            else:
                # With exact resume a life may also count events of the life before it, and these cannot be told apart.
                yield Reconsidered(before, is_undecided=before.surplus <= candidates)

    def _life_of(self, claim: Claim) -> _Life:
        started_ms, settings = claim.seal.started_ms, claim.seal.settings
        others = [seal.started_ms for seal in self._seals if seal.settings != settings]
        return _Life(
            started_ms,
            any(other < started_ms for other in others),
            min((other for other in others if other > started_ms), default=None),
        )


def _is_of_another_life(copies: Sequence[Copy], life: _Life, stated_later: Sequence[Range]) -> bool:
    if life.others_before and all(copy.ingested_ms < life.started_ms for copy in copies):
        return True
    after_ms = life.others_after_ms
    return (
        after_ms is not None
        and all(copy.ingested_ms >= after_ms for copy in copies)
        and is_in(copies[0].offset, stated_later)
    )
