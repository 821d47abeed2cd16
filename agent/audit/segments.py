"""Checks the statements about one segment against the events: counts and digests. Pure.

The statements of one segment are cumulative: each covers the range from the segment's start. So one running digest over
the events, in the order of their offsets, checks all of them. The first statement that does not fit tells where the
difference is: behind the end of the statement before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby, pairwise

from agent.audit.history import Claim
from agent.core.proof.segment import MOST_REJECTED


@dataclass(frozen=True, slots=True)
class Outcome:
    """One statement, compared with the events."""

    claim: Claim
    found: int
    """Distinct events in the range, without those that the statement lists as rejected."""
    replayed: int
    """Rejected events that are there all the same."""
    same_bytes: bool | None
    """None: the statement is proved by count."""

    @property
    def surplus(self) -> int:
        """Events more than stated; negative: missing events."""
        return self.found - (self.claim.shipped - len(self.claim.rejected))

    @property
    def is_capped(self) -> bool:
        """More events were rejected than the statement names."""
        return len(self.claim.rejected) >= MOST_REJECTED and self.surplus != 0

    @property
    def proves(self) -> bool:
        return self.surplus == 0 and self.same_bytes is not False


class RunningSegment:
    """Takes the events of one segment by offset and compares each statement when its range is complete."""

    __slots__ = ("_digest", "_found", "_next", "_rejected", "_replayed", "claims", "end", "outcomes", "start")

    def __init__(self, claims: Sequence[Claim]) -> None:
        """`claims` have the same start and are in the order of their ends."""
        self.claims = claims
        self.start = claims[0].start
        self.end = claims[-1].end
        self.outcomes: list[Outcome] = []
        self._digest = sha256()
        self._found = 0
        self._next = 0
        self._rejected = frozenset().union(*(claim.rejected for claim in claims))
        self._replayed: set[int] = set()

    def settle(self, offset: int) -> None:
        """All events in front of this offset were fed."""
        while self._next < len(self.claims) and self.claims[self._next].end <= offset:
            self.outcomes.append(self._outcome(self.claims[self._next]))
            self._next += 1

    @property
    def next_end(self) -> int:
        return self.claims[self._next].end

    def feed(self, offset: int, canonical: bytes) -> None:
        self._digest.update(canonical + b"\n")
        self._found += 1
        if offset in self._rejected:
            self._replayed.add(offset)

    def _outcome(self, claim: Claim) -> Outcome:
        replayed = len(claim.rejected & self._replayed) if claim.rejected else 0
        by_digest = claim.sha256 is not None and not claim.rejected
        same_bytes = self._digest.hexdigest() == claim.sha256 if by_digest else None
        return Outcome(claim, self._found - replayed, replayed, same_bytes)


def segments(claims: Iterable[Claim]) -> Iterator[RunningSegment]:
    """The segments of a file, by their starts. `claims` are in the order of NodeHistory.claims."""
    for _, group in groupby(claims, key=lambda claim: claim.start):
        yield RunningSegment([*group])


@dataclass(frozen=True, slots=True)
class Difference:
    """The first statement that shows a difference, and where the range begins in which the difference is."""

    outcome: Outcome
    start: int
    surplus: int
    """Events more than stated; 0: the bytes differ."""


def differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """Each difference once, where it begins: the statements after it are cumulative and show it again."""
    found: list[Difference] = []
    proved_to = outcomes[0].claim.start if outcomes else 0
    surplus, is_known = 0, False
    for outcome in outcomes:
        if outcome.proves:
            surplus, is_known = 0, False
        elif outcome.surplus != surplus:
            found.append(Difference(outcome, proved_to, outcome.surplus - surplus))
            surplus, is_known = outcome.surplus, True
        elif not is_known:
            found.append(Difference(outcome, proved_to, 0))
            is_known = True
        proved_to = outcome.claim.end
    return found


def later_differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """The differences between the counts of later statements. The beginning of the segment is not in the data."""
    return [
        Difference(after, before.claim.end, after.surplus - before.surplus)
        for before, after in pairwise(outcomes)
        if after.surplus != before.surplus
    ]
