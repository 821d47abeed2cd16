"""What the urgent scan finds in bytes that were not read yet, and what it leaves to reading."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.line_formats import Cri, Docker, Plain
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records

STAMP = b"2026-11-23T07:23:01.156686905Z"


LONGEST = 1 << 20


def alert(priority: str = "Critical", **changes: object) -> bytes:
    fields = {"output": "o", "priority": priority, "rule": "R", "source": "syscall", "time": "2026-11-23T07:23:01Z"}
    return orjson.dumps(fields | changes, option=orjson.OPT_SORT_KEYS)


def cri(payload: bytes, *, stream: bytes = b"stdout", tag: bytes = b"F") -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream, tag, payload)


def found_in(window: bytes, *, line_format=None, urgent: str = "critical", offset: int = 0) -> Records:
    return UrgentMatcher(urgent).find(window, offset, line_format or Cri(), LONGEST)


@pytest.mark.parametrize("priority", ["Emergency", "Alert", "Critical"])
def test_an_urgent_alert_is_found_where_it_begins(priority):
    before, urgent = cri(alert("Notice")), cri(alert(priority))

    records = found_in(before + urgent + before, offset=1000)

    assert records.payloads == [alert(priority)]
    assert records.offsets == [1000 + len(before)]
    assert records.lines == [urgent]


def test_less_urgent_alerts_are_left_to_reading():
    assert not len(found_in(cri(alert("Error")) + cri(alert("Debug")) + cri(b"Falco initialized")))


def test_the_least_urgent_priority_that_is_found_is_the_configured_one():
    assert len(found_in(cri(alert("Warning")) + cri(alert("Notice")), urgent="warning")) == 1


def test_falco_s_messages_about_itself_are_found_with_any_priority():
    assert len(found_in(cri(alert("Debug", source="internal")))) == 1


def test_two_needles_in_one_line_are_one_record_and_all_are_in_file_order():
    lines = cri(alert("Critical", source="internal")) + cri(alert("Alert")) + cri(alert("Critical"))

    assert found_in(lines).offsets == sorted(found_in(lines).offsets)
    assert len(found_in(lines)) == 3


def test_a_priority_inside_a_text_or_a_nested_object_does_not_count():
    quoting = alert("Notice", output='"priority":"Critical","rule":"R"')
    nested = alert("Notice", output_fields={"priority": "Critical", "rule": "R"})

    assert not len(found_in(cri(quoting) + cri(nested)))


def test_parts_of_a_record_are_left_to_reading():
    whole = alert()

    assert not len(found_in(cri(whole[:20], tag=b"P") + cri(whole[20:])))
    assert not len(found_in(cri(whole, tag=b"P")))


def test_lines_that_are_not_alerts_are_left_to_reading():
    urgent = b'"priority":"Critical","rule":"R"'

    assert not len(found_in(cri(b"text with " + urgent + b" in it") + b"garbage " + urgent + b"\n"))
    assert not len(found_in(cri(b"{" + urgent + b',"more":' + b"[" * 5000)))


def test_an_unfinished_line_is_left_for_the_next_window():
    assert found_in(cri(alert()) + cri(alert("Alert"))[:-1]).payloads == [alert()]
    assert not len(found_in(cri(alert())[:-1]))


def test_an_urgent_alert_is_found_with_any_key_behind_its_priority():
    payload = b'{"output":"o","priority":"Critical","severity":2,"rule":"R"}'

    assert found_in(cri(payload)).payloads == [payload]


def test_a_record_that_is_too_long_is_left_to_reading():
    line = cri(alert())

    assert not len(UrgentMatcher("critical").find(line, 0, Cri(), len(line) - 1))


def test_docker_and_plain_lines_are_searched_as_well():
    def docker(text: bytes) -> bytes:
        return orjson.dumps({"log": text.decode(), "stream": "stdout", "time": STAMP.decode()}) + b"\n"

    assert found_in(docker(alert() + b"\n"), line_format=Docker()).payloads == [alert()]
    assert not len(found_in(docker(alert()), line_format=Docker()))  # the record goes on in the next line
    assert found_in(alert("Notice") + b"\n" + alert() + b"\n", line_format=Plain()).payloads == [alert()]


priorities = st.sampled_from(["Emergency", "Critical", "Error", "Notice", "Debug"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(priorities, st.text(max_size=30), st.booleans()), max_size=20))
def test_a_found_record_has_the_bytes_and_the_offset_that_reading_finds(alerts):
    lines = []
    for priority, text, whole in alerts:
        payload = alert(priority, output=text)
        cut = len(payload) // 2
        lines += [cri(payload)] if whole else [cri(payload[:cut], tag=b"P"), cri(payload[cut:])]
    window = b"".join(lines)
    read_later = Joiner(Cri(), LONGEST).feed(window.splitlines(keepends=True), 0, 0.0)

    scanned = found_in(window)

    found = dict(zip(read_later.offsets, read_later.payloads, strict=True))
    assert {offset: found.get(offset) for offset in scanned.offsets} == dict(
        zip(scanned.offsets, scanned.payloads, strict=True)
    )
    assert len(scanned) == sum(whole and priority in ("Emergency", "Critical") for priority, _, whole in alerts)
