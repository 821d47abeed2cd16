"""Every batch is within every limit, and every event ships once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
    LARGEST_MESSAGE_BYTES,
    LONGEST_SPAN_MS,
    MOST_BYTES,
    MOST_EVENTS,
)
from tests.core.batching.spans import span_of, waiting_of

HOUR = 3600_000


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
