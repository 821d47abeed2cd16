"""A file under two names is read once, in whatever order its names are found."""

import os
from pathlib import Path

import pytest

from tests.tail.following import Container, following, plain_alert


def link_of(container: Container, links: Path) -> Path:
    links.mkdir(exist_ok=True)
    link = links / "falco-x7k2p_falco_falco-0123.log"
    link.symlink_to(container.path)
    return link


@pytest.mark.parametrize("pattern", ["links/*.log", "pods/*/*/*.log", "hard/*.log"])
async def test_a_log_that_tail_paths_names_beside_the_root_is_read_once(tmp_path: Path, pattern: str) -> None:
    root = tmp_path / "pods"
    container = Container(root)
    container.write(1)
    link_of(container, tmp_path / "links")
    (tmp_path / "hard").mkdir()
    os.link(container.path, tmp_path / "hard" / "falco.log")
    paths = [f"{tmp_path}/{pattern}"]
    async with following(root, paths=paths, follow_links_into=[root]) as first:
        await first.until(lambda: first.numbers == [1])
        await first.looks(3)
        container.rotate()
        container.write(2)
        await first.until(lambda: 2 in first.numbers)
        await first.looks(6)
        assert first.numbers == [1, 2]

    container.write(3)
    async with following(root, positions=first.reader.positions(), paths=paths, follow_links_into=[root]) as second:
        await second.until(lambda: 3 in second.numbers)
        await second.looks(3)

    assert second.numbers == [3]
    assert not [*first.gaps, *second.gaps]


async def test_rotations_while_both_names_are_scanned_are_read_once(tmp_path: Path) -> None:
    root = tmp_path / "pods"
    container = Container(root)
    link_of(container, tmp_path / "links")
    async with following(root, paths=[f"{tmp_path}/links/*.log"], follow_links_into=[root]) as seen:
        for number in range(40):
            container.write(number)
            if number % 4 == 3:
                container.rotate()
            await seen.looks(1)
        await seen.until(lambda: len(seen.numbers) >= 40)
        await seen.looks(3)

    assert sorted(seen.numbers) == list(range(40))
    assert not seen.gaps


async def test_two_links_to_one_log_are_read_once(tmp_path: Path) -> None:
    logs = tmp_path / "docker"
    logs.mkdir()
    (logs / "a-json.log").write_bytes(plain_alert(1))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "falco.log").symlink_to(logs / "a-json.log")
    patterns = [f"{tmp_path}/one/*.log", f"{tmp_path}/two/*.log", f"{logs}/*.log"]
    async with following(None, paths=patterns, follow_links_into=[logs]) as seen:
        await seen.until(lambda: seen.payloads)
        await seen.looks(3)

    assert len(seen.payloads) == 1


async def test_other_logs_beside_the_root_are_read(tmp_path: Path) -> None:
    root = tmp_path / "pods"
    Container(root).write(1)
    (tmp_path / "falco.log").write_bytes(plain_alert(2))
    async with following(root, paths=[f"{tmp_path}/*.log"]) as seen:
        await seen.until(lambda: len(seen.payloads) == 2)
