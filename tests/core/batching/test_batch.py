"""Every batch keeps within every limit, in order, and leads back from each event to its record."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
    LARGEST_MESSAGE_BYTES,
    LONGEST_SPAN_MS,
    MOST_BYTES,
    MOST_EVENTS,
)
from agent.core.batching.pending import PendingSpans
from agent.core.batching.rejected import Rejected, rejected
from agent.core.batching.span import HELD_OVERHEAD_BYTES, Span
from agent.core.reading.ledger import Ledger
from agent.core.values import PutReply

HOUR = 3600_000


def span_of(*events: tuple[int, str], size: int | None = None) -> Span:
    span = Span(read_at=1.0)
    for offset, (time_ms, message) in enumerate(events):
        span.append(time_ms, message.encode(), offset)
        if size is not None:
            span.sizes[-1] = size
    return span


def waiting_of(*spans: Span) -> PendingSpans:
    waiting = PendingSpans()
    for span in spans:
        waiting.add(span)
    return waiting


def texts(batch: Batch) -> list[str]:
    return [event["message"] for event in orjson.loads(b"".join(batch.encode()))]


def test_events_are_sorted_by_time_and_those_of_one_millisecond_stay_in_order() -> None:
    batch = waiting_of(span_of((5, "a"), (3, "b"), (5, "c")), span_of((3, "d"))).take()

    assert texts(batch) == ["b", "d", "a", "c"]
    assert batch.timestamps == [3, 3, 5, 5]
    assert [batch.where(at).span.message(batch.where(at).at) for at in range(4)] == ["b", "d", "a", "c"]


def test_there_is_nothing_beyond_the_last_event() -> None:
    with pytest.raises(IndexError):
        waiting_of(span_of((1, "a"))).take().where(1)


def test_a_batch_of_ordered_events_is_encoded_as_it_came() -> None:
    batch = waiting_of(span_of((1, 'a "quoted"'), (2, "ü"))).take()

    assert orjson.loads(b"".join(batch.encode())) == [
        {"timestamp": 1, "message": 'a "quoted"'},
        {"timestamp": 2, "message": "ü"},
    ]
    assert batch.counted_bytes == len('a "quoted"') + 2 + 2 * EVENT_OVERHEAD_BYTES
    assert batch.held_bytes == span_of((1, 'a "quoted"'), (2, "ü")).held_bytes
    assert batch.held_bytes > HELD_OVERHEAD_BYTES * 2


def test_a_batch_may_be_exactly_as_large_as_the_limit() -> None:
    waiting = waiting_of(span_of((1, "a"), (2, "b"), size=MOST_BYTES // 2 - EVENT_OVERHEAD_BYTES), span_of((3, "c")))

    assert waiting.fills_a_batch
    assert waiting.take().counted_bytes == MOST_BYTES
    assert (waiting.events, waiting.counted_bytes) == (1, 1 + EVENT_OVERHEAD_BYTES)
    assert not waiting.fills_a_batch
    assert waiting.oldest_read_at == 1.0


def test_the_largest_message_fills_a_batch_alone() -> None:
    waiting = waiting_of(span_of((1, "a"), (2, "b"), size=LARGEST_MESSAGE_BYTES))

    assert [waiting.take().events, waiting.take().events] == [1, 1]
    assert waiting.oldest_read_at is None
    assert list(waiting) == []


def test_a_batch_holds_ten_thousand_events_at_most() -> None:
    waiting = waiting_of(span_of(*[(1, "")] * (MOST_EVENTS + 1)))

    assert waiting.fills_a_batch
    assert [waiting.take().events, waiting.take().events] == [MOST_EVENTS, 1]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, LONGEST_SPAN_MS - 1], [2]),
        ([0, LONGEST_SPAN_MS], [1, 1]),
        ([30 * HOUR, 0, 10 * HOUR], [1, 2]),
        ([0, 10 * HOUR, 20 * HOUR, 30 * HOUR, 40 * HOUR], [3, 2]),
    ],
)
def test_a_batch_spans_less_than_a_day(times: list[int], expected: list[int]) -> None:
    waiting = waiting_of(*[span_of((time_ms, "")) for time_ms in times])
    within_one_span = waiting_of(span_of(*[(time_ms, "") for time_ms in times]))

    assert [waiting.take().events for _ in expected] == expected
    assert [within_one_span.take().events for _ in expected] == expected


events = st.lists(st.tuples(st.integers(0, 90 * HOUR), st.text(max_size=5)), min_size=1, max_size=30)


@given(spans=st.lists(events, min_size=1, max_size=8), size=st.integers(0, LARGEST_MESSAGE_BYTES))
@settings(deadline=None)
def test_every_event_goes_once_in_file_order_of_batches_within_all_limits(
    spans: list[list[tuple[int, str]]], size: int
) -> None:
    given_spans = [span_of(*one, size=size) for one in spans]
    waiting = waiting_of(*given_spans)
    taken: list[str] = []
    while waiting.events:
        batch = waiting.take()
        assert 1 <= batch.events <= MOST_EVENTS
        assert batch.counted_bytes <= MOST_BYTES
        assert batch.timestamps == sorted(batch.timestamps)
        assert batch.timestamps[-1] - batch.timestamps[0] < LONGEST_SPAN_MS
        taken += [message for part in batch.parts for message in part.span.messages[part.start : part.stop]]

    assert taken == [message for one in spans for _, message in one]
    assert waiting.counted_bytes == 0


@given(spans=st.lists(events, min_size=1, max_size=4))
def test_halving_again_and_again_leads_to_each_event_alone(spans: list[list[tuple[int, str]]]) -> None:
    whole = Batch([Part(span, 0, len(span)) for span in (span_of(*one) for one in spans)])
    alone, halves = [], [whole]
    while halves:
        batch = halves.pop(0)
        if batch.events == 1:
            alone += texts(batch)
        else:
            halves = [*batch.halves(), *halves]

    assert alone == [message for one in spans for _, message in one]


def test_settling_a_batch_settles_the_records_of_files_and_passes_over_our_own() -> None:
    ledger, own = Ledger(), span_of((1, "ours"))
    span = span_of((1, "a"), (2, "b"))
    span.entry = ledger.enter(100, 2)

    waiting_of(own, span).take().settle()

    assert ledger.committed == 100


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (PutReply(), []),
        (PutReply(too_old_end=3), [Rejected(0, 3, "too_old")]),
        (PutReply(expired_end=2), [Rejected(0, 2, "expired")]),
        (PutReply(too_new_start=8), [Rejected(8, 10, "too_new")]),
        (PutReply(too_old_end=2, expired_end=4), [Rejected(0, 2, "too_old"), Rejected(2, 4, "expired")]),
        (PutReply(too_old_end=4, expired_end=2), [Rejected(0, 4, "too_old")]),
        (PutReply(too_old_end=5, too_new_start=3), [Rejected(0, 5, "too_old"), Rejected(5, 10, "too_new")]),
        (PutReply(too_old_end=99, too_new_start=99), [Rejected(0, 10, "too_old")]),
        (PutReply(too_new_start=0), [Rejected(0, 10, "too_new")]),
    ],
)
def test_what_a_200_did_not_take_is_told_by_its_indices(reply: PutReply, expected: list[Rejected]) -> None:
    assert rejected(reply, 10) == expected
