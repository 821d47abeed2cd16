"""The writer over a real disk: dead letters are counted once written, held while the disk refuses, or announced."""

import asyncio
from pathlib import Path

import pytest

from agent.core.dead_letter import DeadLetter
from agent.deadletters.store import DeadLetterStore, read_dead_letters
from agent.deadletters.writer import MOST_HELD_BYTES, DeadLetterWriter
from agent.telemetry import Telemetry
from tests.deadletters.test_store import a_dead_letter


class Disk:
    """A directory that can be occupied by a file, which makes every write fail."""

    def __init__(self, path: Path) -> None:
        self.path = path / "dead-letters"
        self.lost: list[DeadLetter] = []
        self.telemetry = Telemetry("test")
        self.writer = DeadLetterWriter(DeadLetterStore(self.path), self.telemetry, announce=self.lost.append)

    def refuse(self) -> None:
        self.path.write_text("a file where the directory should be")

    def repair(self) -> None:
        self.path.unlink()

    @property
    def offsets(self) -> list[int]:
        return sorted(found.offset for found in read_dead_letters(self.path))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def until_failed(disk: Disk) -> None:
    async with asyncio.timeout(20):
        while disk.writer.problem is None:
            await asyncio.sleep(0.01)


async def test_a_dead_letter_is_counted_once_it_is_written(disk: Disk) -> None:
    await disk.writer.write([a_dead_letter(offset=1), a_dead_letter(offset=2, reason="invalid")])

    assert disk.offsets == [1, 2]
    assert disk.writer.written == {"too_old": 1, "invalid": 1}
    assert disk.telemetry.value("dead_letters_total", reason="too_old") == 1


async def test_a_dead_letter_that_the_disk_refuses_is_written_when_the_disk_is_well_again(disk: Disk) -> None:
    disk.refuse()
    writing = asyncio.create_task(disk.writer.write([a_dead_letter(offset=1)]))
    await until_failed(disk)
    assert not writing.done()
    assert disk.writer.written == {}
    assert disk.telemetry.total("dead_letters_total") == 0

    disk.repair()
    async with asyncio.timeout(20):
        await writing

    assert disk.offsets == [1]
    assert disk.writer.problem is None
    assert disk.writer.written == {"too_old": 1}
    assert disk.lost == []


async def test_beyond_a_mebibyte_of_held_dead_letters_the_others_are_announced_as_lost(disk: Disk) -> None:
    disk.refuse()
    half = b"x" * (MOST_HELD_BYTES // 2)
    writing = [asyncio.create_task(disk.writer.write([a_dead_letter(half, offset=offset)])) for offset in range(4)]
    async with asyncio.timeout(20):
        while sum(task.done() for task in writing) < 2:
            await asyncio.sleep(0.01)
    assert len(disk.lost) == 2
    assert disk.telemetry.value("dead_letters_lost_total", reason="too_old") == 2

    disk.repair()
    async with asyncio.timeout(40):
        await asyncio.gather(*writing)

    assert len(disk.offsets) == 2
    assert disk.writer.written.total() + disk.writer.lost.total() == 4
    await disk.writer.write([a_dead_letter(half, offset=9)])
    assert 9 in disk.offsets


async def test_a_cancelled_write_gives_its_room_back(disk: Disk) -> None:
    disk.refuse()
    whole = b"x" * MOST_HELD_BYTES
    for offset in range(3):
        writing = asyncio.create_task(disk.writer.write([a_dead_letter(whole, offset=offset)]))
        await asyncio.sleep(0.2)
        writing.cancel()
        await asyncio.wait([writing])

    assert disk.lost == []


async def test_what_is_held_without_waiting_is_written_later_or_announced_at_the_end(disk: Disk) -> None:
    disk.refuse()
    running = asyncio.create_task(disk.writer.run())
    await disk.writer.write_or_hold([a_dead_letter(offset=1, reason="truncated")])
    await asyncio.sleep(0)
    disk.repair()
    running.cancel()
    await asyncio.wait([running])
    assert disk.offsets == [1]

    disk.path.rename(disk.path.with_name("moved"))
    disk.refuse()
    running = asyncio.create_task(disk.writer.run())
    await disk.writer.write_or_hold([a_dead_letter(offset=2, reason="truncated")])
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert [one.offset for one in disk.lost] == [2]


async def test_the_loss_of_an_event_of_our_own_is_not_announced(disk: Disk) -> None:
    disk.refuse()
    own = a_dead_letter(b"x" * (MOST_HELD_BYTES + 1), file="")

    await disk.writer.write([own])

    assert disk.lost == []
    assert disk.writer.lost == {"too_old": 1}
