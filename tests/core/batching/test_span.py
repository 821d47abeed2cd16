"""The columns of a span."""

from agent.core.batching.span import HELD_OVERHEAD_BYTES, Span, escaped
from agent.parts import URGENT_BUDGET_SHARE
from agent.settings import Settings
from agent.tail.chunks import CHUNK_BYTES
from tests.core.batching.spans import span_of


def test_a_message_in_three_pieces_reads_as_one() -> None:
    span = Span()

    span.extend([5], [escaped('{"a":"\u00fc"')], [escaped(',"falcowatch":{"id":"f:')], [escaped('7"}}')], [38], [7])

    assert span.messages == ['{"a":"\u00fc","falcowatch":{"id":"f:7"}}']
    assert span.conclusion(0) == ',"falcowatch":{"id":"f:7"}}'


def test_the_conclusion_of_a_message_in_one_piece_is_the_message() -> None:
    assert span_of((1, "whole")).conclusion(0) == "whole"


def test_events_are_put_in_the_order_of_the_file() -> None:
    span = Span()
    for offset in (30, 10, 20):
        span.append(offset, f"at {offset}".encode(), offset)

    span.put_in_file_order()

    assert span.offsets == span.timestamps == [10, 20, 30]
    assert span.messages == ["at 10", "at 20", "at 30"]


def test_a_span_holds_its_escaped_text_and_an_overhead_for_each_event() -> None:
    assert span_of((1, 'a"'), (2, "b")).held_bytes == 4 + 2 * HELD_OVERHEAD_BYTES


def test_ten_thousand_urgent_alerts_that_cannot_be_sent_leave_room_for_reading() -> None:
    alert = '{"priority":"Critical","output":"' + "x" * 950 + '","output_fields":{"a":"b"}}'
    held_bytes = 10_000 * span_of((1, alert)).held_bytes

    limit_bytes = Settings().memory_budget_bytes
    assert len(alert) >= 1000
    assert held_bytes <= limit_bytes - limit_bytes // URGENT_BUDGET_SHARE - CHUNK_BYTES
