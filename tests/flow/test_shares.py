"""Which share of the budget a lane may take when the other one is stuck."""

import pytest

from agent.flow.shares import STUCK_SECONDS, may_scan_ahead, must_scan_ahead

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
