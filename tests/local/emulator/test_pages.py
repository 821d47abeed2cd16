"""Files of events: a bounded index, pages in order of time, and an incomplete end that is cut off."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.local.emulator import CorruptDataError
from agent.local.emulator.pages import AFTER_ALL, BEFORE_ALL, Key, Range, page_of, places_of
from agent.local.emulator.rules import Batch
from agent.local.emulator.segments import SegmentIndex
from agent.local.emulator.streamlog import StreamLog


def batch(*timestamps: int, message: bytes = b"m") -> Batch:
    return Batch(list(timestamps), [len(message)] * len(timestamps), b"\n".join([message] * len(timestamps)), None)


def new_log(path: Path) -> StreamLog:
    log = StreamLog(path)
    log.create({"stream": path.stem, "created": 0})
    return log


def walk(
    logs: dict[str, StreamLog], *, backward: bool, limit: int, start_ms: int = 0, end_ms: int = 2**62
) -> list[Key]:
    """All pages in sequence."""
    keys: list[Key] = []
    cursor = AFTER_ALL if backward else BEFORE_ALL
    while True:
        asked = Range(start_ms, end_ms, cursor, backward, limit)
        page = page_of(places_of(logs.items(), asked), asked)
        keys += [found.key for found in page.found]
        if page.resume is None:
            return keys
        cursor = page.resume


batches = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=6).map(sorted), max_size=12)


@settings(max_examples=60)
@given(first=batches, second=batches, backward=st.booleans(), limit=st.integers(1, 7), start_ms=st.integers(0, 40))
def test_pages_contain_every_event_of_the_range_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[list[int]],
    second: list[list[int]],
    backward: bool,
    limit: int,
    start_ms: int,
):
    folder = tmp_path_factory.mktemp("logs")
    logs = {}
    for name, contents in (("first", first), ("second", second)):
        logs[name] = new_log(folder / name)
        logs[name].index = SegmentIndex(max_segments=4, segment_bytes=100)
        for number, timestamps in enumerate(contents):
            logs[name].append(batch(*timestamps), ingested_ms=1000 + number)

    keys = walk(logs, backward=backward, limit=limit, start_ms=start_ms, end_ms=45)

    expected = [ms for contents in (first, second) for block in contents for ms in block if start_ms <= ms < 45]
    assert keys == sorted(keys, reverse=backward)
    assert len(set(keys)) == len(keys)
    assert sorted(key.timestamp for key in keys) == sorted(expected)


def test_a_long_search_stops_between_pages_and_skips_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.local.emulator.pages.MAX_SCANNED_BYTES", 1)
    log = new_log(tmp_path / "log")
    log.index = SegmentIndex(segment_bytes=1)
    for timestamp in (5, 1, 9, 3, 7):
        log.append(batch(timestamp), ingested_ms=0)

    forward = walk({"log": log}, backward=False, limit=100)
    backward = walk({"log": log}, backward=True, limit=100)

    assert [key.timestamp for key in forward] == [1, 3, 5, 7, 9]
    assert backward == forward[::-1]


def test_the_index_stays_bounded_for_any_number_of_batches(tmp_path: Path):
    log = new_log(tmp_path / "log")
    log.index = SegmentIndex(max_segments=8, segment_bytes=100)

    for timestamp in range(1000):
        log.append(batch(timestamp), ingested_ms=timestamp)

    assert len(log.index) <= 8
    segments = list(log.index)
    assert [segment.end for segment in segments[:-1]] == [segment.start for segment in segments[1:]]
    assert segments[-1].end == log.end
    assert [key.timestamp for key in walk({"log": log}, backward=False, limit=100, start_ms=990)] == list(
        range(990, 1000)
    )


def test_a_reloaded_file_has_the_same_events_and_totals(tmp_path: Path):
    log = new_log(tmp_path / "log")
    log.append(batch(1, 2, message=b"two\nlines"), ingested_ms=10)
    log.append(batch(0, message="ü".encode()), ingested_ms=11)

    again = StreamLog(tmp_path / "log")
    header = again.load()

    assert header == {"stream": "log", "created": 0}
    assert (again.end, again.events, again.batches, again.message_bytes) == (log.end, 3, 2, 20)
    assert (again.first_ms, again.last_ms, again.last_ingested_ms) == (0, 2, 11)
    assert list(again.blocks()) == list(log.blocks())


def test_an_incomplete_last_block_is_cut_off(tmp_path: Path):
    log = new_log(tmp_path / "log")
    log.append(batch(1), ingested_ms=10)
    whole = log.end
    log.append(batch(2, 3), ingested_ms=11)
    contents = log.path.read_bytes()

    for length in range(whole, len(contents)):
        log.path.write_bytes(contents[:length])
        again = StreamLog(log.path)
        again.load()

        assert (again.events, again.end, log.path.stat().st_size) == (1, whole, whole)


@pytest.mark.parametrize(
    "damage", [b"#", b'{"ingested":1}\n', b'{"ingested":1,"timestamps":[],"lengths":[]}\n', b"[]\n"]
)
def test_a_damaged_file_is_refused_and_the_message_names_it(tmp_path: Path, damage: bytes):
    log = new_log(tmp_path / "log")
    at = log.end
    log.append(batch(1), ingested_ms=10)
    contents = log.path.read_bytes()
    log.path.write_bytes(contents[:at] + damage + contents[at + len(damage) :])

    with pytest.raises(CorruptDataError, match=f"log: no block of log events at byte {at}"):
        StreamLog(log.path).load()
