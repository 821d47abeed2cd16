"""Defects are counted, logged at a limited rate, and reported for an hour."""

import logging

import pytest

from agent.telemetry import Telemetry
from agent.telemetry.defects import PARTS, RECENT_SECONDS, Defects
from agent.telemetry.logs import JsonFormatter


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def failing() -> None:
    raise ValueError("broken")


def test_every_part_has_a_series_from_the_start() -> None:
    telemetry = Telemetry("0")

    assert {part: telemetry.value("defects_total", part=part) for part in PARTS} == dict.fromkeys(PARTS, 0)


def test_a_defect_is_counted_each_time_and_logged_once_a_minute_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = Telemetry("0")

    for _ in range(5):
        with telemetry.defects.contained("enrichment"):
            failing()

    assert telemetry.value("defects_total", part="enrichment") == 5
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    line = JsonFormatter().format(record)
    assert "in failing" in line
    assert '"part":"enrichment"' in line


def test_defects_with_ever_new_texts_are_logged_once() -> None:
    telemetry = Telemetry("0")
    for number in range(10_000):
        telemetry.defects.note("record", ValueError("x" * number))

    [defect] = telemetry.defects.recent
    assert len(defect.reason) <= 200
    assert defect.count == 10_000
    assert telemetry.defects._occasional.remembered == 1


def test_a_part_is_reported_for_an_hour_after_its_last_defect() -> None:
    now = [0.0]
    defects = Defects(Telemetry("0").unforeseen, clock=lambda: now[0])
    defects.note("http", ValueError("broken"))

    assert [(defect.part, defect.count, defect.reason) for defect in defects.recent] == [
        ("http", 1, "ValueError: broken")
    ]
    now[0] = RECENT_SECONDS
    assert defects.recent == []
    assert defects.counts == {"http": 1}


def test_an_exception_whose_text_raises_is_noted_by_its_type() -> None:
    defects = Telemetry("0").defects

    defects.note("file", Unprintable())

    assert defects.recent[0].reason == "Unprintable"
