"""Numbers as a person reads them."""

import pytest

from agent.web.figures import ago, duration, moment, percent, plural, share, size


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0 B"), (812, "812 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (1434, "1.4 KiB"), (10 << 10, "10 KiB"),
        ((1 << 20) - 1, "1.0 MiB"), (16 << 20, "16 MiB"), (3 << 30, "3.0 GiB"), (5000 << 40, "5,000 TiB"),
    ],
)  # fmt: skip
def test_sizes(value, written):
    assert size(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-1, "0.0 s"), (0.31, "0.3 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"),
        (3600, "1 h"), (18_120, "5 h 2 min"), (86_400, "1 d"), (273_600, "3 d 4 h"), (86_400_000, "1,000 d"),
        (float("inf"), "endless"),
    ],
)  # fmt: skip
def test_durations(seconds, written):
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [(0, 0, "0 %"), (0, 5, "0 %"), (5, 5, "100 %"), (1, 1_000_000, "< 0.1 %"), (999_999, 1_000_000, "> 99.9 %"),
     (1, 3, "33.3 %"), (7, 5, "100 %")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_all_or_nothing(part, whole, written):
    assert share(part, whole) == written


def test_the_rest():
    assert (plural(1, "record"), plural(2_000, "record"), plural(0, "entry", "entries")) == (
        "1 record", "2,000 records", "0 entries",
    )  # fmt: skip
    assert (ago(0.2), ago(200)) == ("just now", "3 min 20 s ago")
    assert moment(1_795_419_136) == "2026-11-23T07:32:16Z"
    assert percent(1, 4) == 25
