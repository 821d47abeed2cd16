"""Exported events are read in every form in which CloudWatch Logs gives them away."""

import gzip
import json
from pathlib import Path

import pytest

from agent.audit.exported import read_files
from agent.audit.history import UNKNOWN_MS, RawEvent
from agent.errors import AuditFailed

EVENTS = [
    RawEvent("node-1", 1_795_000_000_123, 1_795_000_000_456, '{"output":"€ \\" 1"}'.encode()),
    RawEvent("node-1/urgent", 1_795_000_000_124, 1_795_000_000_457, b'{"output":"2"}'),
    RawEvent("node-2", 1_795_000_000_125, 1_795_000_000_458, b"\xf0\x9f\xa6\x85 plain text"),
]


def as_api(event: RawEvent) -> dict[str, object]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.time_ms,
        "message": event.message.decode(),
        "ingestionTime": event.ingested_ms,
        "eventId": "1",
    }


def read(*paths: Path) -> list[RawEvent]:
    return [event for some in read_files(paths, lambda size: None) for event in some]


@pytest.mark.parametrize("indent", [None, 4])
def test_the_output_of_the_command_line(tmp_path: Path, indent: int | None):
    document = {"searchedLogStreams": [], "events": [as_api(event) for event in EVENTS], "nextToken": "x"}
    (tmp_path / "events.json").write_text(json.dumps(document, indent=indent))

    assert read(tmp_path / "events.json") == EVENTS


def test_several_documents_behind_one_another(tmp_path: Path):
    pages = [json.dumps({"events": [as_api(event)]}, indent=2) for event in EVENTS]
    (tmp_path / "pages.json").write_text("\n".join(pages))

    assert read(tmp_path / "pages.json") == EVENTS


def test_a_bare_list(tmp_path: Path):
    (tmp_path / "list.json").write_text(json.dumps([as_api(event) for event in EVENTS], ensure_ascii=False))

    assert read(tmp_path / "list.json") == EVENTS


def test_a_document_that_is_larger_than_the_part_in_memory(tmp_path: Path):
    many = [RawEvent("s", number, number, b"x" * 4000) for number in range(1500)]
    (tmp_path / "many.json").write_text(json.dumps({"events": [as_api(event) for event in many]}, indent=1))

    assert read(tmp_path / "many.json") == many


def test_lines_of_json(tmp_path: Path):
    lines = [json.dumps(as_api(event)) for event in EVENTS]
    (tmp_path / "events.jsonl").write_text("\n".join([lines[0], "", *lines[1:]]) + "\n")

    assert read(tmp_path / "events.jsonl") == EVENTS


def test_lines_of_json_without_the_time_of_ingestion(tmp_path: Path):
    (tmp_path / "events.jsonl").write_text('{"timestamp":5,"message":"m"}')

    assert read(tmp_path / "events.jsonl") == [RawEvent("", 5, UNKNOWN_MS, b"m")]


def test_an_export_to_s3_with_a_directory_for_each_stream(tmp_path: Path):
    for event, stamp in zip(EVENTS, ("07.123Z", "07.124Z", "07.125Z"), strict=True):
        directory = tmp_path / "exported" / event.stream.replace("/", "-")
        directory.mkdir(parents=True)
        line = b"2026-11-18T11:06:%b %b\n" % (stamp.encode(), event.message)
        (directory / "000000.gz").write_bytes(gzip.compress(line[:5], mtime=0) + gzip.compress(line[5:]))
    (tmp_path / "exported" / "aws-logs-write-test").write_text("Permission Check Successful")

    found = read(tmp_path / "exported")

    assert [event.message for event in found] == [event.message for event in EVENTS]
    assert [event.stream for event in found] == ["node-1", "node-1-urgent", "node-2"]
    assert {event.ingested_ms for event in found} == {UNKNOWN_MS}
    assert [event.time_ms % 1000 for event in found] == [123, 124, 125]


def test_a_message_of_several_lines_does_not_end_an_export(tmp_path: Path):
    (tmp_path / "lines").write_text("2026-11-18T11:06:07.123Z first\n  second line\n2026-11-18T11:06:08.123Z third\n")

    assert [event.message for event in read(tmp_path / "lines")] == [b"first", b"third"]


def test_an_empty_file_has_no_events(tmp_path: Path):
    (tmp_path / "empty").write_text("\n\n")

    assert read(tmp_path / "empty") == []


def test_a_file_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(AuditFailed, match="nothing-here: does not exist"):
        read(tmp_path / "nothing-here")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no events at all\n", "is neither JSON"),
        (b'{"events": [{"message": 5, "timestamp": 1}]}', "an event needs a text `message`"),
        (b'{"events": [5]}', "an event must be an object"),
        (b'{"events": [{"message": "m", "timestamp": 1e3}]}', "a whole number `timestamp`"),
        (b'{"events": [{"message": "m", "timestamp": 99999999999999999999999}]}', "milliseconds since 1970"),
        (b'{"message":"m","timestamp":1}\n{"message":"m","timestamp":99999999999999999}\n', "line 2 is not an event"),
        (b'{"events": [{"message": "cut', "cut off or invalid"),
        (b'{"events": ]', "cut off or invalid"),
        (b"[" * 100_000, ""),
        (b'{"events":[{"message":"\\ud800","timestamp":1}', "cut off or invalid"),
        (b'{"message":"m","timestamp":1}\n{"message":5}\n', "line 2 is not an event"),
        (gzip.compress(b"2026-11-18T11:06:07.123Z first\n", mtime=0)[:-4], "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b'{"a":"\xff\xff"}', ""),
    ],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path: Path, content: bytes, sentence: str):
    (tmp_path / "broken").write_bytes(content)

    with pytest.raises(AuditFailed) as caught:
        read(tmp_path / "broken")

    assert str(caught.value).startswith(str(tmp_path / "broken"))
    assert sentence in str(caught.value)
