"""The ledger of a file: a table of simple cases, and a state machine compared with a model."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.core.proof.segment import Standing
from agent.core.reading.ledger import Entry, Ledger


def test_an_entry_without_records_is_settled_at_once() -> None:
    ledger = Ledger(10)

    ledger.enter(50, 0)

    assert (ledger.committed, ledger.in_flight, ledger.end, ledger.oldest_read_at) == (50, 0, 50, None)


def test_an_entry_that_settles_out_of_order_waits_for_the_entries_before_it() -> None:
    ledger = Ledger()
    first, second = ledger.enter(10, 2, 1.0), ledger.enter(30, 1, 2.0)

    second.settle(1)
    assert (ledger.committed, ledger.in_flight, ledger.oldest_read_at) == (0, 2, 1.0)

    first.settle(2)
    assert (ledger.committed, ledger.in_flight, ledger.end) == (30, 0, 30)


def test_settling_more_records_than_an_entry_has_raises() -> None:
    entry = Ledger().enter(10, 1)

    with pytest.raises(ValueError, match="settled 2 of 1 records"):
        entry.settle(2)


def test_an_entry_cannot_end_before_it_starts() -> None:
    ledger = Ledger(10)

    with pytest.raises(ValueError, match="before its start at 10"):
        ledger.enter(9, 0)


def test_a_record_from_the_previous_file_settles_there_when_it_is_settled_here() -> None:
    before, after = Ledger(), Ledger()
    previous_entry = before.enter(100, 1)
    entry = after.enter(20, 3)
    entry.tie(previous_entry, 1)

    entry.settle(2)
    assert (before.committed, after.committed) == (0, 0)

    entry.settle(1)
    assert (before.committed, after.committed) == (100, 20)


def test_a_file_is_not_committed_beyond_a_record_whose_first_part_would_be_read_again() -> None:
    before, after = Ledger(), Ledger()
    earlier = before.enter(50, 1)
    previous_entry = before.enter(100, 1)
    entry = after.enter(20, 1)
    entry.tie(previous_entry, 1)

    entry.settle(1)
    assert (before.committed, after.committed) == (0, 0)

    earlier.settle(1)
    assert (before.committed, after.committed) == (100, 20)


def test_a_record_over_three_files_commits_in_all_of_them_or_in_none() -> None:
    first, second, third = Ledger(), Ledger(), Ledger()
    earlier = first.enter(50, 1)
    previous_entry = first.enter(100, 1)
    between = second.enter(0, 1)
    through = second.enter(70, 1)
    through.tie(previous_entry, 1)
    entry = third.enter(20, 1)
    entry.tie(through, 1)

    entry.settle(1)
    between.settle(1)
    assert (first.committed, second.committed, third.committed) == (0, 0, 0)

    earlier.settle(1)
    assert (first.committed, second.committed, third.committed) == (100, 70, 20)


class LedgerMachine(RuleBasedStateMachine):
    """The committed offset is the end of the last record of the settled prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.entries: list[tuple[Entry, int]] = []
        self.committed_before = 0

    @rule(size=st.integers(0, 1000), records=st.integers(0, 5))
    def enter(self, size: int, records: int) -> None:
        end = self.ledger.end + size
        self.entries.append((self.ledger.enter(end, records), end))

    @precondition(lambda self: self.unsettled)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.unsettled))
        entry.settle(data.draw(st.integers(1, entry.pending)))

    @property
    def unsettled(self) -> list[Entry]:
        return [entry for entry, _ in self.entries if entry.pending]

    @invariant()
    def committed_is_the_end_of_the_longest_settled_prefix(self) -> None:
        expected = 0
        for entry, end in self.entries:
            if entry.pending:
                break
            expected = end
        assert self.ledger.committed == expected
        assert self.ledger.committed >= self.committed_before
        assert self.ledger.in_flight == sum(entry.pending for entry in self.unsettled)
        self.committed_before = self.ledger.committed


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_standing_of_a_committed_entry_is_noted_until_reading_begins_anew() -> None:
    noted: list[Standing] = []
    ledger = Ledger(note_standing=noted.append)
    first, second = (Standing(0, end, 1, {}, "digest") for end in (10, 20))

    ledger.enter(10, 1, standing=first).settle(1)
    ledger.detach()
    ledger.enter(20, 1, standing=second).settle(1)

    assert (noted, ledger.committed) == ([first], 20)


def test_what_settles_behind_a_record_that_cannot_be_sent_takes_bounded_memory() -> None:
    ledger = Ledger()
    stuck = ledger.enter(10, 1)
    under_way = [ledger.enter(10 * number, 1) for number in range(2, 30)]
    for number in range(30, 100_000):
        under_way.append(ledger.enter(10 * number, 1))
        under_way.pop(0).settle(1)

    assert len(ledger._entries) < 3000
    assert (ledger.committed, ledger.in_flight) == (0, 29)
    stuck.settle(1)
    assert ledger.committed == under_way[0].start
    for entry in under_way:
        entry.settle(1)
    assert ledger.committed == ledger.end == 999_990


def test_records_of_a_lane_that_cannot_be_sent_take_bounded_memory() -> None:
    ledger = Ledger()
    stuck = [ledger.enter(10 * number, 2, read_at=float(number)) for number in range(1, 30_001)]
    for entry in stuck:
        entry.settle(1)

    assert len(ledger._entries) < 2 * 1024
    assert (ledger.committed, ledger.in_flight, ledger.oldest_read_at) == (0, 30_000, 1.0)
    assert len({id(entry.current) for entry in stuck}) == len(ledger._entries)
    for entry in stuck:
        entry.settle(1)
    assert (ledger.committed, ledger.in_flight) == (ledger.end, 0)


@given(seed=st.integers())
@settings(max_examples=20, deadline=None)
def test_joined_entries_are_never_committed_beyond_an_unsettled_record(seed: int) -> None:
    standings: list[Standing] = []
    ledger = Ledger(0, standings.append)
    unsettled: dict[int, Entry] = {}
    for number in range(1, 4000):
        entry = ledger.enter(10 * number, 1)
        entry.standing = Standing(0, 10 * number, number, {}, "00")
        unsettled[10 * (number - 1)] = entry
    with pytest.raises(ValueError, match=r"settled 9000 of"):
        unsettled[0].settle(9000)

    for start in Random(seed).sample([*unsettled], len(unsettled)):
        unsettled.pop(start).settle(1)
        if len(unsettled) % 40 == 0:
            assert ledger.committed <= min(unsettled, default=ledger.end)
    assert ledger.committed == ledger.end
    assert standings[-1] == Standing(0, 39_990, 3999, {}, "00")


def test_entries_of_two_segments_are_not_joined() -> None:
    standings: list[Standing] = []
    ledger = Ledger(0, standings.append)
    stuck = ledger.enter(10, 1)
    for number in range(2, 3000):
        ledger.enter(10 * number, 0, standing=Standing(0 if number < 1500 else 14_990, 10 * number, 0, {}, "00"))

    stuck.settle(1)

    assert len(standings) < 2000
    assert Standing(0, 14_990, 0, {}, "00") in standings
    assert standings[-1] == Standing(14_990, 29_990, 0, {}, "00")
