"""Many sources with a backlog each: they are scanned one after another, so that memory stays what it is."""

from pathlib import Path

from agent.tail.chunks import CHUNK_BYTES
from tests.tail.following import POD, Container, following

SOURCES = 6
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
