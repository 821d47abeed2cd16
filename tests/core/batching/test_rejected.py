"""Which events of a put a 200 reply rejects."""

import pytest

from agent.core.batching.rejected import Rejected, rejected
from agent.core.values import PutReply


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
def test_the_indices_of_a_200_say_which_events_were_rejected(reply: PutReply, expected: list[Rejected]) -> None:
    assert rejected(reply, 10) == expected
