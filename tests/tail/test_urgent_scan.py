"""The urgent scan of many sources is one after another; it goes on while reading is stuck; its share is bounded."""

from pathlib import Path

from agent.tail.chunks import CHUNK_BYTES
from agent.tail.urgent_scan import MOST_AHEAD, WINDOW_BYTES
from tests.tail.following import POD, Container, following

SOURCES = 6
BUDGET = 1 << 30
CRITICAL = '{"priority":"Critical","rule":"R","output_fields":{},"time":"2026-11-23T07:53:51.905525426Z"}'
NOTICE = CRITICAL.replace("Critical", "Notice")


async def test_only_one_source_is_scanned_ahead_at_a_time_and_every_one_in_the_end(tmp_path: Path) -> None:
    for number in range(SOURCES):
        container = Container(tmp_path, pod=f"{POD[:-1]}{number}")
        container.write(*[NOTICE] * 3000, CRITICAL)
    async with following(tmp_path, budget_bytes=CHUNK_BYTES, settles=False, express_bytes=100_000) as seen:
        await seen.until(lambda: any(file.scan_ledger.scanned for file in seen.reader.files))
        await seen.looks(3)
        assert [bool(file.scan_ledger.scanned) for file in seen.reader.files].count(True) == 1
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == SOURCES * 3001)
        assert seen.payloads.count(CRITICAL.encode()) == SOURCES


async def test_while_reading_waits_for_the_budget_new_criticals_are_delivered_without_a_backlog(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(*[NOTICE] * 6000)
    async with following(
        tmp_path, budget_bytes=3 * CHUNK_BYTES, reserve_bytes=CHUNK_BYTES, settles=False, express_bytes=1 << 30
    ) as seen:
        await seen.until(lambda: seen.budget.waiting_seconds > 0)
        container.write(CRITICAL)
        await seen.until(lambda: seen.payloads.count(CRITICAL.encode()) == 1)
        container.write(CRITICAL)
        await seen.until(lambda: seen.payloads.count(CRITICAL.encode()) == 2)

        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 6002)
        assert seen.payloads.count(CRITICAL.encode()) == 2


async def test_the_urgent_scan_stops_at_its_share_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(*[NOTICE] * 6000, *[CRITICAL] * 30_000)
    held = 1 << 30
    async with following(
        tmp_path,
        budget_bytes=3 * CHUNK_BYTES,
        reserve_bytes=CHUNK_BYTES,
        settles=False,
        express_bytes=1000,
        urgent_bytes=lambda: held,
    ) as seen:
        await seen.until(lambda: seen.budget.waiting_seconds > 0)
        await seen.looks(3)
        assert CRITICAL.encode() not in seen.payloads

        held = 0
        await seen.until(lambda: CRITICAL.encode() in seen.payloads)


async def test_the_urgent_scan_is_bounded_ahead_of_ordinary_reading_and_goes_on_when_reading_does(
    tmp_path: Path,
) -> None:
    many = 3 * MOST_AHEAD
    container = Container(tmp_path)
    container.write(*[NOTICE] * 6000, *[CRITICAL] * many)
    async with following(
        tmp_path, budget_bytes=BUDGET, reserve_bytes=BUDGET - 3 * CHUNK_BYTES, settles=False, express_bytes=1000
    ) as seen:
        await seen.until(lambda: seen.payloads.count(CRITICAL.encode()) >= MOST_AHEAD)
        await seen.looks(3)
        ahead = seen.payloads.count(CRITICAL.encode())
        assert MOST_AHEAD <= ahead < MOST_AHEAD + WINDOW_BYTES // len(CRITICAL)
        await seen.looks(3)
        assert seen.payloads.count(CRITICAL.encode()) == ahead

        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 6000 + many)
        assert seen.payloads.count(CRITICAL.encode()) == many
