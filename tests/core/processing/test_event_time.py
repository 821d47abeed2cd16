"""The time under which an event ships."""

import pytest

from agent.core.processing.event_time import (
    DAY_MS,
    FAR_FROM_STAMP,
    FUTURE,
    HOUR_MS,
    NO_TIME,
    TOO_NEW,
    TOO_OLD,
    EventTime,
    Window,
    event_time,
)  # fmt: skip

NOW = 1_795_500_000_000


@pytest.mark.parametrize(
    ("stated", "stamp", "expected"),
    [
        (NOW - 5, NOW, EventTime(NOW - 5)),
        (NOW - HOUR_MS, NOW, EventTime(NOW - HOUR_MS)),
        (NOW - HOUR_MS - 1, NOW, EventTime(NOW, FAR_FROM_STAMP)),
        (NOW + HOUR_MS + 1, NOW, EventTime(NOW, FAR_FROM_STAMP)),
        (None, NOW - 5, EventTime(NOW - 5, NO_TIME)),
        (None, None, EventTime(NOW, NO_TIME)),
        (NOW - 3 * DAY_MS, None, EventTime(NOW - 3 * DAY_MS)),
        (NOW + HOUR_MS, None, EventTime(NOW + HOUR_MS)),
        (NOW + HOUR_MS + 1, None, EventTime(NOW, FUTURE)),
    ],
)
def test_an_alert_s_time_counts_if_the_runtime_s_stamp_confirms_it(
    stated: int | None, stamp: int | None, expected: EventTime
) -> None:
    assert event_time(stated, stamp, NOW) == expected


def test_times_outside_the_window_become_the_time_of_delivery() -> None:
    window = Window.of(adjusts=True, retention_days=None)

    assert window.adjusted(EventTime(NOW - 14 * DAY_MS), NOW) == EventTime(NOW, TOO_OLD)
    assert window.adjusted(EventTime(NOW + 2 * HOUR_MS), NOW) == EventTime(NOW, TOO_NEW)
    assert window.adjusted(EventTime(NOW - 13 * DAY_MS, "note"), NOW) == EventTime(NOW - 13 * DAY_MS, "note")


def test_a_short_retention_makes_the_window_shorter_and_a_long_one_does_not_make_it_longer() -> None:
    short, long = (Window.of(adjusts=True, retention_days=days) for days in (1, 3653))

    assert not short.contains(NOW - DAY_MS, NOW, NOW)
    assert long == Window.of(adjusts=True, retention_days=None)


def test_without_adjusting_every_time_is_inside_the_window() -> None:
    window = Window.of(adjusts=False, retention_days=1)

    assert window.contains(0, NOW * 100, NOW)
    assert window.adjusted(EventTime(0), NOW) == EventTime(0)
