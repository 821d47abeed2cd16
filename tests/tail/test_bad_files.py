"""What one file does to the agent concerns that file alone: I/O errors, odd names, too many files, defects."""

import asyncio
import errno
import os
import resource
from pathlib import Path

import orjson
import pytest

from agent.tail import descriptors
from agent.tail.checkpoint import Checkpoint
from agent.tail.edge import Edge
from agent.tail.names import printable
from agent.tail.tracked_file import TrackedFile
from agent.telemetry import Occasional, Telemetry
from tests.tail.following import POD, UID, Container, Following, following, plain_alert

BAD_NAME = os.fsdecode(b"caf\xe9")


class Disk:
    """Reads of some files fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: set[int] = set()
        self._pread = os.pread
        monkeypatch.setattr("agent.tail.content.os.pread", self.pread)

    def pread(self, descriptor: int, most: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino in self.broken:
            raise OSError(errno.EIO, "Input/output error")
        return self._pread(descriptor, most, offset)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def other_pod(root: Path) -> Container:
    return Container(root, pod=f"falco_falco-other_{UID[:-1]}2")


async def test_a_file_that_cannot_be_read_does_not_end_the_reading_of_others(tmp_path: Path, disk: Disk) -> None:
    broken, sound = Container(tmp_path), other_pod(tmp_path)
    broken.write(1)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [1])
        disk.broken.add(broken.path.stat().st_ino)
        broken.write(2)
        await seen.looks(4)
        sound.write(3)
        await seen.until(lambda: 3 in seen.numbers)
        assert seen.reader.positions()
        broken.rename()
        broken.write(4)
        await seen.until(lambda: 4 in seen.numbers)
        disk.broken.clear()
        await seen.until(lambda: 2 in seen.numbers)

    assert not seen.gaps


async def test_a_file_that_cannot_be_read_at_first_is_read_when_it_can_be(tmp_path: Path, disk: Disk) -> None:
    broken, sound = Container(tmp_path), other_pod(tmp_path)
    broken.write(1)
    rotated = broken.rotate()
    broken.write(2)
    disk.broken.add(rotated.stat().st_ino)
    sound.write(3)
    async with following(tmp_path) as seen:
        await seen.until(lambda: sorted(seen.numbers) == [2, 3])
        disk.broken.clear()
        await seen.until(lambda: sorted(seen.numbers) == [1, 2, 3])


async def test_a_file_that_could_never_be_opened_and_is_deleted_is_a_gap(tmp_path: Path, disk: Disk) -> None:
    container = Container(tmp_path)
    container.write(1)
    rotated = container.rotate()
    size = rotated.stat().st_size
    container.write(2)
    disk.broken.add(rotated.stat().st_ino)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [2])
        await seen.looks()
        rotated.unlink()
        await seen.until(lambda: seen.gaps)
        await seen.looks(3)

    (gap,) = seen.gaps
    assert (gap.path, gap.end - gap.start, gap.at_least) == (str(rotated), size, True)


@pytest.mark.parametrize("place", ["directory", "file", "rotated"])
async def test_a_name_that_is_not_utf_8_is_read_and_printable(tmp_path: Path, place: str) -> None:
    directory = tmp_path / (BAD_NAME if place == "directory" else "logs")
    directory.mkdir()
    path = directory / (f"{BAD_NAME}.log" if place == "file" else "falco.log")
    path.write_bytes(plain_alert(1))
    checkpoint = Checkpoint(tmp_path / "state")
    checkpoint.open()
    async with following(None, paths=[f"{tmp_path}/*/*.log"]) as seen:
        await seen.until(lambda: seen.payloads)
        if place == "rotated":
            path.rename(directory / os.fsdecode(b"falco.log.1\xe9"))
        else:
            path.rename(directory / f"{path.name}.1")
        path.write_bytes(plain_alert(2))
        await seen.until(lambda: len(seen.payloads) >= 2)
        os.truncate(path, 0)
        path.write_bytes(plain_alert(3))
        await seen.until(lambda: len(seen.payloads) >= 3)
        checkpoint.save(seen.reader.positions())

    checkpoint.close()
    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3)]
    on_disk = orjson.loads((tmp_path / "state/checkpoint.json").read_bytes())
    printed = [known["path"] for known in on_disk["files"].values()]
    assert all("caf\\xe9" in path for path in printed) or place == "rotated"
    second = Checkpoint(tmp_path / "state")
    restored = second.open()
    second.close()
    async with following(None, paths=[f"{tmp_path}/*/*.log"], positions=restored.positions) as again:
        await again.looks(3)
        assert not again.gaps


def test_a_path_is_printable_text() -> None:
    assert printable(Path("/var/log/falco.log")) == "/var/log/falco.log"
    assert printable(Path("/var/log/größe.log")) == "/var/log/größe.log"
    assert printable(BAD_NAME) == "caf\\xe9"


def test_the_limit_of_open_files_is_raised_to_the_hard_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))

    assert descriptors.raise_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert descriptors.raise_limit() == hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_defect_of_one_file_is_counted_and_the_file_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.tail.edge.FIRST_DELAY_SECONDS", 0.1)
    broken, sound = Container(tmp_path), other_pod(tmp_path)
    joins, defects = TrackedFile.join, 3

    def join(file: TrackedFile, cut: object) -> object:
        nonlocal defects
        if file.source.pod_uid == UID and defects:
            defects -= 1
            raise RuntimeError("a defect")
        return joins(file, cut)  # type: ignore[arg-type]

    monkeypatch.setattr(TrackedFile, "join", join)
    broken.write(1)
    sound.write(2)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers[:1] == [2])
        await seen.until(lambda: sorted(seen.numbers) == [1, 2])
        assert seen.telemetry.value("defects_total", part="file") == 3
        assert seen.budget.used_bytes == 0


async def test_a_chunk_that_cannot_be_delivered_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tail.edge.FIRST_DELAY_SECONDS", 0.1)
    container = Container(tmp_path)
    container.write(1, 2)
    async with following(tmp_path) as seen:
        seen.refuse = 2
        await seen.until(lambda: seen.numbers == [1, 2])
        await seen.until(lambda: all(file.ledger.committed == file.end for file in seen.reader.files))
        assert seen.telemetry.value("defects_total", part="file") == 2


async def test_the_books_balance_while_a_chunk_is_delivered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chunk is in flight when the second one fails: both are read again."""
    monkeypatch.setattr("agent.tail.edge.FIRST_DELAY_SECONDS", 0.1)
    container = Container(tmp_path)
    container.write(1, 2)

    def balance(seen: Following) -> float:
        settled = sum(len(chunk.records) - chunk.entry.pending for chunk in seen.chunks)
        return seen.telemetry.value("records_read_total") - settled - seen.reader.in_flight

    async with following(tmp_path, settles=False) as seen:
        await seen.until(lambda: seen.numbers == [1, 2])
        seen.refuse = 2
        container.write(3, 4, 5)
        while len(seen.numbers) < 7:
            assert balance(seen) == 0
            await asyncio.sleep(0.001)
        assert balance(seen) == 0
        assert seen.reader.in_flight == 7
        seen.settle()
        assert balance(seen) == 0
        assert seen.reader.in_flight == 0

    assert seen.numbers == [1, 2, 1, 2, 3, 4, 5]


