"""Partial records count in the budget, are bounded, and never keep reading from going on."""

from pathlib import Path

import pytest

from agent.core.proof.segment import FileDigest
from agent.core.reading.line_formats import Cri
from agent.flow.budget import Budget
from agent.tail.file_records import FileRecords
from agent.tail.partial_bytes import PartialBytes
from tests.tail.following import Container, following

MIB = 1 << 20
STAMP = b"2026-11-23T07:23:01.000000001Z stdout "


def pods(count: int) -> list[str]:
    return [f"falco_falco-{number:05d}_3f2b8a34-2f11-4a0a-9d6f-{number:012d}" for number in range(count)]


async def test_a_record_in_many_tiny_parts_counts_and_ships(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        for _ in range(70):
            container.raw((STAMP + b"P xx\n") * 10_000)
        await seen.until(lambda: seen.telemetry.value("read_bytes_total") >= 700_000 * 42)
        assert MIB <= seen.budget.used_bytes <= MIB + 64 * 1024
        container.raw(STAMP + b"F end\n")
        await seen.until(lambda: seen.payloads)
        assert seen.budget.used_bytes == 0

    (unusual,) = seen.chunks[0].records.unusual
    assert unusual.mark.size == 1_400_003


async def test_open_records_of_a_hundred_containers_stay_below_half_of_the_budget(tmp_path: Path) -> None:
    most = 0
    for number, pod in enumerate(pods(100)):
        container = Container(tmp_path, pod=pod)
        container.write(number)
        container.raw((STAMP + b"P " + b"y" * 16_000 + b"\n") * 65)
    async with following(tmp_path, budget_bytes=32 * MIB) as seen:

        def all_is_read() -> bool:
            nonlocal most
            most = max(most, seen.reader.partial_bytes)
            return all(file.unread == 0 for file in seen.reader.files) and len(list(seen.reader.files)) == 100

        await seen.until(all_is_read)
        whole = {payload for payload in seen.payloads if len(payload) < 10}
        for pod in pods(100):
            Container(tmp_path, pod=pod).raw(STAMP + b"F end\n")
        await seen.until(lambda: seen.reader.partial_bytes == 0)
        await seen.until(lambda: all(file.ledger.committed == file.end for file in seen.reader.files))
        assert seen.budget.used_bytes == 0

    assert whole == {b"%d" % number for number in range(100)}
    assert 8 * MIB < most <= 18 * MIB
    assert sum(payload.count(b"y") for payload in seen.payloads) == 100 * 65 * 16_000


async def test_long_lines_without_an_end_do_not_use_up_the_budget(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02d}.log" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(b'{"time":"2026-11-23T07:53:51.%09dZ","output":"' % number + b"z" * 900_000)
    async with following(None, paths=[f"{tmp_path}/*.log"], budget_bytes=4 * MIB) as seen:
        await seen.until(lambda: len(list(seen.reader.files)) == 20)
        await seen.until(lambda: all(file.unread == 0 for file in seen.reader.files))
        assert seen.reader.partial_bytes <= 3 * MIB
        for path in paths:
            with path.open("ab") as file:
                file.write(b'"}\n')
        await seen.until(lambda: all(file.ledger.committed == file.end for file in seen.reader.files))
        assert seen.budget.used_bytes == 0

    assert sum(payload.count(b"z") for payload in seen.payloads) == 20 * 900_000


async def test_what_a_closed_file_held_is_given_back(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write("x" * 1000, tag="P")
        await seen.until(lambda: seen.budget.used_bytes)
        container.rotate()
        container.write("y" * 1000, tag="P")
        await seen.until(lambda: seen.budget.used_bytes == 2000)

    assert seen.budget.used_bytes == 0


@pytest.mark.parametrize("limit_mib", [1, 8])
async def test_one_record_of_the_largest_size_is_never_cut(limit_mib: int) -> None:
    budget = Budget(limit_mib * MIB)
    partials = PartialBytes(budget, MIB)
    file = FileRecords(FileDigest("id"), Cri(), MIB)

    async def close() -> None:
        raise AssertionError("cut")

    file.join(file.cut(STAMP + b"P " + b"x" * MIB + b"\n", 0.0))
    partials.note(file, close)
    await partials.bound()

    assert budget.used_bytes == file.held_bytes == MIB
