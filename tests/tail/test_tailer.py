"""Every way a log file can come, go and change under a reader: nothing is lost, or exactly so much is said to be."""

import asyncio
import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.settings import Tail
from agent.tail.discovery import Discovery
from agent.tail.tailer import CHUNK_BYTES
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Chunk
from tests.tail.following import UID, Container, compress, copytruncate, following, plain_alert, tracker_of


async def test_lines_are_delivered_in_order_as_they_are_written(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write(1, 2)
        await seen.until(lambda: seen.numbers == [1, 2])
        container.write(3)
        await seen.until(lambda: seen.numbers == [1, 2, 3])

    assert seen.chunks[0].namespace == "falco"
    assert seen.budget.used_bytes == 0


async def test_a_second_run_goes_on_behind_what_was_settled(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1, 2)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1, 2])

    container.write(3)
    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.numbers == [3])
        assert second.chunks[0].file_id == first.chunks[0].file_id

    assert not second.gaps


async def test_what_was_not_settled_is_read_again(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1, 2)
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: first.numbers == [1, 2])

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.numbers == [1, 2])
        assert second.chunks[0].records.offsets == first.chunks[0].records.offsets


async def test_a_renamed_file_is_read_to_its_end_before_the_new_one(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])
        container.write(2)
        rotated = container.rotate()
        container.write(3, to=rotated)
        container.write(4)
        await seen.until(lambda: len(seen.numbers) == 4)

    assert seen.numbers == [1, 2, 3, 4]


async def test_late_writes_into_a_rotated_file_are_read_too(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as seen:
        rotated = container.rotate()
        container.write(2)
        await seen.until(lambda: sorted(seen.numbers) == [1, 2])
        container.write(3, to=rotated)
        await seen.until(lambda: sorted(seen.numbers) == [1, 2, 3])


async def test_two_rotations_between_two_looks_lose_nothing(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, scan_seconds=0.2) as seen:
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])
        for number in range(2, 8):
            container.write(number)
            container.rotate()
        container.write(8)
        await seen.until(lambda: len(seen.numbers) == 8)

    assert seen.numbers == list(range(1, 9))


@pytest.mark.parametrize("settled", [0, 1, 2, 3])
async def test_after_an_outage_the_chain_is_read_in_order_from_the_settled_byte(tmp_path: Path, settled: int) -> None:
    container = Container(tmp_path)
    container.write(1, 2, 3)
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: first.numbers == [1, 2, 3])
        first.chunks[0].entry.settle(3)
    positions = first.reader.positions()
    ((file_id, position),) = positions.items()
    line = container.path.stat().st_size // 3
    positions = {file_id: replace(position, offset=settled * line, marker="")}

    for number in range(4, 20, 4):
        compress(container.rotate())
        container.write(number, number + 1, number + 2, number + 3)
    container.rotate()
    container.write(20)

    async with following(tmp_path, positions=positions) as second:
        await second.until(lambda: 20 in second.numbers)
        assert second.numbers == list(range(settled + 1, 21))
        assert not second.gaps


async def test_a_file_that_is_compressed_while_it_waits_for_the_budget_is_read_from_the_compressed_one(
    tmp_path: Path,
) -> None:
    container = Container(tmp_path)
    container.write(*range(1, 6))
    async with following(tmp_path, budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: seen.chunks)
        first = container.rotate()
        container.write(*range(6, 11))
        await seen.looks()
        compress(first)
        second = container.rotate()
        container.write(*range(11, 16))
        await seen.looks()
        compress(second)
        await seen.looks()
        assert not any(file.deleted and file.unread for file in seen.reader.files)
        seen.settle()
        await seen.until(lambda: 15 in seen.numbers)

    assert seen.numbers == list(range(1, 16))
    assert not seen.gaps


