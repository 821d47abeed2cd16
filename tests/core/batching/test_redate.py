"""Events that CloudWatch rejected because of their time ship once more, under the time of delivery."""

import json

import pytest

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.redate import redated
from agent.core.batching.span import Span
from agent.core.reading.ledger import Ledger
from tests.core.batching.spans import span_of
from tests.core.processing.chunks import NOW_MS, alert, process


def whole(span: Span) -> Batch:
    return Batch([Part(span, 0, len(span))])


@pytest.mark.parametrize("reason", ["too_old", "too_new", "expired"])
@pytest.mark.parametrize("met", [True, False])
def test_an_event_gets_the_time_of_its_delivery_and_says_so(reason: str, met: bool) -> None:
    span = next(span for span in process(alert(), met=met).spans.values() if len(span))

    [again], rest = redated(whole(span), reason, NOW_MS + 5)

    assert rest is None
    assert again.timestamps == [NOW_MS + 5]
    assert again.sizes == [len(again.message(0).encode())]
    event, before = json.loads(again.message(0)), json.loads(span.message(0))
    assert event["falcowatch"].pop("time") == f"delivery: CloudWatch rejected the alert's time as {reason}"
    assert event == before
    assert again.message(0).startswith(alert()[:-1].decode())


def test_an_own_event_keeps_its_bytes_because_the_next_seal_names_their_digest() -> None:
    heartbeat = span_of((1, '{"rule":"Falcowatch: heartbeat","falcowatch":{"id":"self:seal:c:1"}}'))
    heartbeat.own = "heartbeat"

    [again], _ = redated(whole(heartbeat), "too_old", NOW_MS)

    assert again.timestamps == [NOW_MS]
    assert again.messages == heartbeat.messages


def test_an_event_is_sent_again_only_once() -> None:
    [again], _ = redated(whole(span_of((1, '{"falcowatch":{"id":"f:1"}}'))), "too_old", NOW_MS)

    spans, rest = redated(whole(again), "too_old", NOW_MS)

    assert spans == []
    assert rest is not None
    assert rest.events == 1


def test_an_event_that_was_rejected_for_another_reason_is_not_sent_again() -> None:
    spans, rest = redated(whole(span_of((1, "a"))), "invalid", NOW_MS)

    assert (spans, rest is not None) == ([], True)


@pytest.mark.parametrize(
    "message",
    [
        "text",
        '{"a":1,"falcowatch":{"id":"f:1","time":"runtime: x"}}',
        '{"a":"' + "x" * (LARGEST_MESSAGE_BYTES - 35) + '","falcowatch":{"id":"f:1"}}',
    ],
)
def test_a_message_without_room_or_need_for_a_note_stays_as_it_is(message: str) -> None:
    [again], _ = redated(whole(span_of((1, message))), "too_old", NOW_MS)

    assert again.message(0) == message
    assert again.timestamps == [NOW_MS]


def test_an_alert_s_own_time_is_not_taken_for_a_note() -> None:
    [again], _ = redated(whole(span_of((1, '{"time":"x","falcowatch":{"id":"f:1"}}'))), "too_old", NOW_MS)

    assert "delivery" in json.loads(again.message(0))["falcowatch"]["time"]


def test_events_that_are_sent_again_settle_in_their_entry() -> None:
    ledger, span = Ledger(), span_of((1, "a"), (2, "b"))
    span.entry = ledger.enter(100, 2)

    [again], _ = redated(whole(span), "too_old", NOW_MS)
    whole(again).settle()

    assert ledger.committed == 100
