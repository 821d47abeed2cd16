"""Compares a segment again when more than one life of the agent has read its range. Pure.

A life of the agent may ship a record that another life, which reads the same range again, filters or folds. The segment
of the one does not hold the record, and CloudWatch does. The times of ingestion tell which life shipped an event. So
events from before the life began, and from after the next life began, are left out if a segment of that other life
holds them, and the segment is compared again. An event from before the life began is also left out if the settings that
filter were changed since: the life before may have been killed before it sealed the event. An event from after the next
life began is also left out while that life may not have sealed it yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from agent.audit.history import UNKNOWN_MS, Claim, Copy, HeldSeal, NodeHistory
from agent.audit.ranges import Range, is_in, joined
from agent.audit.segments import Outcome, RunningSegment


@dataclass(frozen=True, slots=True)
class Reconsidered:
    outcome: Outcome
    left_out: int = 0
    is_undecided: bool = False
    unsealed: int = 0
    """Events among those left out that may have no seal yet."""


@dataclass(frozen=True, slots=True)
class _Life:
    """One run of the agent: when it ran, and what the others state about the file."""

    started_ms: int
    next_ms: float
    """The time at which the next run started."""
    others_before: bool
    """An earlier run had other settings."""
    stated_before: Sequence[Range]
    stated_after: Sequence[Range]
    unsealed_from_ms: float
    """Events that were ingested later may have no seal yet."""

    def is_unsealed(self, copies: Sequence[Copy]) -> bool:
        """The next run shipped the event, and may not have sealed it yet."""
        return all(copy.ingested_ms >= max(self.next_ms, self.unsealed_from_ms) for copy in copies)

    def holds(self, copies: Sequence[Copy]) -> bool:
        """False: another run shipped the event."""
        offset = copies[0].offset
        if all(copy.ingested_ms < self.started_ms for copy in copies):
            return not (self.others_before or is_in(offset, self.stated_before))
        if any(copy.ingested_ms < self.next_ms for copy in copies):
            return True
        return not (is_in(offset, self.stated_after) or self.is_unsealed(copies))


class OtherLives:
    def __init__(
        self,
        history: NodeHistory,
        file: str,
        seals: Sequence[HeldSeal],
        segments: Sequence[RunningSegment],
        unsealed_from_ms: int,
    ) -> None:
        self._history = history
        self._file = file
        self._seals = seals
        self._unsealed_from_ms = unsealed_from_ms
        self._claims = [claim for segment in segments for claim in segment.claims]

    def reconsidered(self, outcomes: Sequence[Outcome]) -> Iterator[Reconsidered]:
        """All outcomes of one segment in the order of their ends, some of them compared again."""
        again: dict[int, Reconsidered] = {}
        surplus = [outcome for outcome in outcomes if not outcome.proves and outcome.surplus > 0]
        by_life = sorted(surplus, key=lambda outcome: (outcome.claim.seal.started_ms, outcome.claim.end))
        for _, group in groupby(by_life, key=lambda outcome: outcome.claim.seal.started_ms):
            of_run = [*group]
            for life in self._lives_of(of_run[-1].claim):
                members = of_run if life.started_ms == of_run[-1].claim.seal.started_ms else self._stated_first(of_run)
                has_others = life.others_before or life.stated_before or life.stated_after or life.next_ms < inf
                if members and has_others:
                    for before, after in zip(members, self._compare(members, life), strict=True):
                        known = again.get(id(before))
                        if known is None or (not known.outcome.proves and (after.outcome.proves or after.is_undecided)):
                            again[id(before)] = after
        for outcome in outcomes:
            yield again.get(id(outcome)) or Reconsidered(outcome)

    def _compare(self, outcomes: Sequence[Outcome], life: _Life) -> Iterator[Reconsidered]:
        segment = RunningSegment([outcome.claim for outcome in outcomes])
        left_out: list[int] = []
        unsealed: list[int] = []
        times_known = True
        copies = self._history.copies(self._file, segment.start, segment.end)
        for offset, group in groupby(copies, key=lambda copy: copy.offset):
            segment.settle(offset)
            same = [*group]
            times_known = times_known and all(copy.ingested_ms != UNKNOWN_MS for copy in same)
            if life.holds(same):
                segment.feed(offset, same[0].canonical)
            else:
                left_out.append(offset)
                if not is_in(offset, life.stated_after) and life.is_unsealed(same):
                    unsealed.append(offset)
        segment.settle(segment.end)
        for before, after in zip(outcomes, segment.outcomes, strict=True):
            candidates = sum(offset < after.claim.end for offset in left_out)
            if not times_known:
                yield Reconsidered(before, is_undecided=True)
            elif after.proves:
                yield Reconsidered(after, candidates, unsealed=sum(offset < after.claim.end for offset in unsealed))
            else:
                # With exact resume a life also counts events that the life before it shipped, and some of them may be
                # filtered now. The data cannot tell which ones.
                yield Reconsidered(before, is_undecided=life.others_before and before.surplus <= candidates)

    def _stated_first(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes that the first seal of a run states: it alone states bytes that the run before has read."""
        run = outcomes[0].claim.seal.started_ms
        first = min(seal.number for seal in self._seals if seal.started_ms == run)
        return [outcome for outcome in outcomes if outcome.claim.seal.number == first]

    def _lives_of(self, claim: Claim) -> Iterator[_Life]:
        """The run that sealed the statement, and the one before it: the first seal of a run also states segments that
        the run before it had read and not sealed."""
        starts = sorted({seal.started_ms for seal in self._seals})
        sealed_by = starts.index(claim.seal.started_ms)
        for position in (sealed_by, sealed_by - 1)[: 2 if sealed_by else 1]:
            started_ms = starts[position]
            others = [one for one in self._claims if _overlaps(one, claim)]
            yield _Life(
                started_ms,
                starts[position + 1] if position + 1 < len(starts) else inf,
                any(seal.started_ms < started_ms and seal.settings != claim.seal.settings for seal in self._seals),
                joined((one.start, one.end) for one in others if one.seal.started_ms < started_ms),
                joined((one.start, one.end) for one in others if one.seal.started_ms > started_ms),
                self._unsealed_from_ms,
            )


def _overlaps(one: Claim, claim: Claim) -> bool:
    """Whether another statement is about the same bytes. The statements of one seal about one segment are the same."""
    is_same = one.start == claim.start and (one.seal is claim.seal or one.sha256 == claim.sha256 is not None)
    return not is_same and one.start < claim.end and one.end > claim.start
