"""What the kernel tells of changes is acted upon at once, and nothing depends on its telling."""

import asyncio
import os
import shutil
from pathlib import Path

from agent.settings import Tail
from agent.tail.discovery import Discovery
from agent.tail.inotify import Inotify
from tests.tail.following import POD, Container, Following, following

NEVER = 60.0
"""Seconds between two scans: within the time of a test nothing is found but what inotify tells of."""


async def test_a_line_a_file_and_a_pod_are_heard_of(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path, scan_seconds=NEVER) as seen:
        container.write(1)
        await seen.until(lambda: seen.numbers == [1])
        container.rotate()
        container.write(2)
        await seen.until(lambda: seen.numbers == [1, 2])
        Container(tmp_path, restart=1).write(3)
        await seen.until(lambda: seen.numbers == [1, 2, 3])
        Container(tmp_path, pod=POD.replace("x7k2p", "y")).write(4)
        await seen.until(lambda: seen.numbers == [1, 2, 3, 4])


async def test_a_directory_that_is_removed_and_made_again_is_heard_of_again(tmp_path: Path) -> None:
    Container(tmp_path).write(1)
    async with following(tmp_path, scan_seconds=NEVER) as seen:
        await seen.until(lambda: seen.numbers == [1])
        shutil.rmtree(tmp_path / POD)
        await seen.until(lambda: not list(seen.reader.files))
        Container(tmp_path).write(2)
        await seen.until(lambda: seen.numbers == [1, 2])
        Container(tmp_path).write(3)
        await seen.until(lambda: seen.numbers == [1, 2, 3])


async def test_a_directory_that_takes_the_place_of_another_is_heard_of(tmp_path: Path) -> None:
    root, aside = tmp_path / "pods", tmp_path / "aside"
    Container(root).write(1)
    another = Container(aside)
    another.write(2)
    async with following(root, scan_seconds=NEVER) as seen:
        await seen.until(lambda: seen.numbers == [1])
        (root / POD).rename(aside / "before")
        (aside / POD).rename(root / POD)
        await seen.until(lambda: seen.numbers == [1, 2])
        Container(root).write(3)
        await seen.until(lambda: seen.numbers == [1, 2, 3])


async def test_a_directory_that_was_watched_before_word_of_it_came_is_watched_on(tmp_path: Path) -> None:
    written: list[Path] = []
    moved = asyncio.Event()
    inotify = Inotify(written.append, moved.set, lambda directory, name: False)
    inotify.watch({tmp_path})
    pod = tmp_path / "pod"
    pod.mkdir()
    inotify.watch({tmp_path, pod})
    async with asyncio.timeout(10):
        await moved.wait()
        assert inotify.changed_directories() == {tmp_path, pod}
        (pod / "0.log").write_text("1")
        while pod not in written:
            await asyncio.sleep(0.005)
    assert inotify.changed_directories() == {pod}
    inotify.close()


async def test_a_directory_that_has_two_names_is_told_of_by_neither(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "one")
    inotify = Inotify(lambda directory: None, lambda: None, lambda directory, name: False)

    inotify.watch({tmp_path / "one"})
    assert inotify.changed_directories() == {tmp_path / "one"}
    inotify.watch({tmp_path / "one", tmp_path / "other"})
    assert inotify.changed_directories() is None
    inotify.close()


def test_what_nobody_told_of_is_found_when_everything_is_looked_at(tmp_path: Path) -> None:
    Container(tmp_path)
    discovery = Discovery(Tail(root=tmp_path))
    before = discovery.look()
    Container(tmp_path, restart=1)
    Container(tmp_path, pod=POD.replace("x7k2p", "y"))

    assert discovery.look(frozenset()) is before
    assert len(discovery.look({tmp_path})) == 2
    assert len(discovery.look()) == 3


def test_pods_of_others_that_come_and_go_change_nothing(tmp_path: Path) -> None:
    Container(tmp_path)
    discovery = Discovery(Tail(root=tmp_path))
    before = discovery.look()
    (tmp_path / POD.replace("falco", "shop")).mkdir()

    assert discovery.look({tmp_path}) is before
    assert discovery.look() == before


async def test_a_file_system_that_tells_nothing_is_looked_through_all_the_same(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        await seen.looks(6)
        # As over NFS: on this machine another name of the same file is written to, in no directory that is watched.
        aside = tmp_path.parent / f"{tmp_path.name}-aside"
        os.link(container.path, aside)
        container.write(1, to=aside)
        await seen.until(lambda: seen.numbers == [1])
        aside.unlink()


async def test_a_write_wakes_only_the_tailers_of_its_directory(tmp_path: Path) -> None:
    containers = [Container(tmp_path, pod=POD.replace("x7k2p", str(number))) for number in range(20)]
    async with following(tmp_path, scan_seconds=0.5) as seen:
        for number, container in enumerate(containers):
            container.write(number)
        await seen.until(lambda: len(seen.numbers) == 20 and not _restless(seen))
        containers[0].write(20)
        await seen.until(lambda: seen.numbers[-1] == 20)
        assert _restless(seen) <= 1


async def test_what_rests_is_on_record_to_its_end_and_again_when_it_went_on(tmp_path: Path) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        for number in (1, 2):
            container.write(number)
            await seen.looks(6)
            (position,) = seen.reader.positions().values()
            assert position.offset == position.size == container.path.stat().st_size
            assert seen.numbers[-1] == number


def _restless(seen: Following) -> int:
    """How many files something may still become of, though nobody writes."""
    return seen.reader.progress[0]
