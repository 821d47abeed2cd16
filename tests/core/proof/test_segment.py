"""The digests of one file, in whatever order its records end."""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from agent.core.proof.segment import MOST_WAITING_BYTES, FileDigest, Standing


def digest(*payloads: bytes) -> str:
    return sha256(b"".join(payload + b"\n" for payload in payloads)).hexdigest()


def committed(file: FileDigest, standing: Standing | None) -> Standing:
    assert standing is not None
    file.commit(standing)
    return standing


def test_a_statement_is_cumulative_from_the_start_of_its_segment() -> None:
    file = FileDigest("f")
    committed(file, file.add([0, 10], [b"a", b"b"], 20))
    [first] = file.statements(20)
    file.note_stated([first], 7)
    assert file.statements(20) == []

    committed(file, file.add([20], [b"c"], 30))
    [second] = file.statements(30)

    assert (first.start, first.end, first.shipped, first.sha256) == (0, 20, 2, digest(b"a", b"b"))
    assert (second.start, second.end, second.shipped, second.sha256) == (0, 30, 3, digest(b"a", b"b", b"c"))
    assert (first.since, second.since) == (0, 7)


def test_nothing_is_stated_before_it_is_committed() -> None:
    file = FileDigest("f")
    file.add([0], [b"a"], 10)

    assert file.statements(0) == []


def test_an_offset_that_moves_without_records_is_stated_too() -> None:
    file = FileDigest("f")
    committed(file, file.add([0], [b"a"], 10))
    file.note_stated(file.statements(10), 7)

    [moved] = file.statements(25)

    assert (moved.start, moved.end, moved.shipped) == (0, 25, 1)


def test_a_record_behind_the_end_of_its_entry_waits_for_the_older_one() -> None:
    file = FileDigest("f")
    first = file.add([0, 30, 20], [b"a", b"d", b"c"], 10)
    second = file.add([10, 40], [b"b", b"e"], 50)

    assert (first.shipped, first.sha256) == (1, digest(b"a"))
    assert (second.shipped, second.sha256) == (5, digest(b"a", b"b", b"c", b"d", b"e"))


def test_too_many_bytes_that_wait_are_proved_by_count() -> None:
    file = FileDigest("f")
    large = b"x" * 60_000
    offsets = [*range(100, 100 + 100 * 30, 100)]
    first = file.add([0, *offsets], [b"a", *[large] * 30], 50)
    second = file.add([50, 5000], [b"p", b"q"], 6000)
    third = file.add([6000], [b"z"], 7000)

    assert 30 * len(large) > MOST_WAITING_BYTES
    assert (first.start, first.end, first.sha256) == (0, 50, digest(b"a"))
    assert (second.start, second.end, second.shipped, second.sha256) == (50, 6000, 32, None)
    assert (third.start, third.end, third.shipped, third.sha256) == (6000, 7000, 1, digest(b"z"))


def test_a_rejected_record_ends_the_segment_and_is_named() -> None:
    file = FileDigest("f")
    first = file.add([0, 10], [b"a", b"b"], 20)
    file.reject(10)
    committed(file, first)
    committed(file, file.add([20], [b"c"], 30))

    one, two = file.statements(30)

    assert (one.start, one.end, one.shipped, one.rejected) == (0, 20, 2, (10,))
    assert (two.start, two.end, two.shipped, two.rejected, two.sha256) == (20, 30, 1, (), digest(b"c"))
    file.note_stated([one, two], 7)
    assert file.statements(30) == []


def test_filtered_records_are_counted_and_not_hashed() -> None:
    file = FileDigest("f")
    file.filter({"priority": 2})
    committed(file, file.add([0], [b"a"], 30))

    [statement] = file.statements(30)

    assert (statement.shipped, dict(statement.filtered), statement.sha256) == (1, {"priority": 2}, digest(b"a"))


def test_reading_that_begins_anew_begins_a_segment() -> None:
    file = FileDigest("f")
    committed(file, file.add([0], [b"a"], 10))
    file.add([10], [b"b"], 20)
    file.restart(10)
    committed(file, file.add([10, 20], [b"b", b"c"], 30))

    one, two = file.statements(30)

    assert (one.start, one.end, one.sha256) == (0, 10, digest(b"a"))
    assert (two.start, two.end, two.sha256) == (10, 30, digest(b"b", b"c"))


