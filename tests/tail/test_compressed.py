"""Compressed rotations: every format is read, and of a damaged file everything before the damage."""

import asyncio
import bz2
import gzip
import lzma
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from agent.tail.compressed import CompressedBytes
from agent.tail.content import DamagedLog, LogBytes
from agent.tail.open_log import open_log
from tests.tail.following import Container, compress, following, plain_alert

ZSTD = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": ZSTD.compress,
}


def everything(content: LogBytes, piece: int = 1 << 18) -> tuple[bytes, str]:
    """All bytes that can be read, and how reading ended."""
    data = b""
    try:
        while more := content.read(piece):
            data += more
    except DamagedLog as error:
        return data, str(error.strerror)
    return data, ""


@pytest.mark.parametrize("kind", COMPRESS)
async def test_a_rotated_log_is_read_in_every_format(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    data = path.read_bytes() + b"".join(map(plain_alert, range(2, 3000)))
    packed = tmp_path / f"falco.log.1.{kind}"
    packed.write_bytes(COMPRESS[kind](data))
    os.utime(packed, (1000, 1000))
    path.write_bytes(plain_alert(3000))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.until(lambda: len(second.payloads) == 2999)
        await second.looks(3)

    assert second.payloads == [plain_alert(number)[:-1] for number in range(2, 3001)]
    assert not second.gaps


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("flavour", ["members", "truncated", "checksum", "middle", "padding"])
def test_everything_before_the_damage_is_read(tmp_path: Path, kind: str, flavour: str) -> None:
    data = b"".join(map(plain_alert, range(20_000)))
    packed = COMPRESS[kind](data)
    damaged = packed
    # bzip2, xz and zstd decode in blocks; the test's data is less than two blocks of bzip2.
    least = {"gz": len(data) // 2, "bz2": -1, "xz": 0, "zst": 0}
    if flavour == "members":
        damaged = COMPRESS[kind](data[:1000]) + COMPRESS[kind](data[1000:])
    elif flavour == "truncated":
        damaged = packed[: len(packed) * 2 // 3]
    elif flavour == "checksum":
        damaged = packed[:-6] + bytes([packed[-6] ^ 0xFF]) + packed[-5:]
    elif flavour == "middle":
        half = len(packed) * 2 // 3
        damaged = packed[:half] + bytes(byte ^ 0x55 for byte in packed[half : half + 50]) + packed[half + 50 :]
    elif flavour == "padding" and kind in ("gz", "xz"):
        damaged = packed + b"\0" * 512
    path = tmp_path / f"a.{kind}"
    path.write_bytes(damaged)
    content = open_log(tmp_path, (path.name,), (), kind)

    seen, why = everything(content)

    if flavour in ("members", "padding"):
        assert (seen, why) == (data, "")
    else:
        assert "is damaged" in why
        assert data.startswith(seen) or flavour == "middle"
        assert len(seen) > least[kind]
        if flavour == "checksum" and kind == "gz":
            assert seen == data
    content.close()


@pytest.mark.parametrize("damage", ["head", "empty", "text"])
async def test_a_compressed_log_whose_head_is_damaged_is_a_gap(tmp_path: Path, damage: str) -> None:
    container = Container(tmp_path)
    container.write(1, 2)
    packed = compress(container.rotate())
    container.write(3)
    packed.write_bytes({"head": b"\xff" * 10 + packed.read_bytes()[10:], "empty": b"", "text": b"no gzip"}[damage])
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [3])
        await seen.until(lambda: seen.gaps)
        await seen.looks(3)

    assert [(gap.path, gap.why, gap.at_least) for gap in seen.gaps] == [(str(packed), "damaged", True)]


async def test_the_gap_of_a_damaged_log_has_the_same_key_in_every_run(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    compress(container.rotate()).write_bytes(b"no gzip")
    keys = set()
    for _ in range(2):
        async with following(tmp_path, positions={}) as seen:
            await seen.until(lambda: seen.gaps)
            keys.add(seen.gaps[0].key)

    assert len(keys) == 1


async def test_a_bad_checksum_keeps_all_of_the_log(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(*range(100))
    packed = compress(container.rotate())
    data = packed.read_bytes()
    packed.write_bytes(data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:])
    async with following(tmp_path) as seen:
        await seen.until(lambda: len(seen.numbers) == 100)
        await seen.until(lambda: seen.gaps)

    assert seen.numbers == list(range(100))


async def test_a_compressed_log_that_is_known_is_not_decompressed_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path)
    container.write(*["x" * 1000] * 2000)
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: len(first.payloads) == 2000)
        for chunk in first.chunks[:-1]:
            chunk.entry.settle(len(chunk.records))
    rotated = container.rotate()
    container.write("last")
    compress(rotated)
    threads: set[int] = set()
    seek = CompressedBytes.seek

    def noting(content: CompressedBytes, offset: int) -> bytes:
        if offset > content._position:
            threads.add(threading.get_ident())
        return seek(content, offset)

    monkeypatch.setattr(CompressedBytes, "seek", noting)
    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: b"last" in second.payloads)

    assert len(second.payloads) == 1 + len(first.chunks[-1].records)
    assert second.payloads[-1] == b"last"
    assert threads
    assert threading.get_ident() not in threads
    assert not second.gaps


