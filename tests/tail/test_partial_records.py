"""Records in several parts, across chunks, rotations and restarts."""

import os
from pathlib import Path

from tests.tail.following import Container, following


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
