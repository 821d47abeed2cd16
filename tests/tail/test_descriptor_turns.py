"""More log files than file descriptors: every log is read in turn, nothing is lost, and a reserve stays free."""

import asyncio
import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.tail.following import Container, Following, copytruncate, following, plain_alert

LOGS = 60


@pytest.fixture(autouse=True)
def few_descriptors() -> Iterator[None]:
    """For about 25 log files, beside the reserve of a quarter."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def logs_of(directory: Path, *, lines: int = 1) -> list[Path]:
    logs = [directory / f"{number:03d}" / "falco.log" for number in range(LOGS)]
    for number, path in enumerate(logs):
        path.parent.mkdir()
        path.write_bytes(b"".join(plain_alert(number * 1000 + line) for line in range(lines)))
    return logs


def texts(numbers: Iterator[int] | list[int]) -> list[bytes]:
    return sorted(plain_alert(number)[:-1] for number in numbers)


def open_something(count: int) -> None:
    """The reserve is free."""
    for descriptor in [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]:
        os.close(descriptor)


async def test_more_logs_than_descriptors_are_all_read_and_a_reserve_stays_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        open_something(8)
        await seen.until(lambda: seen.reader.waiting_files == 0)
        await seen.looks(3)
        assert seen.reader.problem is None
        assert seen.reader.waiting_bytes == 0

    assert sorted(seen.payloads) == texts([number * 1000 for number in range(LOGS)])
    assert not seen.gaps
    said = [record for record in caplog.records if record.message.startswith("more log files than file descriptors")]
    assert len(said) == 1


async def test_an_idle_file_is_closed_and_opened_again_when_it_grows(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        for round_ in range(1, 4):
            for number, path in enumerate(logs):
                with path.open("ab") as file:
                    file.write(plain_alert(number * 1000 + round_))
            expected = LOGS * (round_ + 1)
            while len(seen.payloads) < expected:
                await seen.looks(1)
        await seen.looks(3)

    assert sorted(seen.payloads) == texts([number * 1000 + round_ for number in range(LOGS) for round_ in range(4)])
    assert not seen.gaps


async def test_a_restart_finds_closed_files_where_they_were_left(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as first:
        await first.until(lambda: len(first.payloads) == LOGS)
    for number, path in enumerate(logs):
        if number % 3 == 0:
            with path.open("ab") as file:
                file.write(plain_alert(number * 1000 + 1))
    async with following(None, paths=[f"{tmp_path}/*/falco.log"], positions=first.reader.positions()) as second:
        await second.until(lambda: len(second.payloads) == LOGS // 3)
        await second.until(lambda: second.reader.waiting_files == 0)
        await second.looks(6)

    assert sorted(second.payloads) == texts([number * 1000 + 1 for number in range(0, LOGS, 3)])
    assert not [*first.gaps, *second.gaps]


async def test_files_that_are_written_to_all_the_time_are_read_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is ever idle: something of each is in flight at every scan."""
    monkeypatch.setattr("agent.tail.descriptor_choice.TURN_SECONDS", 0.1)
    logs = logs_of(tmp_path)
    stop = asyncio.Event()
    last = [0] * LOGS

    async def write() -> None:
        line = 0
        while not stop.is_set():
            line += 1
            for number, path in enumerate(logs):
                with path.open("ab") as file:
                    file.write(plain_alert(number * 1000 + line))
                last[number] = line
            await asyncio.sleep(0.2)

    async def settle_late(seen: Following) -> None:
        while not stop.is_set():
            await asyncio.sleep(0.03)
            seen.settle()
            seen.settles = False

    async with following(None, paths=[f"{tmp_path}/*/falco.log"], settles=False) as seen:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            tasks.create_task(settle_late(seen))
            await seen.until(lambda: len({chunk.file_id for chunk in seen.chunks}) == LOGS)
            stop.set()
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == sum(last) + LOGS)

    assert sorted(seen.payloads) == texts(
        [number * 1000 + line for number in range(LOGS) for line in range(last[number] + 1)]
    )
    assert not seen.gaps


