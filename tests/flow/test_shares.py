"""Which share of the budget a lane may take when the other one is stuck."""

import pytest

from agent.flow.shares import (
    STUCK_SECONDS,
    StreamLoad,
    bytes_to_load,
    bytes_to_spill,
    may_scan_ahead,
    must_ask,
    must_scan_ahead,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("unread", "waiting_seconds", "must"),
    [
        (8 * MIB + 1, 0.0, True),
        (8 * MIB, 0.0, False),
        (1, STUCK_SECONDS, True),
        (1, STUCK_SECONDS / 2, False),
        (0, 3600.0, False),
    ],
)
def test_urgent_records_are_searched_behind_a_backlog_and_while_reading_is_stuck(
    unread: int, waiting_seconds: float, must: bool
) -> None:
    assert must_scan_ahead(unread, 8 * MIB, waiting_seconds) is must


@pytest.mark.parametrize(("urgent", "may"), [(0, True), (4 * MIB - 1, True), (4 * MIB, False), (16 * MIB, False)])
def test_the_urgent_scan_leaves_three_quarters_of_the_budget_to_reading(urgent: int, may: bool) -> None:
    assert may_scan_ahead(urgent, 16 * MIB) is may


NEVER = float("-inf")
STUCK = StreamLoad(5 * MIB, oldest_read_at=100.0, last_accepted_at=NEVER)
IDLE = StreamLoad(0, None, last_accepted_at=103.0)
IDLE_SINCE_LONG = StreamLoad(0, None, last_accepted_at=50.0)


@pytest.mark.parametrize(
    ("stream", "others", "now", "spill_mib"),
    [
        (STUCK, [StreamLoad(MIB, 109.5, 109.0)], 110.0, 3),  # another stream goes on
        (STUCK, [IDLE], 110.0, 3),  # the other one has nothing to send, and has accepted a heartbeat meanwhile
        (STUCK, [IDLE_SINCE_LONG], 110.0, 0),  # perhaps an outage: nothing was sent to another stream
        (STUCK, [], 110.0, 0),
        (STUCK, [StreamLoad(MIB, 105.0, 99.0)], 110.0, 0),  # an outage: no stream accepts
        (STUCK, [StreamLoad(MIB, 105.0, 99.0), IDLE_SINCE_LONG], 110.0, 0),
        (STUCK, [StreamLoad(MIB, 105.0, 106.0)], 110.0, 0),  # the other one has stopped, too
        (STUCK, [StreamLoad(MIB, 105.0, 99.0), StreamLoad(MIB, 109.9, 109.0)], 110.0, 3),  # two of three are stuck
        (STUCK, [IDLE], 101.0, 0),  # not for long enough
        (StreamLoad(5 * MIB, 100.0, 109.0), [IDLE], 110.0, 0),  # slow, but it moves
        (StreamLoad(4 * MIB - 1, 100.0, NEVER), [IDLE], 110.0, 0),  # it holds its share only
    ],
)
def test_the_records_of_a_stream_that_accepts_nothing_are_spilled_when_others_can_go_on(
    stream: StreamLoad, others: list[StreamLoad], now: float, spill_mib: int
) -> None:
    assert bytes_to_spill(stream, others, 16 * MIB, now) == spill_mib * MIB


@pytest.mark.parametrize(
    ("streams", "now", "must"),
    [
        ([STUCK, IDLE_SINCE_LONG], 110.0, True),
        ([STUCK, StreamLoad(MIB, 105.0, 106.0), IDLE_SINCE_LONG], 110.0, True),  # the second one has stopped, too
        ([STUCK, IDLE], 110.0, False),  # it is known that CloudWatch answers
        ([STUCK, StreamLoad(MIB, 109.5, 109.0), IDLE_SINCE_LONG], 110.0, False),
        ([STUCK, IDLE_SINCE_LONG], 101.0, False),  # not stuck for long enough
        ([IDLE, IDLE_SINCE_LONG], 110.0, False),
        ([], 110.0, False),
    ],
)
def test_idle_streams_are_asked_when_a_stream_is_stuck_and_no_other_one_shows_that_cloudwatch_answers(
    streams: list[StreamLoad], now: float, must: bool
) -> None:
    assert must_ask(streams, 16 * MIB, now) is must


def test_records_are_loaded_again_when_their_stream_accepts_events_up_to_a_share() -> None:
    accepting = StreamLoad(MIB, 50.0, 109.0)

    assert bytes_to_load(accepting, 16 * MIB, 110.0) == MIB
    assert bytes_to_load(StreamLoad(3 * MIB, 50.0, 109.0), 16 * MIB, 110.0) == 0
    assert bytes_to_load(IDLE, 16 * MIB, 110.0) == 2 * MIB
    assert bytes_to_load(STUCK, 16 * MIB, 110.0) == 0
