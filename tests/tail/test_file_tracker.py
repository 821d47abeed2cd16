"""The order in which the files of a source are read, however their names change."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from agent.settings import Tail
from agent.tail.discovery import Discovery
from agent.tail.file_state import SEARCH_SECONDS
from agent.tail.file_tracker import FileTracker
from agent.tail.positions import VANISHED
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import FoundFile, Gap
from tests.tail.following import Container, tracker_of


@contextmanager
def tracking(root: Path) -> Iterator[tuple[FileTracker, tuple[FoundFile, ...], list[TrackedFile]]]:
    """A file tracker, the files that are there, and its open files: none yet."""
    settings, files = Tail(root=root), list[TrackedFile]()
    ((source, found),) = Discovery(settings).look().items()
    file_tracker = tracker_of(source, settings)
    yield file_tracker, found, files
    file_tracker.close()
    for file in files:
        file.close()


def test_a_file_without_a_whole_line_that_is_deleted_while_it_is_closed_for_others_is_a_gap_that_says_so(
    tmp_path: Path,
) -> None:
    container, gaps = Container(tmp_path), list[Gap]()
    container.path.write_bytes(b"2026-11-23T07")
    settings = Tail(root=tmp_path)
    ((source, found),) = Discovery(settings).look().items()
    file_tracker = tracker_of(source, settings, gaps.append)
    file_tracker.take(found, [], at_end=False)
    file_tracker.close_unidentified(found[0])
    container.path.unlink()

    file_tracker.take((), [], at_end=False)

    assert [(gap.start, gap.end, gap.why, gap.at_least) for gap in gaps] == [(0, 13, VANISHED, True)]


def test_a_file_that_was_empty_when_it_was_last_seen_comes_after_what_had_been_rotated_by_then(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1")
    container.rotate()
    with tracking(tmp_path) as (file_tracker, found, files):
        file_tracker.take(found, files, at_end=False)

        container.write("2")
        container.path.unlink()  # renamed and compressed, and missed under its new name
        file_tracker.take(found[:1], files, at_end=False)

        assert [file.look_ahead(0, 100)[-2:] for file in files] == [b"1\n", b"2\n"]


def test_no_file_begins_before_a_second_look_has_shown_what_is_older(tmp_path: Path) -> None:
    """Between the look and the opening two rotations have given its name, and even its inode, to a younger file."""
    container = Container(tmp_path)
    container.write("1")
    container.rotate()
    container.write("2")
    with tracking(tmp_path) as (file_tracker, (older, live), files):
        file_tracker.take((live,), files, at_end=False)
        assert [file_tracker.may_begin(file) for file in files] == [False]
        assert file_tracker.wants_another_scan(files)

        file_tracker.take((older, live), files, at_end=False)
        seen = [(file.look_ahead(0, 100)[-2:], file_tracker.may_begin(file)) for file in files]
        assert seen == [(b"1\n", False), (b"2\n", True)]

        file_tracker.take((older, live), files, at_end=False)
        assert [file_tracker.may_begin(file) for file in files] == [True, True]
        assert not file_tracker.wants_another_scan(files)


def test_what_is_younger_than_a_file_that_could_not_be_opened_waits_for_it(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1")
    container.rotate()
    container.write("2")
    with tracking(tmp_path) as (file_tracker, (older, live), files):
        file_tracker.take((live,), files, at_end=False)

        gone = replace(older, relative=(*older.relative[:-1], "0.log.20261123-000000"))
        file_tracker.take((gone, live), files, at_end=False)
        assert [file_tracker.may_begin(file) for file in files] == [False]

        file_tracker.take((older, live), files, at_end=False)
        file_tracker.take((older, live), files, at_end=False)
        assert [file_tracker.may_begin(file) for file in files] == [True, True]


def test_an_empty_file_is_looked_at_again_too_so_that_its_first_line_need_not_wait(tmp_path: Path) -> None:
    container = Container(tmp_path)
    with tracking(tmp_path) as (file_tracker, first, files):
        file_tracker.take(first, files, at_end=False)
        file_tracker.take(first, files, at_end=False)
        container.write("1")
        container.rotate()
        ((_, found),) = Discovery(Tail(root=tmp_path)).look().items()

        file_tracker.take(found, files, at_end=False)
        assert file_tracker.wants_another_scan(files)

        file_tracker.take(found, files, at_end=False)
        assert not file_tracker.wants_another_scan(files)


def test_a_file_that_cannot_be_opened_may_be_a_copy_only_for_a_while(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1")
    with tracking(tmp_path) as (file_tracker, found, files):
        file_tracker.take(found, files, at_end=False)
        assert not file_tracker.may_find_copy_of(files[0])

        file_tracker.unsure = True
        assert file_tracker.may_find_copy_of(files[0])

        files[0].active_at -= SEARCH_SECONDS
        assert not file_tracker.may_find_copy_of(files[0])
