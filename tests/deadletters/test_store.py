"""Dead letters on a real disk: they can be read again whole, by their owner alone, and their files are bounded."""

import base64
import hashlib
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.dead_letter import DeadLetter, dead_letter
from agent.core.values import Destination
from agent.deadletters.store import DeadLetterStore, dead_letter_files, read_dead_letters
from agent.errors import StateUnwritable

HERE = Destination("falco", "node-1/urgent")


def a_dead_letter(
    message: bytes = b'{"rule":"r"}',
    *,
    offset: int = 0,
    reason: str = "too_old",
    file: str = "/var/log/pods/falco/0.log",
) -> DeadLetter:
    return dead_letter(
        message,
        reason=reason,
        file=file,
        offset=offset,
        destination=HERE,
        timestamp_ms=1_700_000_000_000,
        now=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    )


def test_a_dead_letter_is_one_json_line_with_the_whole_text(tmp_path: Path):
    DeadLetterStore(tmp_path / "dead-letters").append([a_dead_letter(b'{"a":1}', offset=42)])

    [path] = dead_letter_files(tmp_path / "dead-letters")
    assert orjson.loads(path.read_bytes()) == {
        "time": "2026-11-23T12:00:00.000Z",
        "reason": "too_old",
        "file": "/var/log/pods/falco/0.log",
        "offset": 42,
        "destination": {"group": "falco", "stream": "node-1/urgent"},
        "timestamp_ms": 1_700_000_000_000,
        "size": 7,
        "digest": hashlib.sha256(b'{"a":1}').hexdigest(),
        "message": '{"a":1}',
    }


def test_bytes_that_are_not_text_are_kept_as_base64(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter(b"\xff\xfe{")])

    [path] = dead_letter_files(tmp_path)
    assert base64.b64decode(orjson.loads(path.read_bytes())["message_base64"]) == b"\xff\xfe{"


@given(messages=st.lists(st.binary(max_size=200), min_size=1, max_size=20))
def test_whatever_was_appended_is_read_back(tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]):
    directory = tmp_path_factory.mktemp("dead_letters")
    dead_letters = [a_dead_letter(message, offset=index) for index, message in enumerate(messages)]

    DeadLetterStore(directory, max_file_bytes=2000).append(dead_letters)

    assert list(read_dead_letters(directory)) == dead_letters


def test_files_and_folder_are_for_their_owner_alone(tmp_path: Path):
    DeadLetterStore(tmp_path / "state" / "dead-letters").append([a_dead_letter()])

    [path] = dead_letter_files(tmp_path / "state" / "dead-letters")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_second_run_appends_to_those_of_the_first(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter(offset=1)])
    DeadLetterStore(tmp_path).append([a_dead_letter(offset=2)])

    assert [found.offset for found in read_dead_letters(tmp_path)] == [1, 2]
    assert len(dead_letter_files(tmp_path)) == 1


def test_a_full_file_is_followed_by_another(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path, max_file_bytes=600)

    for offset in range(5):
        assert dead_letters.append([a_dead_letter(offset=offset)]) == 0

    assert [found.offset for found in read_dead_letters(tmp_path)] == [0, 1, 2, 3, 4]
    assert len(dead_letter_files(tmp_path)) == 5


def test_the_oldest_dead_letters_make_room_and_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    dead_letters = DeadLetterStore(tmp_path, max_file_bytes=800, max_total_bytes=2000)

    removed = [
        dead_letters.append([a_dead_letter(offset=offset), a_dead_letter(offset=offset + 1)])
        for offset in range(0, 12, 2)
    ]

    kept = [found.offset for found in read_dead_letters(tmp_path)]
    assert kept[-1] == 11
    assert sum(removed) + len(kept) == 12
    assert sum(path.stat().st_size for path in dead_letter_files(tmp_path)) <= 2000
    assert sum(record.__dict__["dead_letters"] for record in caplog.records) == sum(removed) > 0


def test_one_dead_letter_beyond_every_bound_is_kept_all_the_same(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path, max_file_bytes=100, max_total_bytes=200)

    dead_letters.append([a_dead_letter(b"x" * 1000)])

    assert [found.size for found in read_dead_letters(tmp_path)] == [1000]


def test_a_line_that_a_crash_cut_does_not_swallow_the_next_dead_letter(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter(offset=1)])
    [path] = dead_letter_files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])

    DeadLetterStore(tmp_path).append([a_dead_letter(offset=2)])

    assert [found.offset for found in read_dead_letters(tmp_path)] == [1, 2]


def test_a_changed_dead_letter_is_left_out(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter(b"shell in container"), a_dead_letter(b"second")])
    [path] = dead_letter_files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"shell", b"quiet"))

    assert [found.message for found in read_dead_letters(tmp_path)] == [b"second"]


def test_a_full_disk_is_said_and_leaves_no_half_dead_letter(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path)
    dead_letters.append([a_dead_letter(offset=1)])

    with largest_file(1000), pytest.raises(StateUnwritable, match="2 dead letters cannot be written"):
        dead_letters.append([a_dead_letter(b"x" * 400, offset=2), a_dead_letter(b"y" * 400, offset=3)])
    dead_letters.append([a_dead_letter(offset=4)])

    assert [found.offset for found in read_dead_letters(tmp_path)] == [1, 4]


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path):
    (tmp_path / "occupied").write_text("a file")

    with pytest.raises(StateUnwritable, match="occupied"):
        DeadLetterStore(tmp_path / "occupied").append([a_dead_letter()])


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path):
    (tmp_path / "elsewhere").write_text("precious\n")
    (tmp_path / "00000001.jsonl").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateUnwritable):
        DeadLetterStore(tmp_path).append([a_dead_letter()])

    assert (tmp_path / "elsewhere").read_text() == "precious\n"


def test_nothing_to_append_touches_nothing(tmp_path: Path):
    assert DeadLetterStore(tmp_path / "dead-letters").append([]) == 0
    assert not (tmp_path / "dead-letters").exists()
    assert list(read_dead_letters(tmp_path / "dead-letters")) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel's own refusal to write on, as a full disk: a short write first, then an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
