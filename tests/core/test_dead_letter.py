"""A dead letter holds everything that a later replay needs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from agent.core.dead_letter import dead_letter
from agent.core.values import Destination


def test_a_dead_letter_has_its_time_in_utc_and_the_size_and_digest_of_its_message():
    letter = dead_letter(
        b"abc",
        reason="too_old",
        file="f00",
        offset=7,
        destination=Destination("group", "stream"),
        timestamp_ms=5,
        now=datetime(2026, 11, 23, 9, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=2))),
    )

    assert letter.time == "2026-11-23T07:30:00.123Z"
    assert (letter.size, letter.message) == (3, b"abc")
    assert letter.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
