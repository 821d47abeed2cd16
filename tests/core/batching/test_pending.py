"""Every batch is within every limit, and every event ships once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.batching.batch import Batch
from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
    LARGEST_MESSAGE_BYTES,
    LONGEST_SPAN_MS,
    MOST_BYTES,
    MOST_EVENTS,
)
from agent.core.processing.kinds import Policy
from agent.core.reading.ledger import Ledger
from tests.core.batching.spans import span_of, waiting_of
from tests.core.processing.chunks import process_case

HOUR = 3600_000


def test_a_batch_may_be_exactly_as_large_as_the_limit() -> None:
    waiting = waiting_of(span_of((1, "a"), (2, "b"), size=MOST_BYTES // 2 - EVENT_OVERHEAD_BYTES), span_of((3, "c")))

    assert waiting.fills_a_batch
    assert waiting.take(0).counted_bytes == MOST_BYTES
    assert (waiting.events, waiting.counted_bytes) == (1, 1 + EVENT_OVERHEAD_BYTES)
    assert not waiting.fills_a_batch
    assert waiting.oldest_read_at == 1.0


def test_the_largest_message_fills_a_batch_alone() -> None:
    waiting = waiting_of(span_of((1, "a"), (2, "b"), size=LARGEST_MESSAGE_BYTES))

    assert [waiting.take(0).events, waiting.take(0).events] == [1, 1]
    assert waiting.oldest_read_at is None
    assert waiting.events == 0


def test_a_batch_holds_ten_thousand_events_at_most() -> None:
    waiting = waiting_of(span_of(*[(1, "")] * (MOST_EVENTS + 1)))

    assert waiting.fills_a_batch
    assert [waiting.take(0).events, waiting.take(0).events] == [MOST_EVENTS, 1]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, LONGEST_SPAN_MS - 1], [2]),
        ([0, LONGEST_SPAN_MS], [1, 1]),
        ([30 * HOUR, 0, 10 * HOUR], [2, 1]),
        ([30 * HOUR, 0, 31 * HOUR, 10 * HOUR], [2, 2]),
        ([0, 10 * HOUR, 20 * HOUR, 30 * HOUR, 40 * HOUR], [3, 2]),
    ],
)
def test_a_batch_spans_less_than_a_day(times: list[int], expected: list[int]) -> None:
    waiting = waiting_of(*[span_of((time_ms, "")) for time_ms in times])
    within_one_span = waiting_of(span_of(*[(time_ms, "") for time_ms in times]))

    assert [waiting.take(0).events for _ in expected] == expected
    assert [within_one_span.take(0).events for _ in expected] == expected


events = st.lists(st.tuples(st.integers(0, 90 * HOUR), st.text(max_size=5)), min_size=1, max_size=30)


@given(spans=st.lists(events, min_size=1, max_size=8), size=st.integers(0, LARGEST_MESSAGE_BYTES))
@settings(deadline=None)
def test_every_event_goes_once_in_batches_within_all_limits(spans: list[list[tuple[int, str]]], size: int) -> None:
    given_spans = [span_of(*one, size=size) for one in spans]
    waiting = waiting_of(*given_spans)
    taken: list[tuple[int, str]] = []
    while waiting.events:
        batch = waiting.take(0)
        assert 1 <= batch.events <= MOST_EVENTS
        assert batch.counted_bytes <= MOST_BYTES
        assert batch.timestamps == sorted(batch.timestamps)
        assert batch.timestamps[-1] - batch.timestamps[0] < LONGEST_SPAN_MS
        taken += [
            (part.span.timestamps[at], part.span.message(at))
            for part in batch.parts
            for at in range(part.start, part.stop)
        ]

    everything = [event for one in spans for event in one]
    for day in range(4):
        of_the_day = [event for event in everything if event[0] // LONGEST_SPAN_MS == day]
        assert [event for event in taken if event[0] // LONGEST_SPAN_MS == day] == of_the_day
    assert waiting.counted_bytes == 0


@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=200), chunks=st.integers(1, 10))
@settings(deadline=None)
def test_scattered_times_cost_one_put_for_each_day(days: list[int], chunks: int) -> None:
    spans = [span_of(*[(day * LONGEST_SPAN_MS + 5, "") for day in days[number::chunks]]) for number in range(chunks)]
    waiting = waiting_of(*[span for span in spans if len(span)])

    puts = 0
    while waiting.events:
        waiting.take(0)
        puts += 1

    assert puts == len(set(days))


@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=200), today=st.integers(0, 400))
@settings(deadline=None)
def test_an_event_of_today_waits_for_one_put_at_most(days: list[int], today: int) -> None:
    waiting = waiting_of(span_of(*[(day * LONGEST_SPAN_MS, "old") for day in days]))
    waiting.take(today * LONGEST_SPAN_MS)

    waiting.add(span_of((today * LONGEST_SPAN_MS + 7, "now")))
    batches = [waiting.take(today * LONGEST_SPAN_MS) for _ in range(2) if waiting.events]

    assert "now" in [message for batch in batches for message in messages(batch)]


def test_events_of_other_days_are_not_left_behind_by_a_flood_of_today() -> None:
    waiting = waiting_of(span_of((0, "old")))

    taken = []
    for number in range(3):
        waiting.add(span_of((LONGEST_SPAN_MS, f"now {number}")))
        taken += messages(waiting.take(LONGEST_SPAN_MS))

    assert "old" in taken


def test_the_captured_scattered_times_cost_one_put_for_each_day() -> None:
    result = process_case("scattered-times.cri.log", Policy(adjusts_times=False))
    waiting = waiting_of(*[span for span in result.spans.values() if len(span)])
    days = {time_ms // LONGEST_SPAN_MS for span in result.spans.values() for time_ms in span.timestamps}

    puts = 0
    while waiting.events:
        waiting.take(0)
        puts += 1

    assert sum(map(len, result.spans.values())) == 60
    assert puts <= len(days)


def test_the_parts_of_a_span_settle_in_its_entry() -> None:
    ledger, span = Ledger(), span_of((0, "a"), (LONGEST_SPAN_MS, "b"))
    span.entry = ledger.enter(100, 2)
    waiting = waiting_of(span)

    waiting.take(0).settle()
    assert ledger.committed == 0
    waiting.take(0).settle()

    assert ledger.committed == 100


def test_a_span_without_events_does_not_wait() -> None:
    assert waiting_of(span_of()).events == 0


def messages(batch: Batch) -> list[str]:
    return [batch.where(at).span.message(batch.where(at).at) for at in range(batch.events)]


def test_the_spans_that_are_pending_are_listed_day_by_day() -> None:
    first, second = span_of((1, "a")), span_of((30 * HOUR, "b"))

    assert [list(span.texts) for span in waiting_of(second, first)] == [[b"b"], [b"a"]]
