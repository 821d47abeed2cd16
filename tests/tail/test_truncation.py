"""Files that are truncated, overwritten or copied: logrotate with copytruncate, and writers that start again."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.tail.file_state import LOOKS_FOR_A_COPY, SETTLE_SECONDS
from tests.tail.following import Container, compress, copytruncate, following, plain_alert


@pytest.mark.parametrize("packed", [False, True])
async def test_what_copytruncate_left_unread_is_read_from_the_copy(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        copytruncate(path, tmp_path / "falco.log.1")
        if packed:
            compress(tmp_path / "falco.log.1")
        with path.open("ab") as file:
            file.write(plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 4)

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


async def test_a_compressed_copy_is_waited_for_until_it_was_decompressed(tmp_path: Path) -> None:
    """Decompressing a large copy to find the place in it takes longer than a missing copy is waited for."""
    path, decompress = tmp_path / "falco.log", threading.Event()
    path.write_bytes(plain_alert(1))
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        await seen.looks()
        busy = asyncio.get_running_loop().run_in_executor(None, decompress.wait)
        copytruncate(path, tmp_path / "falco.log.1")
        os.utime(compress(tmp_path / "falco.log.1"), (1, 1))
        with path.open("ab") as file:
            file.write(plain_alert(4))
        seen.settle()
        await asyncio.sleep(SETTLE_SECONDS + 0.2)
        await seen.looks(LOOKS_FOR_A_COPY + 1)
        decompress.set()
        await busy
        await seen.until(lambda: len(seen.payloads) == 4)

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


async def test_a_copy_that_is_still_being_made_is_waited_for(tmp_path: Path) -> None:
    path, copy = tmp_path / "falco.log", tmp_path / "falco.log.1"
    path.write_bytes(plain_alert(1) + plain_alert(2))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
        copy.write_bytes(plain_alert(1))
        await seen.looks(3)
        with copy.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(plain_alert(4))
        await seen.until(lambda: len(seen.payloads) == 4)
        await seen.looks()

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


async def test_a_file_truncated_before_its_turn_came_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: seen.chunks)
        path.rename(tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await seen.looks()
        second = list(seen.reader.files)[1]
        copytruncate(path, tmp_path / "falco.log.0")
        path.write_bytes(plain_alert(3) + plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 4)

    assert sorted(seen.payloads) == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert [c.records.payloads for c in seen.chunks if c.file_id == second.id] == [[plain_alert(2)[:-1]]]


async def test_what_was_truncated_away_without_a_copy_is_an_exact_gap(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        await seen.looks()
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 2)

    size = len(plain_alert(1))
    assert [(gap.start, gap.end, gap.why) for gap in seen.gaps] == [(size, 3 * size, "truncated")]
    assert seen.payloads[-1] == plain_alert(4)[:-1]


async def test_a_file_truncated_and_written_anew_beyond_where_it_was_read_is_seen_to_be_another(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1) + plain_alert(2))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
        with path.open("r+b") as file:
            file.write(b"".join(map(plain_alert, range(3, 9))))
        await seen.until(lambda: len(seen.payloads) == 8)

    assert seen.payloads == [plain_alert(number)[:-1] for number in range(1, 9)]
    before, *after = dict.fromkeys((chunk.file_id, chunk.records.offsets[0]) for chunk in seen.chunks)
    assert after[0][0] != before[0]
    assert before[1] == after[0][1] == 0


async def test_a_file_truncated_while_the_agent_is_stopped_is_read_from_its_copy_and_then_anew(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    with path.open("ab") as file:
        file.write(plain_alert(2))
    copytruncate(path, tmp_path / "falco.log.1")
    with path.open("ab") as file:
        file.write(b"".join(map(plain_alert, range(3, 9))))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.until(lambda: len(second.payloads) == 7)
        assert second.payloads == [plain_alert(number)[:-1] for number in range(2, 9)]
        assert not second.gaps


async def test_a_deleted_and_recreated_file_is_another_one_even_when_it_begins_alike(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(b"Falco starts\n" + plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 2)
        path.unlink()
        path.write_bytes(b"Falco starts\n" + plain_alert(2))
        await first.until(lambda: len(first.payloads) == 4)
        ids = {chunk.file_id for chunk in first.chunks}
    positions = first.reader.positions()
    path.unlink()
    path.write_bytes(b"Falco starts\n" + plain_alert(3) + plain_alert(4))

    async with following(None, paths=[str(path)], positions=positions) as second:
        await second.until(lambda: len(second.payloads) == 3)
        ids |= {chunk.file_id for chunk in second.chunks}

    assert len(ids) == 3


async def test_a_writer_that_does_not_know_that_its_file_was_deleted_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    with path.open("ab", buffering=0) as writer:
        async with following(None, paths=[str(path)]) as seen:
            await seen.until(lambda: len(seen.payloads) == 1)
            path.unlink()
            await seen.looks(3)
            writer.write(plain_alert(2))
            await seen.until(lambda: len(seen.payloads) == 2)


async def test_a_node_that_lost_power_before_the_disk_had_all_of_a_file_goes_on_at_its_end(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1, 2, 3)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1, 2, 3])
    os.truncate(container.path, container.path.stat().st_size // 3 * 2)
    os.utime(container.path, (1000, 1000))

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.looks()
        container.write(4)
        await second.until(lambda: second.numbers == [4])
        assert second.chunks[0].file_id != first.chunks[0].file_id
