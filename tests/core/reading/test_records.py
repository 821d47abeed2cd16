"""The columns of a chunk's records."""

from agent.core.reading.records import Mark, Records, UnusualRecord, add_record, without


def test_the_length_counts_usual_and_unusual_records() -> None:
    assert len(Records([b"a"], [0], [b"a"], [UnusualRecord(b"b", 2, b"b", Mark())])) == 2


def test_only_usual_records_are_removed() -> None:
    unusual = UnusualRecord(b"c", 0, b"c", Mark())
    records = Records([b"a", b"b"], [0, 10], [b"a\n", b"b\n"], [unusual], from_previous_file=1)

    assert without(records, {0}) == Records([b"b"], [10], [b"b\n"], [unusual], from_previous_file=1)


def test_records_are_extended_by_the_usual_and_the_unusual_records_of_others() -> None:
    mark = Mark(incomplete=True)
    records, others = Records(), Records()
    add_record(others, b"a", 0, b"a\n")
    add_record(others, b"b", 2, b"b\n", mark)

    records.extend(others)

    assert records == Records([b"a"], [0], [b"a\n"], [UnusualRecord(b"b", 2, b"b\n", mark)])