async def test_files_deleted_before_their_turn_are_held_open_and_read(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path, budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: seen.chunks)
        for number in range(2, 6):
            rotated = container.rotate()
            container.write(number)
            await seen.looks()
            rotated.unlink()
            await seen.looks()
        shutil.rmtree(container.directory.parent)
        await seen.looks()
        seen.settle()
        await seen.until(lambda: 5 in seen.numbers)
        await seen.until(lambda: not list(seen.reader.files))

    assert seen.numbers == [1, 2, 3, 4, 5]
    assert not seen.gaps


@pytest.mark.parametrize("packed", [False, True])
async def test_deleted_files_beyond_what_may_be_held_are_let_go_of_and_the_gap_is_exact(
    tmp_path: Path, packed: bool
) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path, budget_bytes=1, settles=False, retain_deleted_bytes=400) as seen:
        await seen.until(lambda: seen.chunks)
        rotated = container.rotate()
        container.write(2, 3, "x" * 500)
        second = container.rotate()
        container.write(4)
        lost = second.stat().st_size
        if packed:
            second = compress(second)
            second.write_bytes(gzip.compress(gzip.decompress(second.read_bytes()), 0))
        await seen.looks()
        rotated.unlink()
        second.unlink()
        await seen.until(lambda: seen.gaps)
        seen.settle()
        await seen.until(lambda: 4 in seen.numbers)

    assert [(gap.start, gap.end, gap.why, gap.at_least) for gap in seen.gaps] == [(0, lost, "deleted", False)]
    assert seen.numbers == [1, 4]


async def test_a_run_of_parts_crosses_a_rotation(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, settles=False) as seen:
        container.write("1", tag="P")
        container.write("7", stream="stderr")
        await seen.until(lambda: seen.payloads == [b"7"])
        container.rotate()
        container.write("2", tag="P")
        container.write("3", "4")
        await seen.until(lambda: len(seen.payloads) == 3)
        first, second = seen.reader.files
        assert (first.ledger.committed, second.ledger.committed) == (0, 0)
        seen.settle()
        assert first.ledger.committed == first.end
        assert second.ledger.committed == second.end

    assert sorted(seen.payloads) == [b"123", b"4", b"7"]
    assert seen.chunks[-1].records.unusual[0].mark.origin == (first.id, 0)


async def test_a_run_of_parts_crosses_a_rotation_and_a_restart(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1")
    container.write("2", tag="P")
    async with following(tmp_path) as first:
        await first.until(lambda: first.payloads == [b"1"])
        container.rotate()
        container.write("3", tag="P")
        await first.until(lambda: len(list(first.reader.files)) == 2)

    container.write("4")
    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.payloads == [b"234"])


async def test_after_a_crash_no_part_is_joined_with_another_record_of_the_next_file(tmp_path: Path) -> None:
    """All but the first record is settled, in the file after it too, when the agent dies."""
    container = Container(tmp_path)
    container.write("1")
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: first.payloads == [b"1"])
        container.write("2", tag="P")
        container.rotate()
        container.write("3", "4")
        await first.until(lambda: len(first.payloads) == 3)
        for chunk in first.chunks[1:]:
            chunk.entry.settle(len(chunk.records))
        on_record = first.reader.positions()

    async with following(tmp_path, positions=on_record) as second:
        container.write("5")
        await second.until(lambda: b"5" in second.payloads)

    assert sorted(second.payloads) == [b"1", b"23", b"4", b"5"]


