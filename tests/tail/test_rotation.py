"""Rotation, compression and deletion: every record is read once and in order, or its loss is announced."""

import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.settings import Tail
from agent.tail.discovery import Discovery
from agent.tail.tracked_file import TrackedFile
from tests.tail.following import Container, compress, following, plain_alert, tracker_of


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
        rotated = target.rename(logs / "falco-json.log.1")
        with rotated.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        target.write_bytes(plain_alert(4))
        await seen.until(lambda: len(seen.payloads) == 4)

    assert seen.payloads == [plain_alert(number)[:-1] for number in (1, 2, 3, 4)]
    assert not seen.gaps


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
