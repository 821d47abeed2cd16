"""Writes that come when nobody expects them any more: to rotated, deleted and closed files."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from agent.tail import file_state, retained
from agent.tail.writers import has_writer
from tests.tail.following import Container, compress, following, plain_alert


@pytest.fixture(autouse=True)
def soon_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "LATE_SECONDS", 0.1)
    monkeypatch.setattr("agent.tail.tracked_file.LATE_SECONDS", 0.1)


def line(number: int) -> bytes:
    return b"2026-11-23T07:23:02.%09dZ stdout F %d\n" % (number, number)


async def test_a_write_to_a_rotated_file_long_after_its_last_one_is_read(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    with container.path.open("ab", buffering=0) as writer:
        async with following(tmp_path) as seen:
            await seen.until(lambda: seen.numbers == [1])
            container.rotate()
            container.write(2)
            await seen.until(lambda: seen.numbers == [1, 2])
            await asyncio.sleep(0.5)
            writer.write(line(3))
            await seen.until(lambda: seen.numbers == [1, 2, 3])

    assert not seen.gaps


async def test_a_write_to_a_rotated_file_that_was_closed_is_read(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as seen:
        rotated = container.rotate()
        container.write(2)
        await seen.until(lambda: seen.numbers == [1, 2] and len(list(seen.reader.files)) == 1)
        container.write(3, to=rotated)
        await seen.until(lambda: seen.numbers == [1, 2, 3])
        await seen.until(lambda: len(list(seen.reader.files)) == 1)
        container.write(4, to=rotated)
        await seen.until(lambda: seen.numbers == [1, 2, 3, 4])

    assert not seen.gaps


@pytest.mark.parametrize("packed", [False, True])
async def test_a_write_to_a_closed_file_while_the_agent_is_stopped_is_read(tmp_path: Path, packed: bool) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        rotated = container.rotate()
        container.write(2)
        await first.until(lambda: first.numbers == [1, 2] and len(list(first.reader.files)) == 1)
    container.write(3, to=rotated)
    if packed:
        compress(rotated)

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.numbers == [3])
        await second.looks()

    assert second.numbers == [3]
    assert not second.gaps


async def test_the_live_log_that_was_deleted_is_read_as_long_as_its_writer_has_it_open(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    with container.path.open("ab", buffering=0) as writer:
        async with following(tmp_path) as seen:
            await seen.until(lambda: seen.numbers == [1])
            container.path.unlink()
            for number in range(2, 6):
                await asyncio.sleep(0.2)
                writer.write(line(number))
            await seen.until(lambda: seen.numbers == [1, 2, 3, 4, 5])
            writer.close()
            await seen.until(lambda: not list(seen.reader.files))

    assert not seen.gaps


async def test_the_whole_pod_directory_deleted_under_its_writer_is_read_too(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    with container.path.open("ab", buffering=0) as writer:
        async with following(tmp_path) as seen:
            await seen.until(lambda: seen.numbers == [1])
            shutil.rmtree(container.directory.parent)
            await asyncio.sleep(0.3)
            writer.write(line(2))
            await seen.until(lambda: seen.numbers == [1, 2])


async def test_a_deleted_log_with_a_successor_is_read_beside_it(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    with container.path.open("ab", buffering=0) as writer:
        async with following(tmp_path) as seen:
            await seen.until(lambda: seen.numbers == [1])
            container.path.unlink()
            container.write(2)
            await seen.until(lambda: seen.numbers == [1, 2])
            await asyncio.sleep(0.3)
            writer.write(line(3))
            await seen.until(lambda: seen.numbers == [1, 2, 3])


async def test_more_deleted_files_with_writers_than_may_stay_open_are_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "MOST_ENDED", 0)
    container = Container(tmp_path)
    container.write(1)
    with container.path.open("ab", buffering=0):
        async with following(tmp_path) as seen:
            await seen.until(lambda: seen.numbers == [1])
            container.path.unlink()
            container.write(2)
            await seen.until(lambda: seen.gaps)
            await seen.looks()

    assert [(gap.why, gap.at_least) for gap in seen.gaps] == [("deleted while it was written to", True)]


async def test_a_file_that_is_written_again_is_read_though_a_later_one_is_being_read(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        path.rename(tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await seen.until(lambda: len(seen.payloads) == 2 and len(list(seen.reader.files)) == 1)
        with (tmp_path / "falco.log.1").open("ab") as late:
            late.write(plain_alert(3))
        await seen.until(lambda: len(seen.payloads) == 3)


def test_the_kernel_tells_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch()
    reader = os.open(path, os.O_RDONLY)
    try:
        assert has_writer(reader) is False
        with path.open("ab"):
            assert has_writer(reader) is True
        assert has_writer(reader) is False
        assert has_writer(99_999) is None
    finally:
        os.close(reader)