async def test_a_file_found_while_the_one_before_it_is_read_has_its_turn_before_the_next_one(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1" * 200_000, "2" * 200_000)
    container.rotate()
    container.write("4")
    async with following(tmp_path, settles=False, budget_bytes=100_000) as seen:
        await seen.until(lambda: len(seen.chunks) == 1)  # the rest of the file waits for the budget
        between = container.path.with_name("0.log.20261123-000002")
        container.write("3", tag="P", to=between)
        await seen.until(lambda: len(list(seen.reader.files)) == 3)
        seen.settle()
        await seen.until(lambda: len(seen.payloads) >= 3)

    assert seen.payloads[2:] == [b"34"]


async def test_a_part_written_late_into_the_rotated_file_still_ends_its_record(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write("1", tag="P")
        await seen.until(lambda: seen.telemetry.value("read_bytes_total"))
        rotated = container.rotate()
        container.write("3")
        await seen.looks()
        container.write("2", to=rotated)
        await seen.until(lambda: len(seen.payloads) == 2)

    assert seen.payloads == [b"12", b"3"]


async def test_a_run_whose_last_part_never_comes_ships_as_it_is(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1", tag="P")
    async with following(tmp_path, partial_seconds=0.1) as seen:
        await seen.until(lambda: seen.payloads == [b"1"])
        (file,) = seen.reader.files
        assert file.ledger.committed == file.end

    assert seen.chunks[0].records.unusual[0].mark.incomplete


async def test_a_run_left_open_by_a_rotation_is_given_up_too(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1", tag="P")
    async with following(tmp_path, partial_seconds=0.1) as seen:
        container.rotate()
        await seen.until(lambda: seen.payloads == [b"1"])


async def test_the_log_of_a_restarted_container_is_another_source_and_the_old_one_is_read_to_its_end(
    tmp_path: Path,
) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, budget_bytes=1, settles=False) as seen:
        container.write(1)
        await seen.until(lambda: seen.chunks)
        container.write(2, 3)
        again = Container(tmp_path, restart=1)
        again.write(4)
        await seen.looks()
        container.path.unlink()
        await seen.looks()
        seen.settle()
        await seen.until(lambda: len(seen.numbers) == 4)

    assert sorted(seen.numbers) == [1, 2, 3, 4]
    assert not seen.gaps


async def test_a_pod_whose_directory_goes_is_read_to_its_end_and_forgotten_in_hand(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])
        container.write(2)
        container.raw(b"torn")
        shutil.rmtree(container.directory.parent)
        await seen.until(lambda: not list(seen.reader.files))

    assert seen.payloads == [b"1", b"2", b"torn"]


async def test_files_that_are_all_behind_are_read_one_chunk_a_round_of_the_loop(tmp_path: Path) -> None:
    lines = 3 * CHUNK_BYTES // 1000
    for number in range(3):
        Container(tmp_path, pod=f"falco_falco-{number}_{UID[:-1]}{number}").write(*["x" * 1000] * lines)
    rounds = 0
    arrived_in: list[int] = []

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    class Noting(list[Chunk]):
        def append(self, chunk: Chunk) -> None:
            arrived_in.append(rounds)
            super().append(chunk)

    counting = asyncio.create_task(count())
    async with following(tmp_path) as seen:
        seen.chunks = Noting()
        await seen.until(lambda: len(seen.payloads) == 3 * lines)
    counting.cancel()

    assert len(arrived_in) > 9
    assert len(set(arrived_in)) == len(arrived_in)


async def test_the_first_line_of_an_empty_file_does_not_wait_for_the_next_scan(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, scan_seconds=60) as seen:
        await seen.until(lambda: seen.reader.looked)
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])


async def test_nor_does_the_first_line_after_a_rotation(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path, scan_seconds=60.0) as seen:
        await seen.until(lambda: seen.numbers == [1])
        container.rotate()
        await seen.looks(1)
        container.write(2)
        await seen.until(lambda: seen.numbers == [1, 2])


async def test_a_link_whose_target_is_rotated_leads_to_the_new_file(tmp_path: Path) -> None:
    """As Docker does it behind the links of /var/log/containers, whose directory does not change."""
    links, logs = tmp_path / "containers", tmp_path / "docker"
    links.mkdir()
    logs.mkdir()
    target = logs / "falco-json.log"
    target.write_bytes(plain_alert(1))
    (links / "falco.log").symlink_to(target)
    async with following(None, paths=[str(links / "falco.log")], follow_links_into=[logs]) as seen:
        await seen.until(lambda: seen.payloads)
        await seen.looks(5)  # until the listing of the links is old enough to be relied on
        target.rename(logs / "falco-json.log.1")
        target.write_bytes(plain_alert(2))
        await seen.until(lambda: len(seen.payloads) == 2)