def test_what_was_stated_before_a_restart_is_not_stated_again() -> None:
    file = FileDigest("f")
    committed(file, file.add([0], [b"a"], 10))
    file.note_stated(file.statements(10), 7)
    file.restart(10)

    assert file.statements(10) == []


def test_a_record_that_ends_in_the_next_file_belongs_to_the_file_where_it_began() -> None:
    file = FileDigest("f")
    committed(file, file.add([0, 20, 30], [b"a", b"c", b"d"], 10))

    assert file.cross(40, 2) is None
    assert file.add_crossed(35, b"e") is None
    standing = committed(file, file.add_crossed(10, b"b"))

    assert (standing.end, standing.shipped) == (40, 5)
    assert standing.sha256 == digest(b"a", b"b", b"c", b"d", b"e")
    assert file.add_crossed(10, b"b") is None


def test_a_filtered_record_that_crosses_is_left_out() -> None:
    file = FileDigest("f")
    file.add([0], [b"a"], 10)
    file.cross(20, 1)

    standing = file.add_crossed(10, None)

    assert standing is not None
    assert (standing.shipped, standing.sha256) == (1, digest(b"a"))


def test_a_file_that_only_continues_an_older_record_has_no_record_of_its_own() -> None:
    file = FileDigest("f")
    file.add([50], [b"b"], 10)

    standing = file.cross(60, 0)

    assert standing is not None
    assert (standing.end, standing.shipped, standing.sha256) == (60, 1, digest(b"b"))


def test_events_without_a_record_are_proved_by_count() -> None:
    file = FileDigest("f")
    file.add([0], [b"a"], 10)
    file.count_unknown(2)
    counted = file.add([10], [b"b"], 20)
    next_one = file.add([20], [b"c"], 30)

    assert (counted.start, counted.shipped, counted.sha256) == (0, 4, None)
    assert (next_one.start, next_one.shipped, next_one.sha256) == (20, 1, digest(b"c"))


def test_settled_offsets_are_forgotten_when_no_statement_can_name_them() -> None:
    file = FileDigest("f", unshipped=[5, 15], rejected=[6, 16])
    file.restart(10)
    file.forget_settled(10)

    assert (file.unshipped, file.rejected) == ({15}, {16})


@given(st.data())
def test_any_interleaving_gives_the_digest_of_the_records_in_the_order_of_their_offsets(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=25))
    starts = [0, *accumulate(sizes)]
    records = [(start, b"r%d" % start) for start in starts[:-1]]
    ends_at = [data.draw(st.integers(number, len(records) - 1)) for number in range(len(records))]
    file = FileDigest("f")
    chunks = data.draw(st.sets(st.integers(0, len(records) - 1)).map(lambda cuts: sorted({*cuts, len(records) - 1})))
    done = 0
    for cut in chunks:
        ended = [record for record, at in zip(records, ends_at, strict=True) if done <= at <= cut]
        is_open = [start for (start, _), at in zip(records, ends_at, strict=True) if at > cut and start <= starts[cut]]
        end = min(is_open, default=starts[cut + 1])
        data.draw(st.randoms()).shuffle(ended)
        standing = file.add([offset for offset, _ in ended], [payload for _, payload in ended], end)
        expected = [payload for offset, payload in records if offset < end]
        assert (standing.shipped, standing.sha256) == (len(expected), digest(*expected))
        done = cut + 1


def test_a_seal_that_states_other_segments_changes_nothing_in_what_is_left_to_state() -> None:
    first, second = FileDigest("f"), FileDigest("f")
    committed(first, first.add([0], [b"a"], 10))
    [statement] = first.statements(10)

    second.note_stated([statement], 7)
    assert second.statements(0) == [], "nothing of this file is committed"

    second.restart(500)
    committed(second, second.add([500], [b"b"], 510))
    second.note_stated([statement], 7)
    assert [one.start for one in second.statements(510)] == [500]
