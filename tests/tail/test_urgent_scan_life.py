"""The urgent scan and the ordinary reading over one file in every order, with crashes, as a state machine.

However they interleave and in whatever order records settle: a life ships no record twice, the committed offset is
never beyond one that is not settled, and what a checkpoint says is settled is not shipped by the next life.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.ledger import Entry, Ledger
from agent.core.reading.line_formats import Cri
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records, without
from agent.core.reading.scan_ledger import ScanEntry, ScanLedger
from agent.core.reading.splitter import Splitter

LONGEST = 1 << 20
STAMP = b"2026-11-23T07:23:01.156686905Z"


def alert(priority: bytes) -> bytes:
    return b'{"output":"o","priority":"%b","rule":"R","source":"syscall","time":"2026-11-23T07:23:01Z"}' % priority


written = st.tuples(
    st.sampled_from([b"Critical", b"Notice"]), st.sampled_from([1, 1, 1, 2, 3]), st.sampled_from([True, True, False])
)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.matcher = UrgentMatcher("critical")
        self.content = b""
        self.starts: set[int] = set()
        """Of all records that are whole by now."""
        self.open_at: int | None = None
        """Where a record begins whose last part is not written yet."""
        self.rest = b""
        """Of that record, what is not written yet."""
        self.settled: set[int] = set()
        """In any life."""
        self.saved: tuple[int, frozenset[int]] = (0, frozenset())
        self.start()

    def start(self) -> None:
        """A life of the agent begins with what the checkpoint says."""
        committed, self.settled_out_of_order = self.saved
        self.ledger = Ledger(committed)
        self.splitter = Splitter(committed, LONGEST)
        self.joiner = Joiner(Cri(), LONGEST)
        self.books = ScanLedger()
        self.under_way: list[tuple[Entry | ScanEntry, list[int]]] = []
        self.shipped: set[int] = set()

    @rule(some=st.lists(written, min_size=1, max_size=6))
    def write(self, some: list[tuple[bytes, int, bool]]) -> None:
        for priority, parts, ends in some:
            self.write_record(priority, parts, ends)

    def write_record(self, priority: bytes, parts: int, ends: bool) -> None:
        """One record, or some of its parts; one that is open goes on."""
        if self.open_at is None:
            self.open_at, self.rest = len(self.content), alert(priority)
        step = -(-len(self.rest) // parts)
        while len(self.rest) > step:
            self.content += b"%b stdout P %b\n" % (STAMP, self.rest[:step])
            self.rest = self.rest[step:]
        if ends:
            self.content += b"%b stdout F %b\n" % (STAMP, self.rest)
            self.starts.add(self.open_at)
            self.open_at = None

    @rule(most=st.integers(50, 1000))
    def read(self, most: int) -> None:
        """The ordinary pass, a chunk on."""
        at = self.splitter.end
        cut = self.splitter.feed(self.content[at : at + most], 0.0)
        records = self.joiner.feed(cut.lines, cut.offset, 0.0)
        skipped = self.books.skip_scanned(records, self.splitter.offset)
        records, scanned = skipped.left, skipped.in_flight
        done = self.settled_out_of_order & set(records.offsets)
        end = max(self.joiner.committable(self.splitter.offset), self.ledger.end)
        entry = self.ledger.enter(end, len(records), 0.0, len(scanned))
        for ahead in scanned:
            ahead.hold(entry)
        if done:
            entry.settle(len(done))
        self.ship(entry, [offset for offset in records.offsets if offset not in done])

    @rule(most=st.integers(100, 2000))
    def scan(self, most: int) -> None:
        """The urgent scan goes on by one window."""
        start = max(self.books.scanned, self.splitter.offset)
        window = self.content[start : start + most]
        end = window.rfind(b"\n") + 1
        self.books.scanned = start + end
        found = self.matcher.find(window[:end], start, Cri(), LONGEST)
        found = without(found, self.settled_out_of_order)
        if len(found):
            self.go_ahead(found)

    def go_ahead(self, found: Records) -> None:
        self.ship(self.books.enter(found.offsets, 0.0), found.offsets)

    def ship(self, entry: Entry | ScanEntry, offsets: list[int]) -> None:
        assert not self.shipped & set(offsets)
        assert not self.saved[1] & set(offsets)
        self.shipped |= set(offsets)
        if offsets:
            self.under_way.append((entry, list(offsets)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.under_way))
        entry, offsets = chosen
        many = data.draw(st.integers(1, len(offsets)))
        entry.settle(many)
        self.settled |= set(offsets[:many])
        del offsets[:many]
        if not offsets:
            self.under_way.remove(chosen)

    @rule()
    def save(self) -> None:
        committed = self.ledger.committed
        self.books.forget(committed)
        settled_out_of_order = {*self.settled_out_of_order, *self.books.settled}
        self.saved = committed, frozenset(offset for offset in settled_out_of_order if offset >= committed)

    @precondition(lambda self: self.shipped)
    @rule()
    def crash(self) -> None:
        self.start()

    @invariant()
    def nothing_is_committed_or_an_island_that_is_not_settled(self) -> None:
        committed = self.ledger.committed
        assert {start for start in self.starts if start < committed} <= self.settled
        assert self.open_at is None or committed <= self.open_at
        assert self.saved[1] <= self.settled

    @invariant()
    def in_flight_is_what_is_under_way(self) -> None:
        under_way = sum(len(offsets) for _, offsets in self.under_way)
        assert self.ledger.in_flight + self.books.in_flight == under_way

    def teardown(self) -> None:
        """A last life without a crash settles everything."""
        self.start()
        for _ in range(len(self.content) // 50 + 1):
            self.read(50)
            self.scan(400)
        for entry, offsets in self.under_way:
            entry.settle(len(offsets))
            self.settled |= set(offsets)
        assert self.settled == self.starts
        assert self.ledger.committed == (len(self.content) if self.open_at is None else self.open_at)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