async def test_a_file_that_was_empty_when_it_was_seen_and_is_written_and_deleted_at_once_is_read(
    tmp_path: Path,
) -> None:
    container = Container(tmp_path)
    again = Container(tmp_path, restart=1)
    async with following(tmp_path) as seen:
        await seen.looks()
        container.write(1, 2)
        container.path.unlink()
        again.raw(b"torn")
        shutil.rmtree(container.directory.parent)
        await seen.until(lambda: len(seen.payloads) == 3)
        await seen.until(lambda: not list(seen.reader.files))

    assert sorted(seen.payloads) == [b"1", b"2", b"torn"]


async def test_a_name_that_leads_to_another_file_since_the_look_is_not_taken_for_the_one_that_was_seen(
    tmp_path: Path,
) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [1])
    found = Discovery(Tail(root=tmp_path)).look()
    ((source, files),) = found.items()
    container.rotate()
    container.write(2)
    file_tracker = tracker_of(source, Tail(root=tmp_path))
    held: list[TrackedFile] = []

    file_tracker.take(files, held, at_end=False)
    assert (held, file_tracker.unsure) == ([], True)

    file_tracker.take(next(iter(Discovery(Tail(root=tmp_path)).look().values())), held, at_end=False)
    assert [file.path.name for file in held] == ["0.log.20261123-000001", "0.log"]
    for file in held:
        file.close()


async def test_a_file_that_is_renamed_and_compressed_between_two_looks_keeps_its_turn(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    container.rotate()
    container.write(2)
    container.rotate()
    container.write(3)
    ((source, files),) = Discovery(Tail(root=tmp_path)).look().items()
    file_tracker = tracker_of(source, Tail(root=tmp_path))
    held: list[TrackedFile] = []
    file_tracker.take(files, held, at_end=False)
    order = [file.id for file in held]

    compress(container.rotate())
    container.write(4)
    file_tracker.take(next(iter(Discovery(Tail(root=tmp_path)).look().values())), held, at_end=False)

    assert [file.id for file in held][:3] == order
    assert held[3].path.name == "0.log"
    for file in held:
        file.close()


async def test_a_log_of_another_pod_or_container_is_not_read(tmp_path: Path) -> None:
    other = Container(tmp_path, pod="falco_nginx-x_3f2b8a34-2f11-4a0a-9d6f-0c5b8f6a7e12")
    other.write(1)
    mine = Container(tmp_path)
    mine.write(2)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [2])
        await seen.looks()

    assert seen.numbers == [2]


@pytest.mark.parametrize("swap", ["link", "fifo", "directory"])
async def test_what_is_no_regular_file_of_the_root_is_not_read(tmp_path: Path, swap: str) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"2026-11-23T07:23:01.000000001Z stdout F 9\n")
    container = Container(tmp_path / "pods")
    container.path.unlink()
    if swap == "link":
        container.path.symlink_to(outside)
    elif swap == "fifo":
        os.mkfifo(container.path)
    else:
        container.path.mkdir()
    async with following(tmp_path / "pods") as seen:
        await seen.looks(3)

    assert not seen.chunks


# Files that their writer, or logrotate, treats in other ways.


