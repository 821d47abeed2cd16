"""When the save loop looks for progress, and what it does about a disk that refuses the checkpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.progress import SAVE_ANYHOW_SECONDS, SAVE_SECONDS, Progress
from agent.tail.checkpoint import Checkpoint, PendingEvent, Position
from agent.tail.saves import Saves
from agent.telemetry import Telemetry

pytestmark = pytest.mark.looptime


class Readings:
    """Stands for reader and outbox: positions that the test moves. Counts how often they were looked at."""

    def __init__(self) -> None:
        self.offset = 0
        self.is_busy = False
        self.looks = 0
        self.pending: list[PendingEvent] = []
        self.saves = Saves(asyncio.Event())

    @property
    def progress(self) -> tuple[int, ...]:
        self.looks += 1
        return (self.offset,)

    def positions(self) -> dict[str, Position]:
        return {"file": Position("/a.log", self.offset)}


@asynccontextmanager
async def saving(
    place: Path, read: Readings, moved: asyncio.Event, telemetry: Telemetry | None = None
) -> AsyncIterator[list[str | None]]:
    checkpoint = Checkpoint(place / "state")
    checkpoint.open()
    saves: list[str | None] = []
    progress = Progress(
        read,  # type: ignore[arg-type]
        read,  # type: ignore[arg-type]
        checkpoint,
        None,
        telemetry or Telemetry("test"),
        moved=moved,
        saved=saves.append,
    )
    task = asyncio.create_task(progress.run())
    try:
        yield saves
    finally:
        task.cancel()
        await asyncio.wait([task])
        checkpoint.close()


async def test_the_loop_sleeps_while_nothing_moves_and_saves_soon_after_something_has(tmp_path: Path) -> None:
    read, moved = Readings(), asyncio.Event()
    async with saving(tmp_path, read, moved) as saves:
        await asyncio.sleep(2)
        assert read.looks == len(saves) == 1  # the first save
        await asyncio.sleep(20)
        assert read.looks == 1

        read.offset = 7
        moved.set()
        await asyncio.sleep(2 * SAVE_SECONDS)

        assert len(saves) == 2
        assert b'"offset":7' in (tmp_path / "state" / "checkpoint.json").read_bytes()


async def test_the_loop_looks_four_times_a_second_until_everything_is_settled(tmp_path: Path) -> None:
    read, moved = Readings(), asyncio.Event()
    async with saving(tmp_path, read, moved) as saves:
        await asyncio.sleep(2)
        read.is_busy = True
        moved.set()
        await asyncio.sleep(3)
        read.offset = 9  # acknowledged long after it was read, and nobody says so
        await asyncio.sleep(2 * SAVE_SECONDS)
        assert len(saves) == 2

        read.is_busy = False
        await asyncio.sleep(2 * SAVE_SECONDS)
        looks = read.looks
        await asyncio.sleep(10)
        assert read.looks == looks


async def test_a_save_is_due_after_a_while_although_nothing_has_moved(tmp_path: Path) -> None:
    read, moved = Readings(), asyncio.Event()
    async with saving(tmp_path, read, moved) as saves:
        await asyncio.sleep(3 * SAVE_ANYHOW_SECONDS)

        assert len(saves) >= 2


async def test_a_save_that_failed_is_counted_and_tried_again_although_nothing_has_moved_since(tmp_path: Path) -> None:
    read, moved, telemetry = Readings(), asyncio.Event(), Telemetry("test")
    async with saving(tmp_path, read, moved, telemetry) as saves:
        await asyncio.sleep(2)
        blocking = tmp_path / "state" / "checkpoint.new.json"
        blocking.mkdir()
        read.offset = 3
        moved.set()
        await asyncio.sleep(2 * SAVE_SECONDS)
        assert saves[-1] is not None
        assert telemetry.value("checkpoint_errors_total") == len([save for save in saves if save is not None])

        blocking.rmdir()
        await asyncio.sleep(4 * SAVE_SECONDS)
        assert saves[-1] is None
