"""The digests of one file: a running SHA-256 over the canonical bytes of its records, in the order of their offsets.

A segment is a range of a file that was read in one go. Reading feeds the records of each chunk to the segment, and
notes the state of the digest as a `Standing` in the chunk's ledger entry. When the ledger commits the entry, the
standing is what a seal may state: only settled records are in it.

A record may end behind the place up to which a chunk may be committed, because an older record of the other stream is
still partial. Such records wait until the older one has ended. So the order of the digest is always that of the
offsets, which a reader can rebuild from the ids of the events.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import takewhile
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from agent.core.proof.canonical import hashed_together

MOST_WAITING_BYTES: Final = 1024 * 1024
"""Of records that wait for an older record of the other stream. Beyond it, their segment is proved by count alone."""

MOST_REJECTED: Final = 2000
"""Rejected ids that one statement names."""


class Proved(NamedTuple):
    """One record for the digest."""

    offset: int
    canonical: bytes


class Standing(Struct, frozen=True):
    """A segment at the end of one ledger entry."""

    start: int
    """The offset at which the segment begins."""
    end: int
    shipped: int
    """Records in the digest, from the start of the segment on."""
    filtered: Mapping[str, int]
    sha256: str | None
    """None: the segment is proved by count alone."""


class Statement(Struct, frozen=True):
    """The content of a seal about one segment of one file."""

    file: str
    start: int
    end: int
    shipped: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[int, ...] = ()
    """Offsets of records in the segment that CloudWatch rejected."""
    sha256: str | None = None
    since: int = 0
    """The number of the seal that stated this segment first; 0: none has."""

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """Differs when there is something new to state."""
        return self.start, self.end, self.shipped, len(self.rejected)


class Segment:
    """A running digest."""

    __slots__ = ("_digest", "by_count", "filtered", "shipped", "start")

    def __init__(self, start: int, *, by_count: bool = False) -> None:
        self.start = start
        self.by_count = by_count
        self.shipped = 0
        self.filtered: Counter[str] = Counter()
        self._digest = sha256()

    def feed(self, canonical: bytes, records: int) -> None:
        self._digest.update(canonical)
        self.shipped += records

    def standing(self, end: int) -> Standing:
        digest = None if self.by_count else self._digest.hexdigest()
        return Standing(self.start, end, self.shipped, dict(self.filtered), digest)


class Crossing(Struct):
    """The end of a file in which records began that end in the next file."""

    segment: Segment
    end: int
    missing: int
    """The number of these records that have not ended yet."""
    records: list[Proved]


class FileDigest:
    """The segments of one file: what was fed, what is committed, and what was not stated in a seal yet."""

    is_computed = True

    def __init__(self, file: str, unshipped: Iterable[int] = (), rejected: Iterable[int] = ()) -> None:
        """`unshipped`, `rejected`: offsets of records that an earlier run of the agent settled out of order."""
        self.file = file
        self.unshipped = set(unshipped)
        """Offsets of records beyond the committed offset that are settled, and were filtered."""
        self.rejected = set(rejected)
        """Offsets of records that CloudWatch rejected."""
        self._segment = Segment(0)
        self._end = 0
        """The end of the last entry."""
        self._waiting: list[Proved] = []
        """Records behind the end of the last entry, in any order."""
        self._counted = array("q")
        """Offsets of such records when their bytes were too many to be held."""
        self._fresh_rejects = False
        self._crossing: Crossing | None = None
        self._committed: Standing | None = None
        self._finished: list[Statement] = []
        """Segments that have ended and that no seal has stated."""
        self._stated: tuple[int, int, int, int] | None = None
        self._since = 0
        """The number of the seal that stated the committed segment first."""
        self._looked_at: tuple[int, Standing, int] | None = None
        """Offset, standing and number of rejected records when there was nothing new to state. Most files are idle."""

    def restart(self, offset: int) -> None:
        """Reading begins anew at this offset: everything in front of it is settled."""
        self._finish_committed(offset)
        self._waiting, self._counted, self._crossing = [], array("q"), None
        self._begin_segment(offset)

    def add(self, offsets: list[int], payloads: list[bytes], end: int) -> Standing:
        """Feeds the records of the next entry, which ends at `end`."""
        self._renew_after_reject()
        is_usual = not (self._waiting or self._counted or self._segment.by_count)
        if is_usual and (not offsets or (offsets[-1] < end and offsets == sorted(offsets))):
            self._segment.feed(hashed_together(payloads), len(payloads))
            self._end = end
            return self._segment.standing(end)
        self._waiting += [Proved(at, hashed_together([payload])) for at, payload in zip(offsets, payloads, strict=True)]
        return self._advance(end)

    def _advance(self, end: int) -> Standing:
        """Feeds the records that wait, up to `end`."""
        self._waiting.sort()
        ready = [*takewhile(lambda record: record.offset < end, self._waiting)]
        del self._waiting[: len(ready)]
        counted = sum(offset < end for offset in self._counted)
        self._counted = array("q", (offset for offset in self._counted if offset >= end))
        self._segment.feed(b"".join(record.canonical for record in ready), len(ready) + counted)
        self._end = end
        standing = self._segment.standing(end)
        if sum(len(record.canonical) for record in self._waiting) > MOST_WAITING_BYTES:
            self._counted.extend(record.offset for record in self._waiting)
            self._waiting = []
            self._begin_segment(end)
        elif self._segment.by_count and not self._counted:
            self._begin_segment(end)
        return standing

    def filter(self, filtered: Mapping[str, int]) -> None:
        """Counts records of the entry that is added next which are settled without being shipped."""
        self._renew_after_reject()
        if filtered:
            self._segment.filtered.update(filtered)

    def count_unknown(self, records: int) -> None:
        """`records` events have shipped whose records reading does not find: the segment is proved by count."""
        self._renew_after_reject()
        self._segment.by_count = True
        self._segment.shipped += records

    def reject(self, offset: int) -> None:
        """CloudWatch has rejected the record: its segment is proved by count, and a new one begins."""
        self.rejected.add(offset)
        self._fresh_rejects = True

    def cross(self, end: int, records: int) -> Standing | None:
        """The file ends at `end` with `records` partial records of its own, whose last parts are in a later file.

        Returns the standing if there are none: what is partial began in an even older file.
        """
        self._renew_after_reject()
        if not records:
            return self._advance(end)
        counted = len(self._counted)
        self._segment.shipped += counted
        self._crossing = Crossing(self._segment, end, records, self._waiting)
        self._waiting, self._counted = [], array("q")
        self._begin_segment(end)
        return None

    def add_crossed(self, offset: int, payload: bytes | None) -> Standing | None:
        """A record has ended in a later file; None: it was filtered. The standing when it was the last one."""
        crossing = self._crossing
        if crossing is None:
            return None
        if payload is not None:
            crossing.records.append(Proved(offset, hashed_together([payload])))
        crossing.missing -= 1
        if crossing.missing:
            return None
        self._crossing = None
        records = sorted(crossing.records)
        crossing.segment.feed(b"".join(one.canonical for one in records), len(records))
        return crossing.segment.standing(crossing.end)

    def commit(self, standing: Standing) -> None:
        """The ledger has committed the entry of this standing."""
        if self._committed is not None and self._committed.start != standing.start:
            self._finish_committed(self._committed.end)
        self._committed = standing

    def statements(self, committed: int) -> list[Statement]:
        """The statements that no seal has yet. The ledger has committed the file up to this offset."""
        statements = list(self._finished)
        standing = self._committed
        if standing is not None and (committed, standing, len(self.rejected)) != self._looked_at:
            current = self._current(committed)
            if current is not None and current.mark != self._stated:
                statements.append(current)
            else:
                self._looked_at = committed, standing, len(self.rejected)
        return statements

    def note_stated(self, statements: Iterable[Statement], number: int) -> None:
        """The seal of this number states these."""
        stated = {statement.mark for statement in statements}
        self._finished = [statement for statement in self._finished if statement.mark not in stated]
        if self._committed is not None:
            newest = [mark for mark in stated if mark[0] == self._committed.start]
            if newest:
                self._stated = max(newest)
                self._since = self._since or number

    def forget_settled(self, committed: int) -> None:
        """Offsets that no statement can name any more."""
        start = self._segment.start if self._committed is None else self._committed.start
        self.rejected = {offset for offset in self.rejected if offset >= start}
        self.unshipped = {offset for offset in self.unshipped if offset >= committed}

    def _current(self, committed: int) -> Statement | None:
        standing = self._committed
        if standing is None:
            return None
        return self._statement(replace(standing, end=max(committed, standing.end)))

    def _statement(self, standing: Standing) -> Statement:
        rejected = sorted(offset for offset in self.rejected if standing.start <= offset < standing.end)
        return Statement(
            self.file,
            standing.start,
            standing.end,
            standing.shipped,
            standing.filtered,
            tuple(rejected[:MOST_REJECTED]),
            standing.sha256,
            self._since,
        )

    def _finish_committed(self, end: int) -> None:
        current = self._current(end)
        if current is not None and current.mark != self._stated:
            self._finished.append(current)
        self._committed, self._stated, self._since = None, None, 0

    def _begin_segment(self, start: int) -> None:
        self._segment, self._end = Segment(start, by_count=bool(self._counted)), start

    def _renew_after_reject(self) -> None:
        if self._fresh_rejects:
            self._fresh_rejects = False
            self._begin_segment(self._end)
