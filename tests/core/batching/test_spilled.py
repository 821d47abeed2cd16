"""Spans that leave memory come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.batching.span import Span
from agent.core.batching.spilled import pack, shortened, unpack
from agent.core.reading.ledger import Ledger
from tests.core.batching.spans import span_of, waiting_of

events = st.lists(st.tuples(st.integers(0, 1 << 48), st.text(max_size=50)), min_size=1, max_size=5)


@given(st.lists(events, min_size=1, max_size=6))
def test_spans_are_unpacked_as_they_were_packed(lists: list[list[tuple[int, str]]]) -> None:
    ledger = Ledger()
    spans: list[Span] = []
    for number, each in enumerate(lists):
        span = span_of(*each)
        span.entry, span.file, span.redated = ledger.enter(number + 1, len(span)), f"f{number % 2}", number == 2
        spans.append(span)

    assert unpack(*pack(spans)) == spans


def test_spans_whose_ledger_entries_were_joined_come_back_as_one() -> None:
    ledger = Ledger()
    spans = []
    for number in range(1, 1500):
        span = span_of((number, f"alert {number}"))
        span.entry, span.file, span.read_at = ledger.enter(number, 1), "f", float(number)
        spans.append(span)
    heads, data = pack(spans)

    short = shortened(heads)
    loaded = unpack(short, data)

    assert len(short) < 1100
    assert short[0].read_at == 1.0
    assert [message for span in loaded for message in span.messages] == [f"alert {n}" for n in range(1, 1500)]
    for span in loaded:
        assert span.entry is not None
        span.entry.settle(len(span))
    assert (ledger.committed, ledger.in_flight) == (1499, 0)


def test_bytes_that_were_damaged_are_not_taken_for_events() -> None:
    heads, data = pack([span_of((1, "a"), (2, "b"))])

    for damaged in (b"", data[:-8], b"y" + data[1:], pack([span_of((1, "a"))])[1]):
        with pytest.raises(ValueError, match="unpacked"):
            unpack(heads, damaged)


def test_the_spans_that_were_added_last_are_taken_and_the_next_ones_to_be_sent_stay() -> None:
    day_ms = 86_400_000
    waiting = waiting_of(*(span_of((day * day_ms, f"{day} {number}")) for day in (1, 2) for number in range(4)))
    one = span_of((0, "1 0")).held_bytes

    taken = waiting.take_last(2 * one)
    assert [span.messages for span in taken] == [["1 2"], ["1 3"]]
    assert waiting.events == 6
    rest = waiting.take_last(1 << 30)
    assert sorted(span.messages[0] for span in rest) == ["1 1", "2 1", "2 2", "2 3"]
    assert [span.messages[0] for span in waiting] == ["1 0", "2 0"]
    assert waiting.take_last(1) == []
