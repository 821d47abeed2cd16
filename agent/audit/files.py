"""Checks one file of one node: every event against the segments, and the segments against the seals. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from agent.audit.chains import SealedTime
from agent.audit.findings import Findings
from agent.audit.history import UNKNOWN_MS, Copy, NodeHistory
from agent.audit.kinds import Kind
from agent.audit.other_lives import OtherLives
from agent.audit.ranges import Range, holes, is_in, joined
from agent.audit.segments import Difference, Outcome, RunningSegment, differences, later_differences, segments
from agent.web.figures import count, moment, plural

CLOCK_MS = 3_600_000
"""The largest distance between the time of an event and the time of its seal, if the time of ingestion is unknown."""


@dataclass(slots=True)
class FileTotals:
    """The counts of the report."""

    events: int = 0
    """Distinct ids."""
    duplicates: int = 0
    proved: int = 0
    """Events in segments that prove by digest or by count."""
    filtered: Counter[str] = field(default_factory=Counter)
    rejected: set[str] = field(default_factory=set)
    gaps: int = 0
    gap_bytes: int = 0


class FileCheck:
    def __init__(self, history: NodeHistory, file: str, time: SealedTime, until_ms: int, findings: Findings) -> None:
        self._history = history
        self._file = file
        self._time = time
        self._until_ms = until_ms
        self._findings = findings
        gaps = history.gaps(file)
        self._gaps: list[Range] = joined(gaps)
        self._segments = [*segments(history.claims(file))]
        self._lost_from = _lost_from(gaps, self._segments)
        """Everything of the file from this offset on was lost; None: not so."""
        self.totals = FileTotals()

    def run(self, advance: Callable[[int], None] = lambda copies: None) -> FileTotals:
        for start, end in holes([(one.start, one.end) for one in self._segments], self._gaps):
            self._findings.add(Kind.HOLE, f"{self._file} [{start}, {end})", f"{count(end - start)} bytes")
        self._read(advance)
        for segment in self._segments:
            self._judge(segment)
        self._count()
        self.totals.proved = min(self.totals.proved, self.totals.events)
        return self.totals

    def _read(self, advance: Callable[[int], None]) -> None:
        """One pass over the events of the file."""
        waiting, running = self._segments[::-1], list[RunningSegment]()
        next_end = 0
        for first, others in _by_id(self._history.copies(self._file)):
            offset = first.offset
            if waiting and waiting[-1].start <= offset:
                while waiting and waiting[-1].start <= offset:
                    running.append(waiting.pop())
                next_end = 0
            if offset >= next_end:
                for segment in running:
                    segment.settle(offset)
                running = [segment for segment in running if segment.end > offset]
                next_end = min((segment.next_end for segment in running), default=0)
            for segment in running:
                segment.feed(offset, first.canonical)
            if not running:
                self._uncovered(first)
            if others:
                self._compare(first, others)
            self.totals.events += 1
            if not self.totals.events & 0xFFF:
                advance(0x1000)
        for segment in self._segments:
            segment.settle(segment.end)

    def _compare(self, first: Copy, others: Sequence[Copy]) -> None:
        self.totals.duplicates += len(others)
        for other in others:
            if other.canonical != first.canonical:
                seen = f"ingested at {_at(first.seen_ms)} in {first.stream} and at {_at(other.seen_ms)}"
                self._findings.add(
                    Kind.EVENT_ALTERED, self._id(first.offset), seen, stream=other.stream, at_ms=other.time_ms
                )

    def _uncovered(self, event: Copy) -> None:
        """An event that no statement covers."""
        time, seen_ms = self._time, event.seen_ms
        kind = Kind.EVENT_NOT_SEALED
        was_lost = self._lost_from is not None and event.offset >= self._lost_from
        if was_lost or is_in(event.offset, self._gaps):
            kind = Kind.IN_A_GAP
        elif not time.is_old(seen_ms, self._until_ms):
            kind = Kind.NOT_SEALED_YET
        elif not time.seals:
            return  # the whole node is reported
        elif seen_ms <= _first_ms(time, event):
            kind = Kind.BEFORE_THE_SEALS if time.begins_inside else Kind.BEFORE_THE_DATA
        elif seen_ms >= time.settled_to_ms and self._is_behind_the_end(event.offset):
            kind = Kind.NOT_SEALED_YET
        at_ms = event.time_ms if kind is Kind.EVENT_NOT_SEALED else None
        self._findings.add(kind, self._id(event.offset), f"of {_at(event.time_ms)}", stream=event.stream, at_ms=at_ms)

    def _is_behind_the_end(self, offset: int) -> bool:
        return all(segment.end <= offset for segment in self._segments)

    def _judge(self, segment: RunningSegment) -> None:
        outcomes = [outcome for outcome in segment.outcomes if not outcome.is_capped]
        for capped in (outcome for outcome in segment.outcomes if outcome.is_capped):
            self._add(Kind.TOO_MANY_REJECTED, capped, segment.start, "")
        if not all(outcome.proves for outcome in outcomes):
            outcomes = self._without_other_lives(outcomes)
        for outcome in outcomes[-1:]:
            if outcome.replayed:
                self._add(Kind.REPLAYED, outcome, segment.start, plural(outcome.replayed, "event"))
        if any(map(self._may_begin_before_the_data, outcomes)):
            # The runs of the agent are judged apart: one may begin before the data and another one within it.
            outcomes.sort(key=lambda outcome: outcome.claim.seal.started_ms)
            for _, group in groupby(outcomes, key=lambda outcome: outcome.claim.seal.started_ms):
                self._judge_later([*group])
        else:
            for difference in differences(outcomes):
                self._report(difference)
        self.totals.proved += max((outcome.found for outcome in outcomes if outcome.proves), default=0)

    def _judge_later(self, outcomes: Sequence[Outcome]) -> None:
        """The statements of one run of the agent, of which the first may be about events that are not in the data."""
        oldest = min((outcome.claim.seal for outcome in outcomes), key=lambda seal: seal.number)
        first = [outcome for outcome in outcomes if outcome.claim.seal is oldest][-1]
        if first.proves or not self._may_begin_before_the_data(first):
            found = differences(outcomes)
        else:
            # One seal may state the segment twice, and all that it states may be older than the data.
            found = later_differences([first, *(one for one in outcomes if one.claim.seal is not oldest)])
            if first.surplus > 0:
                found.insert(0, Difference(first, first.claim.start, first.surplus))
            else:
                missing = f"{plural(-first.surplus, 'event')} missing" if first.surplus else "its bytes differ"
                self._add(Kind.BEGAN_BEFORE_THE_DATA, first, first.claim.start, missing)
        for difference in found:
            self._report(difference)

    def _report(self, difference: Difference) -> None:
        outcome, surplus = difference.outcome, difference.surplus
        if not surplus:
            detail = f"of {plural(outcome.found, 'event')} in the segment"
            self._add(Kind.DIGEST_DIFFERS, outcome, difference.start, detail)
            return
        stated = outcome.claim.shipped - len(outcome.claim.rejected)
        change = f"{plural(abs(surplus), 'event')} {'missing' if surplus < 0 else 'too many'}"
        numbers = f"the seal states {count(stated)} in the segment, there are {count(outcome.found)}"
        self._add(Kind.COUNT_DIFFERS, outcome, difference.start, f"{change}: {numbers}")

    def _add(self, kind: Kind, outcome: Outcome, start: int, detail: str) -> None:
        seal, end = outcome.claim.seal, outcome.claim.end
        detail = f"{detail}; seal {count(seal.number)} of {_at(seal.time_ms)}".removeprefix("; ")
        self._findings.add(kind, f"{self._file} [{start}, {end})", detail, stream=seal.stream, at_ms=seal.time_ms)

    def _may_begin_before_the_data(self, outcome: Outcome) -> bool:
        """True if an older seal, which is not in the data, may have stated this segment first."""
        claim = outcome.claim
        held_from = self._time.first_numbers[claim.seal.chain]
        return held_from > 1 and (claim.since is None or claim.since <= held_from)

    def _without_other_lives(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Compares again without the events that another life of the agent shipped."""
        others = OtherLives(
            self._history, self._file, self._time.seals, self._segments, self._time.unsealed_from_ms(self._until_ms)
        )
        decided, left_out, unsealed = [], 0, 0
        for outcome in others.reconsidered(outcomes):
            if outcome is None:
                continue
            left_out = max(left_out, outcome.left_out - outcome.unsealed)
            unsealed = max(unsealed, outcome.unsealed)
            if outcome.is_undecided:
                self._add(Kind.UNDECIDED, outcome.outcome, outcome.outcome.claim.start, "")
            else:
                decided.append(outcome.outcome)
        if left_out:
            self._findings.add(
                Kind.LEFT_OUT, f"{self._file} from {outcomes[0].claim.start} on", plural(left_out, "event"),
                count=left_out,
            )  # fmt: skip
        if unsealed:
            where = f"{self._file} from {outcomes[0].claim.start} on"
            self._findings.add(Kind.NOT_SEALED_YET, where, plural(unsealed, "event"), count=unsealed)
        return decided

    def _count(self) -> None:
        for segment in self._segments:
            last = max(segment.claims, key=lambda claim: (claim.end, claim.seal.number))
            self.totals.filtered.update(last.filtered)
            self.totals.rejected |= {self._id(offset) for claim in segment.claims for offset in claim.rejected}
        self.totals.gaps = len(self._gaps)
        self.totals.gap_bytes = sum(end - start for start, end in self._gaps)

    def _id(self, offset: int) -> str:
        return f"{self._file}:{offset}"


def _by_id(copies: Iterator[Copy]) -> Iterator[tuple[Copy, Sequence[Copy]]]:
    """The first copy of each record, and the other copies."""
    first = next(copies, None)
    others: list[Copy] = []
    for copy in copies:
        if first is not None and copy.offset != first.offset:
            yield first, others
            first, others = copy, []
        else:
            others.append(copy)
    if first is not None:
        yield first, others


def _first_ms(time: SealedTime, event: Copy) -> int:
    """An event until this time may be sealed by a seal that is not in the data, or be older than all seals."""
    first = time.seals[0]
    began_ms = first.started_ms if time.begins_inside else first.seen_ms
    return began_ms + (CLOCK_MS if event.ingested_ms == UNKNOWN_MS and not time.begins_inside else 0)


def _at(time_ms: int) -> str:
    return moment(time_ms / 1000)


def _lost_from(gaps: Sequence[Range], segments: Sequence[RunningSegment]) -> int | None:
    """The start of the gap with which the file ends; None: it ends otherwise.

    More bytes may be lost than the gap says, because Falco may have written to the file while no agent ran.
    """
    start = max((start for start, _ in gaps), default=None)
    return start if start is not None and all(segment.end <= start for segment in segments) else None