async def test_an_agent_that_stops_while_a_log_is_decompressed_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path)
    container.write(*range(100))
    async with following(tmp_path) as first:
        await first.until(lambda: len(first.numbers) == 100)
    compress(container.rotate())
    started, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    seek, close = CompressedBytes.seek, CompressedBytes.close

    def slow(content: CompressedBytes, offset: int) -> bytes:
        started.set()
        go_on.wait(10)
        assert not closed.is_set()
        return seek(content, offset)

    def noting(content: CompressedBytes) -> None:
        if started.is_set():
            closed.set()
        close(content)

    monkeypatch.setattr(CompressedBytes, "seek", slow)
    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(started.is_set)
        monkeypatch.setattr(CompressedBytes, "close", noting)
    go_on.set()
    async with asyncio.timeout(10):
        while not closed.is_set():
            await asyncio.sleep(0.01)


async def test_a_log_that_is_being_compressed_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """logrotate compresses under the final name, and gives it the old time at the end."""
    monkeypatch.setattr("agent.tail.last_writes.COPYING_SECONDS", 600.0)  # also on a busy machine
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    data = gzip.compress(path.read_bytes() + b"".join(map(plain_alert, range(2, 500))))
    packed = tmp_path / "falco.log.1.gz"
    packed.write_bytes(data[: len(data) // 2])
    path.write_bytes(plain_alert(500))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.looks(3)
        packed.write_bytes(data)
        os.utime(packed, (1000, 1000))
        await second.until(lambda: len(second.payloads) == 499)
        await second.looks()

    assert sorted(second.payloads) == sorted(plain_alert(number)[:-1] for number in range(2, 501))
    assert not second.gaps


@pytest.mark.parametrize("packed_by", ["gz", "bz2", "xz", "zst"])
async def test_an_archive_that_a_pattern_names_itself_is_read_once(tmp_path: Path, packed_by: str) -> None:
    archive = tmp_path / f"falco.log.1.{packed_by}"
    archive.write_bytes(COMPRESS[packed_by](b"".join(map(plain_alert, range(100)))))
    os.utime(archive, (1000, 1000))
    (tmp_path / "falco.log").write_bytes(plain_alert(100))
    async with following(None, paths=[f"{tmp_path}/falco.log*"]) as seen:
        await seen.until(lambda: len(seen.payloads) == 101)
        await seen.until(lambda: len(list(seen.reader.files)) == 1)
        for _ in range(5):
            await seen.looks(1)
            assert [file.path.name for file in seen.reader.files] == ["falco.log"]

    assert not seen.gaps


@pytest.mark.parametrize("packed_by", ["gz", "xz"])
async def test_what_was_written_just_before_copytruncate_is_read_from_the_archive_after_a_kill(
    tmp_path: Path, packed_by: str
) -> None:
    """All that was seen is settled; the last records were written, copied and truncated away between two looks."""
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
        os.truncate(path, 0)
        await first.looks(3)
    archive = tmp_path / f"falco.log.1.{packed_by}"
    archive.write_bytes(COMPRESS[packed_by](b"".join(map(plain_alert, (1, 2, 3)))))
    os.utime(archive, (1000, 1000))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.until(lambda: len(second.payloads) == 2)
        await second.looks(3)

    assert second.payloads == [plain_alert(number)[:-1] for number in (2, 3)]
    assert not [*first.gaps, *second.gaps]


async def test_the_bytes_of_a_log_that_is_waited_for_are_lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill, an archive that was made a moment ago may still be written, so it is not read yet."""
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    text = path.read_bytes() + b"".join(map(plain_alert, range(2, 500)))
    packed = tmp_path / "falco.log.1.gz"
    packed.write_bytes(gzip.compress(text))
    path.write_bytes(b"")

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.looks(2)
        assert not second.payloads
        assert second.reader.waiting_bytes == len(text) - len(plain_alert(1))
        monkeypatch.setattr("agent.tail.last_writes.COPYING_SECONDS", 0.0)
        await second.until(lambda: len(second.payloads) == 498)
        await second.looks()
        assert second.reader.waiting_bytes == 0


async def test_a_log_that_is_deleted_while_it_is_waited_for_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
        os.truncate(path, 0)
        await first.until(lambda: not any(file.unread for file in first.reader.files))
        await first.looks(3)
    packed = tmp_path / "falco.log.1.gz"
    packed.write_bytes(gzip.compress(plain_alert(1) + b"".join(map(plain_alert, range(2, 500)))))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.looks(2)
        assert not second.payloads
        packed.unlink()
        await second.until(lambda: second.gaps)

    assert [(gap.why, gap.at_least) for gap in second.gaps] == [("deleted before it could be opened", True)]
