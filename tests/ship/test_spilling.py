"""A stream that accepts nothing for hours leaves the memory to the others: its alerts wait on disk."""

import asyncio
import os
from pathlib import Path

import pytest

from agent.core.values import Lane, PutReply
from agent.errors import Denied, SpillUnreadable, Unavailable
from agent.flow.shares import ASK_SECONDS
from agent.ship.spill_file import Spilled, SpillFile
from tests.core.batching.spans import span_of
from tests.ship.lanes import Lanes, lanes, now

MIB = 1 << 20
BUDGET_BYTES = 4 * MIB
URGENT, ROUTINE = "urgent", "routine"


async def denied(messages: list[str]) -> PutReply | None:
    raise Denied("AccessDeniedException: not authorized to perform logs:PutLogEvents", reason="AccessDeniedException")


async def unavailable(messages: list[str]) -> PutReply | None:
    raise Unavailable("no answer", reason="timeout")


async def read_on(running: Lanes, *, seconds: int, size: int = 1000) -> None:
    """Reads forty urgent alerts and one routine alert a second, as long as the budget has room."""
    for second in range(seconds):
        if running.budget.used_bytes < running.budget.limit_bytes:
            running.accept(*(f"urgent {second} {number} ".ljust(size, "x") for number in range(40)), lane=Lane.URGENT)
            running.accept(f"routine {second}")
        await asyncio.sleep(1.0)


@pytest.mark.looptime
async def test_a_stream_that_is_denied_for_hours_leaves_the_memory_to_the_others(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 64 * MIB)
    async with lanes(budget_bytes=BUDGET_BYTES, spill=disk) as running:
        running.sink.faults[URGENT] = denied
        await read_on(running, seconds=1200)

        assert len(running.sink.messages(ROUTINE)) == 1200
        assert running.budget.used_bytes < BUDGET_BYTES // 2
        assert running.ledger.in_flight == 1200 * 40
        assert 0 < disk.used_bytes < 16 * MIB
        running.assert_books_balance()

        del running.sink.faults[URGENT]
        await running.shipper.drain()

        arrived = running.sink.messages(URGENT)
        assert (len(arrived), len(set(arrived))) == (1200 * 40, 1200 * 40)
        assert (running.ledger.committed, running.ledger.in_flight) == (running.ledger.end, 0)
        assert (running.budget.used_bytes, disk.used_bytes) == (0, 0)
        running.assert_books_balance()


@pytest.mark.looptime
async def test_in_an_outage_of_cloudwatch_the_alerts_stay_in_the_log_files(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 64 * MIB)
    async with lanes(budget_bytes=BUDGET_BYTES, spill=disk) as running:
        running.sink.faults = {URGENT: unavailable, ROUTINE: unavailable}
        await read_on(running, seconds=150)

        assert disk.used_bytes == 0
        assert running.budget.used_bytes >= BUDGET_BYTES
        running.sink.faults.clear()
        await running.shipper.drain()
        assert running.ledger.in_flight == 0


@pytest.mark.looptime
async def test_in_an_outage_with_alerts_of_one_stream_only_nothing_moves_to_disk(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 64 * MIB)
    async with lanes(budget_bytes=BUDGET_BYTES, spill=disk) as running:
        running.accept("urgent", lane=Lane.URGENT)
        await running.shipper.drain()
        running.sink.faults = {URGENT: unavailable, ROUTINE: unavailable}
        for second in range(100):
            running.accept(*(f"routine {second} {number} ".ljust(1000, "x") for number in range(40)))
            await asyncio.sleep(1.0)

        assert disk.used_bytes == 0
        assert running.budget.used_bytes >= BUDGET_BYTES
        assert running.sink.puts[URGENT] <= 1 + 100 / ASK_SECONDS  # the idle stream is asked, and has no answer


