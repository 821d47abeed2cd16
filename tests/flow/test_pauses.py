"""The pauses for a throttled urgent request end when one is accepted, and take a bounded share of the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flow.pauses import LONGEST_PAUSE_SECONDS, SHARE, SHORTEST_PAUSE_SECONDS, Pauses


def test_a_pause_lasts_as_long_as_the_bucket_holds_and_is_not_prolonged() -> None:
    pauses = Pauses()
    pauses.begin(10.0)
    pauses.begin(10.5)

    assert pauses.remaining_seconds(10.5) == pytest.approx(LONGEST_PAUSE_SECONDS - 0.5)
    assert pauses.remaining_seconds(11.0) == 0


def test_a_pause_that_ends_early_leaves_the_rest_to_the_next_one() -> None:
    pauses = Pauses()
    pauses.begin(10.0)
    pauses.end(10.1)
    assert pauses.remaining_seconds(10.1) == 0

    pauses.begin(10.2)

    assert pauses.remaining_seconds(10.2) == pytest.approx(LONGEST_PAUSE_SECONDS - 0.1 + SHARE * 0.1)


def test_an_empty_bucket_fills_until_a_pause_is_of_use() -> None:
    pauses = Pauses()
    pauses.begin(10.0)
    filled_at = 10.0 + LONGEST_PAUSE_SECONDS + SHORTEST_PAUSE_SECONDS / SHARE

    pauses.begin(filled_at - 0.01)
    assert pauses.remaining_seconds(filled_at - 0.01) == 0
    pauses.begin(filled_at + 0.01)
    assert pauses.remaining_seconds(filled_at + 0.01) == pytest.approx(SHORTEST_PAUSE_SECONDS, rel=0.1)


def test_an_urgent_request_that_is_accepted_without_a_pause_changes_nothing() -> None:
    pauses = Pauses()
    pauses.end(5.0)
    pauses.begin(10.0)

    assert pauses.remaining_seconds(10.0) == LONGEST_PAUSE_SECONDS


@given(st.lists(st.tuples(st.floats(0.001, 3.0), st.booleans()), max_size=60))
def test_in_the_long_run_the_pauses_take_their_share_at_most(events: list[tuple[float, bool]]) -> None:
    """Each event comes so long after the one before: an urgent request is throttled, or accepted."""
    pauses, now, paused = Pauses(), 1.0, 0.0
    for seconds, is_throttled in events:
        paused += min(seconds, pauses.remaining_seconds(now))
        now += seconds
        if is_throttled:
            pauses.begin(now)
        else:
            pauses.end(now)

    assert paused <= LONGEST_PAUSE_SECONDS + SHARE * now + 1e-6
