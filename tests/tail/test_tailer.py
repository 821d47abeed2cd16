"""A log is followed as it is written, and read on where the last run has stopped."""

import asyncio
import os
from pathlib import Path

import pytest

from agent.tail.chunks import CHUNK_BYTES
from agent.tail.types import Chunk
from tests.tail.following import UID, Container, following, plain_alert


async def test_lines_are_delivered_in_order_as_they_are_written(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write(1, 2)
        await seen.until(lambda: seen.numbers == [1, 2])
        container.write(3)
        await seen.until(lambda: seen.numbers == [1, 2, 3])

    assert seen.chunks[0].namespace == "falco"
    assert seen.budget.used_bytes == 0


async def test_what_was_not_settled_is_read_again(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1, 2)
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: first.numbers == [1, 2])

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.numbers == [1, 2])
        assert second.chunks[0].records.offsets == first.chunks[0].records.offsets


async def test_the_log_of_a_restarted_container_is_another_source_and_the_old_one_is_read_to_its_end(
    tmp_path: Path,
) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, budget_bytes=1, settles=False) as seen:
        container.write(1)
        await seen.until(lambda: seen.chunks)
        container.write(2, 3)
        again = Container(tmp_path, restart=1)
        again.write(4)
        await seen.looks()
        container.path.unlink()
        await seen.looks()
        seen.settle()
        await seen.until(lambda: len(seen.numbers) == 4)

    assert sorted(seen.numbers) == [1, 2, 3, 4]
    assert not seen.gaps


async def test_files_that_are_all_behind_are_read_one_chunk_a_round_of_the_loop(tmp_path: Path) -> None:
    lines = 3 * CHUNK_BYTES // 1000
    for number in range(3):
        Container(tmp_path, pod=f"falco_falco-{number}_{UID[:-1]}{number}").write(*["x" * 1000] * lines)
    rounds = 0
    arrived_in: list[int] = []

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    class Noting(list[Chunk]):
        def append(self, chunk: Chunk) -> None:
            arrived_in.append(rounds)
            super().append(chunk)

    counting = asyncio.create_task(count())
    async with following(tmp_path) as seen:
        seen.chunks = Noting()
        await seen.until(lambda: len(seen.payloads) == 3 * lines)
    counting.cancel()

    assert len(arrived_in) > 9
    assert len(set(arrived_in)) == len(arrived_in)


async def test_the_first_line_of_an_empty_file_does_not_wait_for_the_next_scan(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, scan_seconds=60) as seen:
        await seen.until(lambda: seen.reader.looked)
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])


async def test_a_log_of_another_pod_or_container_is_not_read(tmp_path: Path) -> None:
    other = Container(tmp_path, pod="falco_nginx-x_3f2b8a34-2f11-4a0a-9d6f-0c5b8f6a7e12")
    other.write(1)
    mine = Container(tmp_path)
    mine.write(2)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [2])
        await seen.looks()

    assert seen.numbers == [2]


@pytest.mark.parametrize("swap", ["link", "fifo", "directory"])
async def test_what_is_no_regular_file_of_the_root_is_not_read(tmp_path: Path, swap: str) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"2026-11-23T07:23:01.000000001Z stdout F 9\n")
    container = Container(tmp_path / "pods")
    container.path.unlink()
    if swap == "link":
        container.path.symlink_to(outside)
    elif swap == "fifo":
        os.mkfifo(container.path)
    else:
        container.path.mkdir()
    async with following(tmp_path / "pods") as seen:
        await seen.looks(3)

    assert not seen.chunks


async def test_the_budget_stops_reading_until_something_is_settled(tmp_path: Path) -> None:
    container = Container(tmp_path)
    for _ in range(8):
        container.write(*["x" * 1000] * 200)
    async with following(tmp_path, budget_bytes=300_000, settles=False) as seen:
        await seen.until(lambda: seen.budget.has_waiters)
        assert seen.budget.used_bytes <= 300_000
        assert len(seen.payloads) < 400
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 1600)


async def test_a_file_in_two_globs_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[f"{tmp_path}/*.log", str(path), f"{tmp_path}/falco*"]) as seen:
        await seen.until(lambda: seen.payloads)
        path.rename(tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await seen.until(lambda: len(seen.payloads) == 2)
        await seen.looks(3)

    assert len(seen.payloads) == 2
