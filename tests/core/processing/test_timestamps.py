"""Timestamps to milliseconds: a table, and properties over any text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.timestamps import TimestampParser


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("1970-01-01T00:00:00.000000000Z", 0),
        ("2026-11-23T07:53:51.905525426Z", 1795420431905),
        ("2026-11-23T07:53:51.9Z", 1795420431900),
        ("2026-11-23T07:53:51.90Z", 1795420431900),
        ("2026-11-23T07:53:51Z", 1795420431000),
        ("2026-11-23T07:53:51", 1795420431000),
        ("2026-11-23T07:53:51.905525426+00:00", 1795420431905),
        ("2026-11-23T07:53:51.905525426", 1795420431905),
        ("2026-11-23T09:53:51.905+02:00", 1795420431905),
        ("2026-11-23T02:23:51.905-05:30", 1795420431905),
        ("2026-11-23T02:23:51-05:30", 1795420431000),
        ("2016-12-31T23:59:60.5Z", 1483228800500),
    ],
)
def test_a_timestamp_is_read_to_the_millisecond(stamp: str, expected: int) -> None:
    assert TimestampParser().milliseconds(stamp) == expected


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23 07:53:51",
        "2026-13-23T07:53:51Z",
        "2026-11-23T24:53:51Z",
        "1969-12-31T23:59:59Z",
        "2026-11-23T07:53:51.Z",
        "2026-11-23T07:53:51.x5Z",
        "2026-11-23T07:53:51.905+2:00",
        "2026-11-23T07:53:51.905+02-00",
        "2026-11-23T07:53:51.905+0a:00",
        "2026-11-23T07:53:51X",
        "２０２６-11-23T07:53:51Z",
        "2026-11-23T07:53:51.²²²Z",
        "+026-11-23T07:53:51Z",
    ],
)
def test_other_texts_are_refused(stamp: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|literal"):
        TimestampParser().milliseconds(stamp)


@given(stamp=st.text(max_size=40))
def test_any_text_is_a_timestamp_or_a_value_error(stamp: str) -> None:
    try:
        assert isinstance(TimestampParser().milliseconds(stamp), int)
    except ValueError:
        return


@given(
    moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)), decimals=st.integers(0, 9)
)
def test_any_moment_with_any_number_of_decimals_is_read_back(moment: datetime, decimals: int) -> None:
    fraction = f"{moment.microsecond:06d}000"[:decimals]
    stamp = moment.strftime("%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
    expected = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000 + int(f"{fraction}000"[:3])

    assert TimestampParser().milliseconds(f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}T{stamp}") == expected


def test_the_timestamps_that_are_kept_are_bounded():
    parser = TimestampParser()
    base = parser.parse("2026-11-23T07:00:00.000000001Z")

    stamps = [
        f"2026-11-23T07:{number // 60000:02}:{number // 1000 % 60:02}.{number % 1000:03}000001Z"
        for number in range(9000)
    ]
    parsed = [parser.parse(stamp) for stamp in stamps]

    assert base is not None
    assert parsed == [base + number for number in range(9000)]