@pytest.mark.parametrize("packed", [False, True])
async def test_what_copytruncate_left_unread_is_read_from_the_copy(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        copytruncate(path, tmp_path / "falco.log.1")
        if packed:
            compress(tmp_path / "falco.log.1")
        with path.open("ab") as file:
            file.write(plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 4)

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


async def test_a_copy_that_is_still_being_made_is_waited_for(tmp_path: Path) -> None:
    path, copy = tmp_path / "falco.log", tmp_path / "falco.log.1"
    path.write_bytes(plain_alert(1) + plain_alert(2))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
        copy.write_bytes(plain_alert(1))
        await seen.looks(3)
        with copy.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(plain_alert(4))
        await seen.until(lambda: len(seen.payloads) == 4)
        await seen.looks()

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


async def test_a_file_truncated_before_its_turn_came_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: seen.chunks)
        path.rename(tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await seen.looks()
        second = list(seen.reader.files)[1]
        copytruncate(path, tmp_path / "falco.log.0")
        path.write_bytes(plain_alert(3) + plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 4)

    assert sorted(seen.payloads) == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert [c.records.payloads for c in seen.chunks if c.file_id == second.id] == [[plain_alert(2)[:-1]]]


async def test_what_was_truncated_away_without_a_copy_is_an_exact_gap(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        await seen.looks()
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(plain_alert(4))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 2)

    size = len(plain_alert(1))
    assert [(gap.start, gap.end, gap.why) for gap in seen.gaps] == [(size, 3 * size, "truncated")]
    assert seen.payloads[-1] == plain_alert(4)[:-1]


async def test_a_file_truncated_and_written_anew_beyond_where_it_was_read_is_seen_to_be_another(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1) + plain_alert(2))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
        with path.open("r+b") as file:
            file.write(b"".join(map(plain_alert, range(3, 9))))
        await seen.until(lambda: len(seen.payloads) == 8)

    assert seen.payloads == [plain_alert(number)[:-1] for number in range(1, 9)]