async def test_rotated_and_truncated_logs_are_recognised_after_they_were_closed(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        await seen.until(lambda: seen.reader.waiting_files == 0)
        for number, path in enumerate(logs):
            if number % 2:
                with path.open("ab") as file:
                    file.write(plain_alert(number * 1000 + 1))
                path.rename(path.with_name(f"{path.name}.1"))
            path.write_bytes(plain_alert(number * 1000 + 2))
        await seen.until(lambda: len(seen.payloads) == LOGS * 2 + LOGS // 2)
        await seen.looks(3)

    odd = [number * 1000 + 1 for number in range(1, LOGS, 2)]
    assert sorted(seen.payloads) == texts([*odd, *(number * 1000 + line for number in range(LOGS) for line in (0, 2))])
    assert not seen.gaps


async def test_a_closed_log_whose_pod_is_deleted_is_no_gap(tmp_path: Path) -> None:
    pods = [f"falco_falco-{number:05d}_3f2b8a34-2f11-4a0a-9d6f-{number:012d}" for number in range(LOGS)]
    containers = [Container(tmp_path, pod=pod) for pod in pods]
    for number, container in enumerate(containers):
        container.write(number)
    async with following(tmp_path) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        await seen.until(lambda: seen.reader.waiting_files == 0)
        await seen.looks(3)
        open_paths = {file.path for file in seen.reader.files}
        for container in containers:
            container.path.unlink()
            container.directory.rmdir()
            container.directory.parent.rmdir()
        await seen.until(lambda: not list(seen.reader.files))
        await seen.looks(3)

    assert len(open_paths) < LOGS
    # All that was there had been read, and the directories of the pods are gone: nothing is lost.
    assert not seen.gaps
    assert not [position for position in seen.reader.positions().values() if not position.complete]


async def test_a_closed_log_that_is_deleted_with_unread_bytes_is_a_gap(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        await seen.until(lambda: seen.reader.waiting_files == 0)
        await seen.looks(3)
        seen.settles = False  # the files that are open keep their descriptors
        for number, path in enumerate(logs):
            with path.open("ab") as file:
                file.write(plain_alert(number * 1000 + 1))
        await seen.until(lambda: seen.reader.waiting_files)
        await seen.looks(3)
        waiting = set(logs) - {file.path for file in seen.reader.files}
        for path in waiting:
            path.unlink()
        await seen.until(lambda: len(seen.gaps) >= len(waiting))
        seen.settle()
        await seen.looks(3)

    assert waiting
    assert {gap.path for gap in seen.gaps} == {str(path) for path in waiting}
    unread = {
        str(path): (len(plain_alert(number * 1000)), len(plain_alert(number * 1000) + plain_alert(number * 1000 + 1)))
        for number, path in enumerate(logs)
    }
    assert all(gap.at_least and (gap.start, gap.end) == unread[gap.path] for gap in seen.gaps)


async def test_a_closed_log_that_is_deleted_while_its_log_goes_on_is_a_gap(tmp_path: Path) -> None:
    """Its writer was running, so more may have been written to it than was seen."""
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        await seen.until(lambda: seen.reader.waiting_files == 0)
        await seen.looks(3)
        open_paths = {file.path for file in seen.reader.files}
        deleted = next(path for path in logs if path not in open_paths)
        aside = deleted.with_name("new")
        aside.write_bytes(plain_alert(999_999))
        aside.rename(deleted)
        await seen.until(lambda: plain_alert(999_999)[:-1] in seen.payloads)
        await seen.until(lambda: seen.gaps)

    assert [(gap.path, gap.at_least) for gap in seen.gaps] == [(str(deleted), True)]


async def test_a_log_that_waits_for_too_long_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is acknowledged, so no file can be closed."""
    monkeypatch.setattr("agent.tail.descriptor_turns.PATIENCE_SECONDS", 0.2)
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"], settles=False) as seen:
        await seen.until(lambda: seen.reader.problem)
        assert seen.reader.waiting_files > 0
        assert seen.reader.waiting_bytes > 0
        problem = seen.reader.problem
        unread = set(logs) - {file.path for file in seen.reader.files}
        for path in unread:
            path.unlink()
        await seen.until(lambda: len(seen.gaps) == len(unread))
        seen.settle()
        await seen.until(lambda: seen.reader.problem is None)

    assert problem is not None
    assert "LimitNOFILE" in problem
    assert {gap.path for gap in seen.gaps} == {str(path) for path in unread}


async def test_a_closed_log_that_is_copied_and_truncated_is_read_from_the_copy(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS)
        for number, path in enumerate(logs):
            append(path, [number * 1000 + 1])
            copytruncate(path, path.with_name("falco.log.1"))
            append(path, range(number * 1000 + 2, number * 1000 + 9))
        await seen.until(lambda: len(set(seen.payloads)) == LOGS * 9)
        await seen.looks(3)

    assert sorted(seen.payloads) == texts([number * 1000 + line for number in range(LOGS) for line in range(9)])
    assert not seen.gaps


async def test_a_closed_log_that_is_truncated_without_a_copy_is_a_gap_unless_it_held_nothing_new(
    tmp_path: Path,
) -> None:
    """More bytes than were read of a closed log may be bytes of that log, and then they are lost."""
    logs = logs_of(tmp_path, lines=2)
    async with following(None, paths=[f"{tmp_path}/*/falco.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == LOGS * 2)
        for number, path in enumerate(logs):
            os.truncate(path, 0)
            append(path, range(number * 1000 + 2, number * 1000 + (9 if number % 2 else 3)))
        await seen.until(lambda: len(set(seen.payloads)) == LOGS * 2 + LOGS // 2 * 8)
        await seen.looks(5)

    assert len(seen.payloads) == len(set(seen.payloads))
    assert {(gap.end - gap.start, gap.at_least) for gap in seen.gaps} == {(0, True)}
    assert all(int(Path(gap.path).parent.name) % 2 for gap in seen.gaps)


def append(path: Path, numbers: Iterable[int]) -> None:
    with path.open("ab") as file:
        for number in numbers:
            file.write(plain_alert(number))