@pytest.mark.looptime
async def test_a_stream_that_is_idle_is_asked_whether_the_denied_stream_alone_is_stuck(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 64 * MIB)
    async with lanes(budget_bytes=BUDGET_BYTES, spill=disk) as running:
        running.accept("routine 0")
        await running.shipper.drain()
        running.sink.faults[URGENT] = denied
        for second in range(300):
            if running.budget.used_bytes < running.budget.limit_bytes:
                running.accept(
                    *(f"urgent {second} {number} ".ljust(1000, "x") for number in range(40)), lane=Lane.URGENT
                )
            await asyncio.sleep(1.0)

        routine, control = running.sink.messages(ROUTINE)
        assert (routine, "Falcowatch: control" in control) == ("routine 0", True)
        assert running.ledger.in_flight == 300 * 40
        assert running.budget.used_bytes < BUDGET_BYTES // 2
        assert disk.used_bytes > 0
        running.assert_books_balance()
        del running.sink.faults[URGENT]
        await running.shipper.drain()
        assert running.ledger.in_flight == 0


@pytest.mark.looptime
async def test_alerts_that_the_disk_does_not_take_stay_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SpillFile(tmp_path, 60_000)
    async with lanes(budget_bytes=BUDGET_BYTES, spill=disk) as running:
        running.sink.faults[URGENT] = denied
        await read_on(running, seconds=450, size=2000)

        assert 0 < disk.used_bytes <= 60_000
        assert running.budget.used_bytes >= BUDGET_BYTES
        assert "cannot wait on disk" in caplog.text
        del running.sink.faults[URGENT]
        await running.shipper.drain()
        assert running.ledger.in_flight == 0
        assert running.budget.used_bytes == 0


@pytest.mark.looptime
async def test_a_directory_that_cannot_be_written_costs_no_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with lanes(budget_bytes=BUDGET_BYTES, spill=SpillFile(tmp_path / "missing", MIB)) as running:
        running.sink.faults[URGENT] = denied
        await read_on(running, seconds=200)

        assert "cannot wait on disk" in caplog.text
        del running.sink.faults[URGENT]
        await running.shipper.drain()
        assert running.ledger.in_flight == 0


@pytest.mark.looptime
async def test_rare_alerts_of_a_stream_that_is_denied_for_hours_take_bounded_memory(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 64 * MIB)
    async with lanes(budget_bytes=2 * MIB, spill=disk) as running:
        running.sink.faults[URGENT] = denied
        for number in range(6500):
            running.accept(f"urgent {number}", lane=Lane.URGENT)
            if number % 20 == 0:
                running.accept(f"routine {number}")
            await asyncio.sleep(0.5)

        queue = next(queue for queue in running.shipper.queues if queue.lane is Lane.URGENT)
        heads = sum(len(block.heads) for block in queue.spilled)
        assert heads < 4000
        assert queue.records == 6500
        assert queue.oldest_read_at is not None
        assert now() - queue.oldest_read_at > 3000
        del running.sink.faults[URGENT]
        await running.shipper.drain()
        assert running.ledger.in_flight == 0


@pytest.mark.looptime
async def test_events_that_cannot_be_read_back_end_the_agent_so_that_it_reads_the_log_files_again(
    tmp_path: Path,
) -> None:
    async with lanes(budget_bytes=BUDGET_BYTES, spill=SpillFile(tmp_path, 64 * MIB)) as running:
        running.sink.faults[URGENT] = denied
        await read_on(running, seconds=200)
        queue = next(queue for queue in running.shipper.queues if queue.lane is Lane.URGENT)
        os.ftruncate(queue.spilled[0].block.segment.file.fileno(), 10)
        del running.sink.faults[URGENT]

        with pytest.raises(ExceptionGroup) as raised:
            await running.running

        assert raised.group_contains(SpillUnreadable, match="the next start of the agent reads them")
        assert running.ledger.committed < running.ledger.end


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, MIB)
    disk.spill([span_of((1, "a"))])
    disk.close()

    assert disk.spill([span_of((1, "a"))]) is None
    assert disk.used_bytes == 0


def test_the_disk_space_of_events_that_were_read_becomes_free(tmp_path: Path) -> None:
    disk = SpillFile(tmp_path, 100 * MIB)
    spans = [span_of((1_800_000_000_000, os.urandom(3 * MIB).hex()), size=1) for _ in range(7)]

    spilled = [block for span in spans if (block := disk.spill([span])) is not None]
    assert len(spilled) == 7
    sizes = [disk.used_bytes]
    loaded = []
    for block in spilled:
        assert isinstance(block, Spilled)
        loaded += disk.load(block)
        sizes.append(disk.used_bytes)

    assert [span.messages for span in loaded] == [span.messages for span in spans]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2
    assert (sizes[-1], list(tmp_path.iterdir())) == (0, [])
