"""The first start, the next start, and files that have disappeared in between."""

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.tail.following import Container, compress, following, plain_alert


async def test_old_rotated_files_of_a_host_are_not_read_at_the_first_start_nor_later(tmp_path: Path) -> None:
    path, old = tmp_path / "falco.log", tmp_path / "falco.log.1"
    old.write_bytes(plain_alert(1))
    path.write_bytes(plain_alert(2))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: first.payloads == [plain_alert(2)[:-1]])
        old.rename(tmp_path / "falco.log.2")
        path.rename(old)
        path.write_bytes(plain_alert(3))
        compress(tmp_path / "falco.log.2")
        await first.until(lambda: len(first.payloads) == 2)
        await first.looks()

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.looks(3)

    assert first.payloads == [plain_alert(number)[:-1] for number in (2, 3)]
    assert not second.payloads


async def test_starting_at_the_end_skips_what_is_there_and_nothing_that_comes(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    compress(container.rotate())
    container.write(2)
    container.raw(b"2026-11-23T07:23:02.000000000Z stdout F half")
    async with following(tmp_path, start_at="end") as first:
        await first.until(lambda: list(first.reader.files))
        container.raw(b" a line\n")
        container.write(3)
        await first.until(lambda: first.numbers == [3])
        container.rotate()
        container.write(4)
        await first.until(lambda: first.numbers == [3, 4])
        fresh = Container(tmp_path, restart=1)
        fresh.write(5)
        await first.until(lambda: first.numbers == [3, 4, 5])

    async with following(tmp_path, start_at="end", positions=first.reader.positions()) as second:
        fresh.write(6)
        await second.until(lambda: second.numbers == [6])
        assert not second.gaps


async def test_a_file_that_was_empty_when_starting_at_the_end_is_read_whole(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, start_at="end") as seen:
        await seen.looks()
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])


async def test_what_vanished_while_the_agent_was_stopped_is_announced_once(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1])
        first.settles = False
        container.write(2)
        await first.until(lambda: first.numbers == [1, 2])
    positions = first.reader.positions()
    size = container.path.stat().st_size
    container.path.unlink()
    container.path.touch()
    container.write(3)

    async with following(tmp_path, positions=positions) as second:
        await second.until(lambda: second.numbers == [3])
        await second.looks()
    async with following(tmp_path, positions=second.reader.positions()) as third:
        await third.looks()

    (gap,) = second.gaps
    assert (gap.start, gap.end, gap.at_least) == (size // 2, size, True)
    assert not third.gaps


async def test_a_pod_that_was_read_and_is_gone_after_a_restart_is_no_gap(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1])
    shutil.rmtree(container.directory.parent)

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.looks()

    assert not second.gaps
    assert not second.reader.positions()


async def test_a_known_log_rotated_away_while_the_agent_was_stopped_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1])
    container.write(2)
    container.rotate().unlink()
    container.write(3)

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.numbers == [3])

    assert [gap.at_least for gap in second.gaps] == [True]


async def test_where_nothing_is_left_of_what_was_known_a_gap_of_unknown_size_is_announced(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1])
    positions = {file_id: replace(known, complete=True) for file_id, known in first.reader.positions().items()}
    rotated = container.rotate()
    container.write(2)
    async with following(tmp_path, positions=positions) as second:
        await second.until(lambda: second.numbers == [2])
    assert not second.gaps

    rotated.unlink()
    container.rotate().unlink()
    container.write(3)
    async with following(tmp_path, positions=positions) as third:
        await third.until(lambda: third.numbers == [3])
        await third.looks()

    assert [(gap.end - gap.start, gap.at_least) for gap in third.gaps] == [(0, True)]


async def test_a_root_that_is_not_there_is_a_problem_until_it_is(tmp_path: Path) -> None:
    async with following(tmp_path / "pods") as seen:
        await seen.looks()
        assert seen.reader.problem
        Container(tmp_path / "pods").write(1)
        await seen.until(lambda: seen.numbers == [1])
        assert seen.reader.problem is None


async def test_nothing_is_read_before_the_checkpoint_holds_which_files_are_skipped(tmp_path: Path) -> None:
    """A crash before the first checkpoint: the next start would skip what was rotated in the meantime."""
    live, old = tmp_path / "falco.log", tmp_path / "falco.log.1"
    old.write_bytes(plain_alert(1))
    os.utime(old, (1000, 1000))
    live.write_bytes(plain_alert(2))
    async with following(None, paths=[str(live)]) as first:
        first.reader.saves.has_loop = True
        await first.until(first.reader.saves.wanted.is_set)
        await first.looks(3)
        assert not first.payloads
        waiting, on_disk = first.reader.saves.begin(), first.reader.positions()
        first.reader.saves.end(waiting)
        await first.until(lambda: first.payloads == [plain_alert(2)[:-1]])

    live.rename(tmp_path / "falco.log.2")
    live.write_bytes(plain_alert(3))
    async with following(None, paths=[str(live)], positions=on_disk) as second:
        await second.until(lambda: len(second.payloads) == 2)
        await second.looks(2)

    assert second.payloads == [plain_alert(2)[:-1], plain_alert(3)[:-1]]


async def test_positions_of_archives_that_stay_on_disk_are_bounded_and_no_archive_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.tail.settled_files.MOST_KEPT", 5)
    monkeypatch.setattr("agent.tail.known_files.FORGET_EVERY_SECONDS", 0.0)
    live = tmp_path / "falco.log"
    live.write_bytes(plain_alert(100))

    def shift() -> None:
        """As logrotate does: every archive gets the next number."""
        for path in sorted(tmp_path.glob("falco.log.*"), key=lambda path: -int(path.suffix[1:])):
            path.rename(path.with_suffix(f".{int(path.suffix[1:]) + 1}"))

    for number in range(40, 0, -1):
        archive = tmp_path / f"falco.log.{number}"
        archive.write_bytes(plain_alert(number))
        os.utime(archive, (2000 - number, 2000 - number))
    async with following(None, paths=[str(live)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
        await first.until(lambda: len(first.reader.positions()) <= 6)
        for number in range(101, 111):
            shift()
            live.rename(tmp_path / "falco.log.1")
            live.write_bytes(plain_alert(number))
            while plain_alert(number)[:-1] not in first.payloads:
                await first.looks(1)
        monkeypatch.setattr("agent.tail.file_state.LATE_SECONDS", 0.0)
        await first.until(lambda: len(list(first.reader.files)) == 1)
        await first.looks(3)
        assert len(first.reader.positions()) <= 7

    live.rename(tmp_path / "falco.log.0")
    live.write_bytes(plain_alert(111))
    async with following(None, paths=[str(live)], positions=first.reader.positions()) as second:
        await second.until(lambda: second.payloads)
        await second.looks(3)

    assert first.payloads == [plain_alert(number)[:-1] for number in range(100, 111)]
    assert second.payloads == [plain_alert(111)[:-1]]
    assert not [*first.gaps, *second.gaps]
