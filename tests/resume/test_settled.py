"""What was settled by an earlier run: known again by its id, in its own file or across a rotation, and passed over."""

import pytest

from agent.core.event_id import RecordId, record_id
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST, ProcessingResult
from agent.core.reading.line_formats import Cri
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Mark, Records, UnusualRecord
from agent.core.values import Lane

LONGEST = 1 << 20
STAMP = b"2026-11-23T07:23:01.156686905Z"


def process(records: Records, *settled: int) -> ProcessingResult:
    return Processor(Policy(), node="node-1").process(
        records, file="f00", line_format=Cri(), now_ms=0, find=lambda key, time_ms: HOST, settled=frozenset(settled)
    )


def part(tag: bytes, text: bytes, stream: bytes = b"stdout") -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream, tag, text)


@pytest.mark.parametrize(
    ("message", "identity"),
    [
        ('{"rule":"R","falcowatch":{"id":"0f:12","node":"n"}}', RecordId("0f", 12)),
        ('{"falcowatch":1,"falcowatch_":{"id":"0f-2:12","node":"n"}}', None),
        ('{"falcowatch":{"id":"0f:1"},"x":1,"falcowatch":{"id":"0f-2:12","node":"n"}}', RecordId("0f-2", 12)),
        ('{"rule":"R","falcowatch":{"id":"0f:12"},"rule":"S"}', None),
        (
            '{"log":"{\\"falcowatch\\":{\\"id\\":\\"0f:1\\"}}","falcowatch":{"id":"0f:12","forged":["x"]}}',
            RecordId("0f", 12),
        ),
        ('{"output":"x","kubernetes":{},"falcowatch":{"id":"0f:0","node":"n","incomplete":true}}', RecordId("0f", 0)),
        ('{"rule":"Falcowatch: gap","falcowatch":{"node":"n"}}', None),
        ('{"output":",\\"falcowatch\\":{\\"id\\":\\"0f:12\\"","rule":"R"}', None),
        ("no json", None),
        ("", None),
    ],
)
def test_an_event_names_its_record_and_text_inside_an_alert_does_not(message, identity):
    assert record_id(message) == identity


def test_every_event_of_a_record_can_be_told_by_its_id():
    alert = b'{"output":"o","priority":"Notice","rule":"R","source":"syscall","time":"2026-11-23T07:23:01Z"}'
    cut = UnusualRecord(b"text", 7, part(b"P", b"text"), Mark(incomplete=True, origin=("before", 40)))
    result = process(Records([alert, b"text"], [3, 500], [part(b"F", alert), part(b"F", b"text")], [cut]))

    assert record_id(result.spans[Lane.ROUTINE].messages[0]) == RecordId("f00", 3)
    assert list(map(record_id, result.spans[Lane.OTHER].messages)) == [RecordId("before", 40), RecordId("f00", 500)]


def test_an_unusual_record_that_is_settled_is_not_shipped_again():
    cut = UnusualRecord(b"text", 7, part(b"P", b"text"), Mark(incomplete=True))

    assert len(process(Records(unusual=[cut])).spans[Lane.OTHER]) == 1
    assert not len(process(Records(unusual=[cut]), 7).spans[Lane.OTHER])
    assert process(Records(unusual=[cut]), 7).filtered == {"settled": 1}


def test_a_record_that_began_in_the_file_before_is_known_by_where_it_began_there():
    joiner = Joiner(Cri(), LONGEST)
    joiner.feed([part(b"P", b"a")], 100, 0.0)
    joiner.feed([part(b"P", b"b", b"stderr")], 200, 0.0)

    joiner.start_next_file("before", {100, 0})
    records = joiner.feed([part(b"F", b"a"), part(b"F", b"b", b"stderr")], 0, 0.0)

    assert [(unusual.mark.origin, unusual.mark.settled) for unusual in records.unusual] == [
        (("before", 100), True),
        (("before", 200), False),
    ]
    result = process(records, 0)  # an out-of-order acknowledgement of this file at the same offset is another record
    assert result.filtered == {"settled": 1}
    assert [record_id(message) for message in result.spans[Lane.OTHER].messages] == [RecordId("before", 200)]


def test_it_stays_known_over_a_second_rotation():
    joiner = Joiner(Cri(), LONGEST)
    joiner.feed([part(b"P", b"a")], 100, 0.0)

    joiner.start_next_file("first", {100})
    joiner.start_next_file("second")

    [unusual] = joiner.feed([part(b"F", b"a")], 0, 0.0).unusual
    assert unusual.mark == Mark(origin=("first", 100), settled=True)