async def test_urgent_records_that_the_urgent_scan_could_not_deliver_are_read_in_order(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(*(f'{{"priority":"Critical","n":{number}}}' for number in range(2000)))
    async with following(tmp_path, settles=False, budget_bytes=300_000, express_bytes=1000) as seen:
        seen.refuse = 1
        await seen.until(lambda: not seen.refuse)
        seen.settle()
        await seen.until(lambda: len(set(seen.payloads)) == 2000)
        await seen.until(lambda: seen.reader.in_flight == 0)
        assert seen.telemetry.value("records_read_total") == len(seen.payloads)


@pytest.mark.parametrize("defect", [RuntimeError("a defect"), OSError(errno.EIO, "an error")])
async def test_an_exception_in_a_scan_of_one_file_does_not_end_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    container = Container(tmp_path)
    container.write(1)

    def note_scan(file: TrackedFile, found: object) -> None:
        raise defect

    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [1])
        monkeypatch.setattr(TrackedFile, "note_scan", note_scan)
        container.write(2)
        other_pod(tmp_path).write(3)
        await seen.until(lambda: sorted(seen.numbers) == [1, 2, 3])


def delay_of(edge: Edge, clock: list[float]) -> int:
    """How many seconds pass until the file may be tried again."""
    began = clock[0]
    while not edge.may_try("f"):
        clock[0] += 1
    return int(clock[0] - began)


def test_the_delay_after_a_defect_grows_and_ends_with_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    edge = Edge(Telemetry("test"), "/a.log")
    assert edge.may_try("f")

    delays = []
    for _ in range(8):
        edge.meet(ValueError("a defect"), "f")
        assert edge.may_try("g")
        delays.append(delay_of(edge, clock))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]

    edge.forget("f")
    assert edge.may_try("f")
    edge.meet(ValueError("a defect"), "f")
    assert delay_of(edge, clock) == 1


def test_a_file_that_cannot_be_read_is_tried_at_each_scan_and_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    edge, clock = Edge(Telemetry("test"), "/a.log"), [1000.0]
    edge._occasional = Occasional(clock=lambda: clock[0])

    for _ in range(121):
        edge.meet(PermissionError(13, "Permission denied", "/a.log"), "f")
        edge.meet(OSError(5, "Input/output error", "/b.log"), "g")
        assert edge.may_try("f")
        clock[0] += 1

    logged = [(record.path, getattr(record, "repeated", 0)) for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == [(path, repeated) for repeated in (0, 59, 59) for path in ("/a.log", "/b.log")]


async def test_a_pod_directory_that_cannot_be_listed_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / POD).mkdir()
    (tmp_path / POD / "falco").write_text("not a directory")
    other_pod(tmp_path).write(1)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [1])
