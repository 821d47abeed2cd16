"""A batch is sorted and encoded, and each of its events leads back to its record."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
)
from agent.core.batching.span import HELD_OVERHEAD_BYTES
from agent.core.reading.ledger import Ledger
from tests.core.batching.spans import span_of, waiting_of

HOUR = 3600_000


def texts(batch: Batch) -> list[str]:
    return [event["message"] for event in orjson.loads(b"".join(batch.encode()))]


def test_events_are_sorted_by_time_and_those_of_one_millisecond_stay_in_order() -> None:
    batch = waiting_of(span_of((5, "a"), (3, "b"), (5, "c")), span_of((3, "d"))).take(0)

    assert texts(batch) == ["b", "d", "a", "c"]
    assert batch.timestamps == [3, 3, 5, 5]
    assert [batch.where(at).span.message(batch.where(at).at) for at in range(4)] == ["b", "d", "a", "c"]


def test_there_is_nothing_beyond_the_last_event() -> None:
    with pytest.raises(IndexError):
        waiting_of(span_of((1, "a"))).take(0).where(1)


def test_a_batch_of_ordered_events_is_encoded_in_their_order() -> None:
    batch = waiting_of(span_of((1, 'a "quoted"'), (2, "ü"))).take(0)

    assert orjson.loads(b"".join(batch.encode())) == [
        {"timestamp": 1, "message": 'a "quoted"'},
        {"timestamp": 2, "message": "ü"},
    ]
    assert batch.counted_bytes == len('a "quoted"') + 2 + 2 * EVENT_OVERHEAD_BYTES
    assert batch.held_bytes == span_of((1, 'a "quoted"'), (2, "ü")).held_bytes
    assert batch.held_bytes > HELD_OVERHEAD_BYTES * 2


events = st.lists(st.tuples(st.integers(0, 90 * HOUR), st.text(max_size=5)), min_size=1, max_size=30)


@given(spans=st.lists(events, min_size=1, max_size=4))
def test_repeated_halving_leads_to_each_event_alone(spans: list[list[tuple[int, str]]]) -> None:
    whole = Batch([Part(span, 0, len(span)) for span in (span_of(*one) for one in spans)])
    alone, halves = [], [whole]
    while halves:
        batch = halves.pop(0)
        if batch.events == 1:
            alone += texts(batch)
        else:
            halves = [*batch.halves(), *halves]

    assert alone == [message for one in spans for _, message in one]


def test_settling_a_batch_settles_the_records_of_files_and_skips_the_agent_s_own_events() -> None:
    ledger, own = Ledger(), span_of((1, "ours"))
    span = span_of((1, "a"), (2, "b"))
    span.entry = ledger.enter(100, 2)

    waiting_of(own, span).take(0).settle()

    assert ledger.committed == 100
