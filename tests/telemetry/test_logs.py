"""The agent's log: each line is complete, whatever value a field has."""

import json
import logging
import sys

import pytest

from agent.telemetry import Occasional, configure_logging
from agent.telemetry.logs import MOST_KEYS, JsonFormatter, TextFormatter


def record(event: str = "file rotated", level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.getLogger("agent.tail").makeRecord(
        "agent.tail", level, "tailer.py", 1, event, (), None, extra=fields or None
    )
    made.created, made.msecs = 1_795_419_136.25, 250.0
    return made


def test_a_json_line_carries_time_level_logger_event_and_fields():
    line = json.loads(JsonFormatter().format(record(offset=12, path="/var/log/pods/x")))

    assert line == {
        "time": "2026-11-23T07:32:16.250Z",
        "level": "info",
        "logger": "agent.tail",
        "event": "file rotated",
        "offset": 12,
        "path": "/var/log/pods/x",
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("bad-\udcff.log", "bad-\udcff.log"),  # a file name that is not UTF-8
        (1 << 70, 1 << 70),
        ({1: "one"}, {"1": "one"}),
        (OSError("gone"), "gone"),
    ],
)
def test_any_value_of_a_field_can_be_logged(value, written):
    line = json.loads(JsonFormatter().format(record(value=value)))

    assert line["event"] == "file rotated"
    assert line["value"] == written


def test_a_field_does_not_overwrite_time_level_logger_or_event():
    line = json.loads(JsonFormatter().format(record(logger="mine", time="yesterday")))

    assert (line["logger"], line["time"]) == ("agent.tail", "2026-11-23T07:32:16.250Z")
    assert (line["field_logger"], line["field_time"]) == ("mine", "yesterday")


def test_an_exception_is_a_field_of_its_line():
    made = record("put failed", logging.ERROR)
    try:
        int("no number")
    except ValueError:
        made.exc_info = sys.exc_info()

    line = JsonFormatter().format(made)

    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
    assert "ValueError: invalid literal" in TextFormatter().format(made)


def test_a_text_line_is_one_line_without_terminal_escapes():
    line = TextFormatter().format(record("rule seen", logging.WARNING, rule="x\n12:00:00 info all well\x1b[2J"))

    assert line == r"07:32:16 warning rule seen rule=x\n12:00:00 info all well\x1b[2J"


def test_the_log_goes_to_stderr_at_the_configured_level(capsys):
    before = logging.root.handlers[:], logging.root.level

    try:
        configure_logging("warning", "json")
        logging.getLogger("agent.x").info("not this")
        logging.getLogger("agent.x").warning("batch refused", extra={"stream": "node-1"})
        logging.getLogger("botocore.credentials").info("nor this line of the SDK")
    finally:
        logging.root.handlers[:], logging.root.level = before

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["stream"]) for line in lines] == [("batch refused", "node-1")]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_event_is_logged_once_a_period_with_the_number_of_suppressed_ones():
    clock = Clock()
    occasional = Occasional(60, clock)

    assert occasional.fields("denied") == {}
    assert [occasional.fields("denied") for _ in range(3)] == [None] * 3
    assert occasional.fields("another") == {}

    clock.now = 60
    assert occasional.fields("denied") == {"repeated": 3}
    assert occasional.fields("denied") is None

    clock.now = 120
    assert occasional.fields("denied") == {"repeated": 1}
    clock.now = 180
    assert occasional.fields("denied") == {}


def test_keys_without_recent_events_are_removed():
    clock = Clock()
    occasional = Occasional(60, clock)
    for number in range(MOST_KEYS):
        occasional.fields(f"file-{number}")
    clock.now = 60

    occasional.fields("one more")

    assert occasional.remembered == 1


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_password_in_a_url_is_not_logged(formatter):
    line = formatter.format(
        record("proxy failed", url="http://user:hunter2@proxy:3128", why="https://t0ken@host refused")
    )

    assert "http://•••@proxy:3128" in line
    assert "hunter2" not in line
    assert "t0ken" not in line