async def test_a_file_truncated_while_the_agent_is_stopped_is_read_from_its_copy_and_then_anew(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    with path.open("ab") as file:
        file.write(plain_alert(2))
    copytruncate(path, tmp_path / "falco.log.1")
    with path.open("ab") as file:
        file.write(b"".join(map(plain_alert, range(3, 9))))

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.until(lambda: len(second.payloads) == 7)
        assert second.payloads == [plain_alert(number)[:-1] for number in range(2, 9)]
        assert not second.gaps


async def test_rotations_of_a_plain_file_while_the_agent_is_stopped_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    old = tmp_path / "falco.log.1"
    old.write_bytes(plain_alert(0))
    os.utime(old, (1000, 1000))
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
    positions = first.reader.positions()

    with path.open("ab") as file:
        file.write(plain_alert(2))
    old.rename(tmp_path / "falco.log.3")
    path.rename(tmp_path / "falco.log.2")
    old.write_bytes(plain_alert(3))
    compress(tmp_path / "falco.log.2")
    os.utime(tmp_path / "falco.log.2.gz", (2000, 2000))
    path.write_bytes(plain_alert(4))

    async with following(None, paths=[str(path)], positions=positions) as second:
        await second.until(lambda: len(second.payloads) == 3)
        await second.looks()
        assert second.payloads == [plain_alert(number)[:-1] for number in (2, 3, 4)]
        assert not second.gaps


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


async def test_a_deleted_and_recreated_file_is_another_one_even_when_it_begins_alike(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(b"Falco starts\n" + plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 2)
        path.unlink()
        path.write_bytes(b"Falco starts\n" + plain_alert(2))
        await first.until(lambda: len(first.payloads) == 4)
        ids = {chunk.file_id for chunk in first.chunks}
    positions = first.reader.positions()
    path.unlink()
    path.write_bytes(b"Falco starts\n" + plain_alert(3) + plain_alert(4))

    async with following(None, paths=[str(path)], positions=positions) as second:
        await second.until(lambda: len(second.payloads) == 3)
        ids |= {chunk.file_id for chunk in second.chunks}

    assert len(ids) == 3


async def test_a_writer_that_does_not_know_that_its_file_was_deleted_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    with path.open("ab", buffering=0) as writer:
        async with following(None, paths=[str(path)]) as seen:
            await seen.until(lambda: len(seen.payloads) == 1)
            path.unlink()
            await seen.looks(3)
            writer.write(plain_alert(2))
            await seen.until(lambda: len(seen.payloads) == 2)


async def test_a_docker_log_with_long_lines_is_rotated_and_joined(tmp_path: Path) -> None:
    path = tmp_path / "abc-json.log"
    path.write_bytes(b'{"log":"%b","stream":"stdout","time":"2026-11-23T07:35:16.09850447Z"}\n' % (b"x" * 16_384))
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: seen.telemetry.value("read_bytes_total"))
        path.rename(tmp_path / "abc-json.log.1")
        path.write_bytes(b'{"log":"y\\n","stream":"stdout","time":"2026-11-23T07:35:16.09850448Z"}\n')
        await seen.until(lambda: seen.payloads == [b"x" * 16_384 + b"y"])


async def test_docker_parts_in_a_truncated_file_are_given_up_not_joined_with_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "abc-json.log"
    path.write_bytes(b'{"log":"part","stream":"stdout","time":"2026-11-23T07:35:16.09850447Z"}\n')
    async with following(None, paths=[str(path)]) as seen:
        await seen.until(lambda: seen.telemetry.value("read_bytes_total"))
        os.truncate(path, 0)
        path.write_bytes(b'{"log":"y\\n","stream":"stdout","time":"2026-11-23T07:35:16.09850448Z"}\n')
        await seen.until(lambda: seen.payloads == [b"part", b"y"])
        await seen.until(lambda: len(list(seen.reader.files)) == 1)


# Starts, ends and damage.


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
    (tmp_path / "kube-system_coredns-x_1").mkdir()
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


async def test_a_damaged_compressed_file_is_a_gap_and_the_chain_goes_on(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(*range(1, 2000))
    packed = compress(container.rotate())
    container.write(2000)
    packed.write_bytes(packed.read_bytes()[:-2000])
    async with following(tmp_path) as seen:
        await seen.until(lambda: b"2000" in seen.payloads)
        await seen.until(lambda: seen.gaps)

    assert [(gap.why, gap.at_least) for gap in seen.gaps] == [("damaged", True)]
    assert seen.payloads[:500] == [str(number).encode() for number in range(1, 501)]


@pytest.mark.parametrize("junk", [b"", b"no gzip at all", b"\x1f\x8b"])
async def test_a_file_that_is_no_gzip_at_all_does_not_hold_up_the_others(tmp_path: Path, junk: bytes) -> None:
    container = Container(tmp_path)
    container.path.with_name("0.log.20261123-000000.gz").write_bytes(junk)
    container.write(1)
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.numbers == [1])


async def test_a_node_that_lost_power_before_the_disk_had_all_of_a_file_goes_on_at_its_end(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1, 2, 3)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1, 2, 3])
    os.truncate(container.path, container.path.stat().st_size // 3 * 2)
    os.utime(container.path, (1000, 1000))

    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.looks()
        container.write(4)
        await second.until(lambda: second.numbers == [4])
        assert second.chunks[0].file_id != first.chunks[0].file_id


async def test_a_root_that_is_not_there_is_a_problem_until_it_is(tmp_path: Path) -> None:
    async with following(tmp_path / "pods") as seen:
        await seen.looks()
        assert seen.reader.problem
        Container(tmp_path / "pods").write(1)
        await seen.until(lambda: seen.numbers == [1])
        assert seen.reader.problem is None


async def test_the_budget_stops_reading_until_something_is_settled(tmp_path: Path) -> None:
    container = Container(tmp_path)
    for _ in range(8):
        container.write(*["x" * 1000] * 200)
    async with following(tmp_path, budget_bytes=300_000, settles=False) as seen:
        await seen.until(lambda: seen.budget.has_waiters)
        assert seen.budget.used_bytes <= 300_000
        assert len(seen.payloads) < 400
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 1600)


async def test_a_line_longer_than_any_record_is_kept_by_its_head_and_the_file_goes_on(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("x" * 900_000)
    container.write(1)
    async with following(tmp_path, max_record_bytes=1024) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
        (file,) = seen.reader.files
        assert file.ledger.committed == file.end

    (unusual,) = [unusual for chunk in seen.chunks for unusual in chunk.records.unusual]
    assert unusual.mark.size > 900_000
    assert len(unusual.payload) < 2000


async def test_a_file_in_two_globs_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[f"{tmp_path}/*.log", str(path), f"{tmp_path}/falco*"]) as seen:
        await seen.until(lambda: seen.payloads)
        path.rename(tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await seen.until(lambda: len(seen.payloads) == 2)
        await seen.looks(3)

    assert len(seen.payloads) == 2
