"""What the search finds in bytes that nobody has read, and what it leaves to the ordinary pass."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.ledger import Ledger
from agent.core.reading.line_formats import Cri, Docker, Plain
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records, without
from agent.core.reading.scan_ledger import ScanLedger

STAMP = b"2026-11-23T07:23:01.156686905Z"
LONGEST = 1 << 20


def alert(priority: str = "Critical", **changes: object) -> bytes:
    fields = {"output": "o", "priority": priority, "rule": "R", "source": "syscall", "time": "2026-11-23T07:23:01Z"}
    return orjson.dumps(fields | changes, option=orjson.OPT_SORT_KEYS)


def cri(payload: bytes, *, stream: bytes = b"stdout", tag: bytes = b"F") -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream, tag, payload)


def spotted(window: bytes, *, line_format=None, urgent: str = "critical", offset: int = 0) -> Records:
    return UrgentMatcher(urgent).find(window, offset, line_format or Cri(), LONGEST)


@pytest.mark.parametrize("priority", ["Emergency", "Alert", "Critical"])
def test_an_urgent_alert_is_found_where_it_begins(priority):
    before, urgent = cri(alert("Notice")), cri(alert(priority))

    records = spotted(before + urgent + before, offset=1000)

    assert records.payloads == [alert(priority)]
    assert records.offsets == [1000 + len(before)]
    assert records.lines == [urgent]


def test_what_is_less_urgent_is_left_to_the_ordinary_pass():
    assert not len(spotted(cri(alert("Error")) + cri(alert("Debug")) + cri(b"Falco initialized")))


def test_the_least_urgent_priority_that_goes_ahead_is_the_configured_one():
    assert len(spotted(cri(alert("Warning")) + cri(alert("Notice")), urgent="warning")) == 1


def test_falco_speaking_of_itself_goes_ahead_whatever_its_priority():
    assert len(spotted(cri(alert("Debug", source="internal")))) == 1


def test_two_needles_in_one_line_are_one_record_and_all_are_in_file_order():
    lines = cri(alert("Critical", source="internal")) + cri(alert("Alert")) + cri(alert("Critical"))

    assert spotted(lines).offsets == sorted(spotted(lines).offsets)
    assert len(spotted(lines)) == 3


def test_a_priority_inside_a_text_or_a_nested_object_does_not_count():
    quoting = alert("Notice", output='"priority":"Critical","rule":"R"')
    nested = alert("Notice", output_fields={"priority": "Critical", "rule": "R"})

    assert not len(spotted(cri(quoting) + cri(nested)))


def test_parts_of_a_record_are_left_to_the_ordinary_pass():
    whole = alert()

    assert not len(spotted(cri(whole[:20], tag=b"P") + cri(whole[20:])))
    assert not len(spotted(cri(whole, tag=b"P")))


def test_lines_that_are_no_alert_are_left_to_the_ordinary_pass():
    urgent = b'"priority":"Critical","rule":"R"'

    assert not len(spotted(cri(b"text with " + urgent + b" in it") + b"garbage " + urgent + b"\n"))
    assert not len(spotted(cri(b"{" + urgent + b',"more":' + b"[" * 5000)))


def test_a_line_whose_end_is_not_there_yet_is_left_for_the_next_window():
    assert spotted(cri(alert()) + cri(alert("Alert"))[:-1]).payloads == [alert()]
    assert not len(spotted(cri(alert())[:-1]))


def test_an_urgent_alert_goes_ahead_whatever_stands_behind_its_priority():
    payload = b'{"output":"o","priority":"Critical","severity":2,"rule":"R"}'

    assert spotted(cri(payload)).payloads == [payload]


def test_a_record_that_is_too_long_is_left_to_the_ordinary_pass():
    line = cri(alert())

    assert not len(UrgentMatcher("critical").find(line, 0, Cri(), len(line) - 1))


def test_docker_and_plain_lines_are_read_as_well():
    def docker(text: bytes) -> bytes:
        return orjson.dumps({"log": text.decode(), "stream": "stdout", "time": STAMP.decode()}) + b"\n"

    assert spotted(docker(alert() + b"\n"), line_format=Docker()).payloads == [alert()]
    assert not len(spotted(docker(alert()), line_format=Docker()))  # the record goes on in the next line
    assert spotted(alert("Notice") + b"\n" + alert() + b"\n", line_format=Plain()).payloads == [alert()]


priorities = st.sampled_from(["Emergency", "Critical", "Error", "Notice", "Debug"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(priorities, st.text(max_size=30), st.booleans()), max_size=20))
def test_what_goes_ahead_has_the_bytes_and_the_offset_that_the_ordinary_pass_finds(alerts):
    lines = []
    for priority, text, whole in alerts:
        payload = alert(priority, output=text)
        cut = len(payload) // 2
        lines += [cri(payload)] if whole else [cri(payload[:cut], tag=b"P"), cri(payload[cut:])]
    window = b"".join(lines)
    ordinary = Joiner(Cri(), LONGEST).feed(window.splitlines(keepends=True), 0, 0.0)

    ahead = spotted(window)

    found = dict(zip(ordinary.offsets, ordinary.payloads, strict=True))
    assert {offset: found.get(offset) for offset in ahead.offsets} == dict(
        zip(ahead.offsets, ahead.payloads, strict=True)
    )
    assert len(ahead) == sum(whole and priority in ("Emergency", "Critical") for priority, _, whole in alerts)


def records(*offsets: int) -> Records:
    return Records([b"p"] * len(offsets), list(offsets), [b"l"] * len(offsets))


def test_the_ordinary_pass_passes_over_what_went_ahead():
    books = ScanLedger()
    first = books.enter((10, 30), 0.0)
    first.settle(2)

    left, under_way = books.pass_over(records(0, 10, 20), 25)

    assert (left.offsets, under_way) == ([0, 20], [])
    left, under_way = books.pass_over(records(30, 40), 50)
    assert (left.offsets, under_way) == ([40], [])


def test_an_entry_waits_for_what_is_still_under_way_in_its_stretch():
    books, ledger = ScanLedger(), Ledger()
    ahead = books.enter((10,), 0.0)
    left, under_way = books.pass_over(records(10), 20)

    entry = ledger.enter(20, len(left), 0.0, len(under_way))
    for express in under_way:
        express.hold(entry)
    assert (ledger.committed, ledger.in_flight, books.in_flight) == (0, 0, 1)

    ahead.settle(1)
    assert (ledger.committed, ledger.in_flight, books.in_flight) == (20, 0, 0)


def test_what_settles_ahead_is_an_island_until_it_is_committed():
    books = ScanLedger()
    books.enter((10, 30), 0.0).settle(2)
    under_way = books.enter((50,), 0.0)

    assert list(books.settled) == [10, 30]
    books.forget(30)
    assert list(books.settled) == [10, 30]
    books.forget(31)
    assert list(books.settled) == []

    books.forget(60)
    assert len(books) == 1
    under_way.settle(1)
    books.forget(60)
    assert len(books) == 0


def test_a_line_that_is_part_of_another_record_is_not_waited_for():
    books = ScanLedger()
    books.enter((10,), 0.0)

    left, under_way = books.pass_over(records(0, 20), 30)

    assert (left.offsets, under_way) == ([0, 20], [])
    assert books.in_flight == 1


def test_settling_more_than_went_ahead_is_a_mistake():
    with pytest.raises(ValueError, match="settled 2 of 1 express records at 10"):
        ScanLedger().enter((10,), 0.0).settle(2)


def test_unusual_records_stay_when_others_are_taken_out():
    whole = records(0, 10)
    whole.crossed = 1

    assert (without(whole, {0}).offsets, without(whole, {0}).crossed) == ([10], 1)


def test_a_record_from_the_file_before_settles_there_only_when_it_is_committed_here():
    before, after, books = Ledger(), Ledger(), ScanLedger()
    crossing = before.enter(100, 1)
    ahead = books.enter((30,), 0.0)
    entry = after.enter(60, 1, 0.0, 1)
    entry.tie(crossing, 1)
    ahead.hold(entry)

    entry.settle(1)
    assert (before.committed, after.committed) == (0, 0)

    ahead.settle(1)
    assert (before.committed, after.committed) == (100, 60)
