"""Records that the urgent scan shipped: reading skips them, and the ledger waits for them."""

import pytest

from agent.core.reading.ledger import Ledger
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanLedger, Skipped


def records(*offsets: int) -> Records:
    return Records([b"p"] * len(offsets), list(offsets), [b"l"] * len(offsets))


def test_reading_skips_scanned_records():
    scan_ledger = ScanLedger()
    first = scan_ledger.enter((10, 30), 0.0)
    first.settle(2)

    skipped = scan_ledger.skip_scanned(records(0, 10, 20), 25)

    assert (skipped.left.offsets, skipped.in_flight) == ([0, 20], [])
    skipped = scan_ledger.skip_scanned(records(30, 40), 50)
    assert (skipped.left.offsets, skipped.in_flight) == ([40], [])


def test_a_ledger_entry_waits_for_scanned_records_in_flight():
    scan_ledger, ledger = ScanLedger(), Ledger()
    entry_ahead = scan_ledger.enter((10,), 0.0)
    skipped = scan_ledger.skip_scanned(records(10), 20)

    entry = ledger.enter(20, len(skipped.left), 0.0, len(skipped.in_flight))
    for scanned in skipped.in_flight:
        scanned.hold(entry)
    assert (ledger.committed, ledger.in_flight, scan_ledger.in_flight) == (0, 0, 1)

    entry_ahead.settle(1)
    assert (ledger.committed, ledger.in_flight, scan_ledger.in_flight) == (20, 0, 0)


def test_a_settled_scanned_record_is_kept_until_the_file_is_committed_beyond_it():
    scan_ledger = ScanLedger()
    scan_ledger.enter((10, 30), 0.0).settle(2)
    in_flight = scan_ledger.enter((50,), 0.0)

    assert list(scan_ledger.settled) == [10, 30]
    scan_ledger.forget(30)
    assert list(scan_ledger.settled) == [10, 30]
    scan_ledger.forget(31)
    assert list(scan_ledger.settled) == []

    scan_ledger.forget(60)
    assert len(scan_ledger) == 1
    in_flight.settle(1)
    scan_ledger.forget(60)
    assert len(scan_ledger) == 0


def test_a_filtered_scanned_record_is_known_until_the_file_is_committed_beyond_it():
    scan_ledger = ScanLedger()
    scan_ledger.enter((10,), 0.0).settle(1)
    scan_ledger.note_unshipped({10}, {"rule": 1})
    skipped = scan_ledger.skip_scanned(records(0, 10), 20)
    assert skipped.offsets == []

    scan_ledger.forget(10)
    assert scan_ledger.unshipped == {10}
    scan_ledger.forget(11)
    assert scan_ledger.unshipped == set()


def test_nothing_waits_for_a_scanned_line_that_is_part_of_another_record():
    scan_ledger = ScanLedger()
    scan_ledger.enter((10,), 0.0)

    skipped = scan_ledger.skip_scanned(records(0, 20), 30)

    assert (skipped.left.offsets, skipped.in_flight) == ([0, 20], [])
    assert scan_ledger.in_flight == 1


def test_settling_more_records_than_were_scanned_raises():
    with pytest.raises(ValueError, match="settled 2 of 1 scanned records at 10"):
        ScanLedger().enter((10,), 0.0).settle(2)


def test_a_record_from_the_file_before_settles_there_only_when_it_is_committed_here():
    before, after, scan_ledger = Ledger(), Ledger(), ScanLedger()
    previous_entry = before.enter(100, 1)
    entry_ahead = scan_ledger.enter((30,), 0.0)
    entry = after.enter(60, 1, 0.0, 1)
    entry.tie(previous_entry, 1)
    entry_ahead.hold(entry)

    entry.settle(1)
    assert (before.committed, after.committed) == (0, 0)

    entry_ahead.settle(1)
    assert (before.committed, after.committed) == (100, 60)


def test_an_entry_is_settled_only_with_its_last_record():
    scan_ledger = ScanLedger()
    entry = scan_ledger.enter((10, 30), 0.0)

    entry.settle(1)

    assert scan_ledger.in_flight == 1
    assert scan_ledger.skip_scanned(records(0), 5) == Skipped(records(0)), "reading has not come to a scanned record"


def test_scanned_records_that_a_rule_settled_are_noted_by_their_offset():
    scan_ledger = ScanLedger()

    scan_ledger.note_unshipped({10, ("other", 5)}, {"rule": 1})

    assert scan_ledger.unshipped == {10}
