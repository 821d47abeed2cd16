"""The table of what follows each failed put."""

import pytest

from agent.core.values import Lane
from agent.errors import Denied, Invalid, Missing, PutError, Refused, Throttled, Unavailable, WrongToken
from agent.ship.retries import LONGEST_WAIT_WHILE_DRAINING_SECONDS, backoff_for, rule_for

ERRORS = [
    *(kind("no", reason="no") for kind in (Denied, Invalid, Missing, Refused, Throttled, Unavailable, PutError)),
    WrongToken("no", expected="1"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("lane", Lane)
def test_while_the_shipper_drains_no_wait_is_long_and_waits_still_grow(error: PutError, lane: Lane) -> None:
    rule = rule_for(error)
    usual, draining = (backoff_for(rule, lane, draining=each) for each in (False, True))

    assert draining.first_seconds == usual.first_seconds > 0
    assert draining.first_seconds < draining.most_seconds <= LONGEST_WAIT_WHILE_DRAINING_SECONDS
    assert draining.most_seconds <= usual.most_seconds
