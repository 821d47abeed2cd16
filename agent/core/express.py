"""The express scan's pure half: finding urgent alerts in bytes that nobody has read yet, and their books.

A search for the few byte strings that every urgent alert holds finds the lines worth decoding; whatever is unusual
about a line (a part of a record, another spelling) is left to the ordinary pass, which reads everything. Records that
went ahead settle as islands: the ordinary pass passes over them, and is not committed beyond one that is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from agent.core.falco import PRIORITIES, SEVERITY, NotAnAlert, decode_alert
from agent.core.grammar import Docker, Grammar
from agent.core.ledger import Entry
from agent.core.lines import Records, without
from agent.core.search import holds


class Spotter:
    """Finds alerts at or above a priority, and Falco's messages about itself, among whole lines."""

    def __init__(self, urgent_priority: str) -> None:
        self._urgent: Final = SEVERITY[urgent_priority]
        # As Falco writes them: no spaces, priorities capitalised. Inside Docker's JSON the quotes are escaped.
        keys = [f'"priority":"{name.capitalize()}"' for name in PRIORITIES[: self._urgent + 1]]
        self._needles = tuple(key.encode() for key in (*keys, '"source":"internal"'))
        self._escaped = tuple(needle.replace(b'"', rb"\"") for needle in self._needles)

    def spot(self, window: bytes, offset: int, grammar: Grammar, max_record_bytes: int) -> Records:
        """The urgent records in the whole lines of `window`, which begins at `offset`; in file order."""
        records = Records()
        for start in sorted(self._hits(window, self._escaped if isinstance(grammar, Docker) else self._needles)):
            end = window.find(b"\n", start) + 1
            if not end:
                break  # the last line is not whole yet
            line = window[start:end]
            payload = self._urgent_alert(line[:-1], grammar)
            if payload is not None and len(line) <= max_record_bytes:
                records.payloads.append(payload)
                records.offsets.append(offset + start)
                records.lines.append(line)
        return records

    def _hits(self, window: bytes, needles: Sequence[bytes]) -> set[int]:
        """Where the lines begin that hold a needle."""
        starts = set()
        for needle in needles:
            if not holds(window, needle):
                continue
            # Backwards: CPython 3.11 searches bytes from the end in less than half the time.
            at = window.rfind(needle)
            while at >= 0:
                start = window.rfind(b"\n", 0, at) + 1
                starts.add(start)
                at = window.rfind(needle, 0, start)
        return starts

    def _urgent_alert(self, line: bytes, grammar: Grammar) -> bytes | None:
        entry = grammar.text(line)
        if entry is None or entry[2]:
            return None
        try:
            # The last part of a record that was cut is no whole object, so it fails here.
            alert = decode_alert(entry[1])
        except (NotAnAlert, UnicodeDecodeError, RecursionError):
            return None
        urgent = SEVERITY.get(alert.priority.lower(), len(PRIORITIES)) <= self._urgent
        return entry[1] if urgent or alert.source == "internal" else None


class ExpressEntry:
    """Records that went ahead together and settle together."""

    __slots__ = ("_waiting", "offsets", "pending", "read_at")

    def __init__(self, offsets: Sequence[int], read_at: float) -> None:
        self.offsets = offsets
        """Where they begin, ascending."""
        self.pending = len(offsets)
        self.read_at = read_at
        """Seconds of the monotonic clock."""
        self._waiting: list[Entry] = []

    def settle(self, records: int) -> None:
        """`records` more of them are shipped, filtered or rejected."""
        if records > self.pending:
            raise ValueError(f"settled {records} of {self.pending} express records at {self.offsets[0]}")
        self.pending -= records
        if not self.pending:
            for entry in self._waiting:
                entry.release()
            self._waiting.clear()

    def hold(self, entry: Entry) -> None:
        """The ordinary pass has come by: its entry waits until these are settled."""
        self._waiting.append(entry)


class ExpressBooks:
    """What of one file went ahead of the ordinary pass."""

    def __init__(self) -> None:
        self.scanned = 0
        """Up to where the file was scanned."""
        self._entries: deque[ExpressEntry] = deque()
        self._ahead: deque[tuple[int, ExpressEntry]] = deque()
        """What the ordinary pass has not come to yet, in file order."""

    def enter(self, offsets: Sequence[int], read_at: float) -> ExpressEntry:
        """New ones, beyond all that were entered before."""
        entry = ExpressEntry(offsets, read_at)
        self._entries.append(entry)
        self._ahead.extend((offset, entry) for offset in offsets)
        return entry

    def pass_over(self, records: Records, end: int) -> tuple[Records, list[ExpressEntry]]:
        """What is left of these records, the file's up to `end`; and the entries that are still under way among them.

        A line that the ordinary pass takes for a part of some other record is not waited for: it ships as that too.
        """
        if not self._ahead or self._ahead[0][0] >= end:
            return records, []
        passed: dict[int, ExpressEntry] = {}
        while self._ahead and self._ahead[0][0] < end:
            offset, entry = self._ahead.popleft()
            passed[offset] = entry
        under_way = {
            id(ahead): ahead
            for offset in records.offsets
            if (ahead := passed.get(offset)) is not None and ahead.pending
        }
        return without(records, passed.keys()), list(under_way.values())

    def forget(self, committed: int) -> None:
        """The ordinary pass is settled up to there."""
        while self._entries and not self._entries[0].pending and self._entries[0].offsets[-1] < committed:
            self._entries.popleft()

    @property
    def settled(self) -> Iterable[int]:
        """Where those begin that are settled and not forgotten."""
        return (offset for entry in self._entries if not entry.pending for offset in entry.offsets)

    @property
    def in_flight(self) -> int:
        return sum(entry.pending for entry in self._entries)

    def __len__(self) -> int:
        """How many are remembered."""
        return sum(len(entry.offsets) for entry in self._entries)
