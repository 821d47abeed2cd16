"""A gap is announced when bytes are lost, and only then; in every run under the same key."""

import asyncio
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.tail.checkpoint import Position
from tests.tail.following import POD, UID, Container, Following, compress, copytruncate, following, plain_alert


@pytest.mark.parametrize("larger", [1, 5, 50])
async def test_a_log_that_was_read_and_is_truncated_and_rewritten_larger_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larger: int
) -> None:
    monkeypatch.setattr("agent.tail.file_state.SETTLE_SECONDS", 0.2)  # so long a copy is waited for
    path = tmp_path / "falco.log"
    alerts = [plain_alert(0)]
    path.write_bytes(alerts[0])
    async with following(None, paths=[str(path)]) as seen:
        for _ in range(5):
            await seen.until(lambda: len(seen.payloads) == len(alerts))
            fresh = [plain_alert(len(alerts) + number) for number in range(larger)]
            alerts.extend(fresh)
            path.write_bytes(b"".join(fresh))
        await seen.until(lambda: len(seen.payloads) == len(alerts))
        await seen.looks(3)

    assert seen.payloads == [alert[:-1] for alert in alerts]
    assert not seen.gaps


async def test_bytes_that_were_seen_and_truncated_away_are_a_gap_though_the_new_log_is_larger(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    size = path.stat().st_size
    async with following(None, paths=[str(path)], budget_bytes=1, settles=False) as seen:
        await seen.until(lambda: len(seen.payloads) == 1)
        with path.open("ab") as file:
            file.write(plain_alert(2) + plain_alert(3))
        await seen.looks()
        path.write_bytes(b"".join(map(plain_alert, range(4, 20))))
        seen.settle()
        await seen.until(lambda: len(seen.payloads) == 17)

    assert [(gap.start, gap.end, gap.why) for gap in seen.gaps] == [(size, 3 * size, "truncated")]


async def test_a_log_that_was_read_and_truncated_before_a_restart_is_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    path.write_bytes(plain_alert(1))
    async with following(None, paths=[str(path)]) as first:
        await first.until(lambda: len(first.payloads) == 1)
        copytruncate(path, tmp_path / "falco.log.1")
        path.write_bytes(plain_alert(2))
        await first.until(lambda: len(first.payloads) == 2)
    (tmp_path / "falco.log.1").unlink()

    async with following(None, paths=[str(path)], positions=first.reader.positions()) as second:
        await second.looks(3)

    assert not second.gaps


async def test_a_loss_that_two_runs_find_has_one_key(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    async with following(tmp_path) as first:
        await first.until(lambda: first.numbers == [1])
    container.write(2)
    container.rotate().unlink()
    container.write(3)
    keys = []
    for _ in range(2):  # the second run starts from the same checkpoint: the first one was killed before its save
        async with following(tmp_path, positions=first.reader.positions()) as again:
            await again.until(lambda: again.gaps)
            await again.looks()
            keys.append([gap.key for gap in again.gaps])

    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


async def test_an_unmounted_root_is_no_loss(tmp_path: Path) -> None:
    root, away = tmp_path / "pods", tmp_path / "away"
    container = Container(root)
    container.write(1)
    async with following(root, settles=False) as first:
        await first.until(lambda: first.numbers == [1])
    positions = {key: replace(known, device=known.device + 1) for key, known in first.reader.positions().items()}
    root.rename(away)
    root.mkdir()

    async with following(root, positions=positions) as second:
        await second.looks(4)
        assert not second.gaps
        assert second.reader.positions().keys() == positions.keys()
        (away / POD).rename(root / POD)
        await second.until(lambda: second.numbers == [1])

    assert not second.gaps


async def test_a_file_that_cannot_be_opened_hides_no_loss_of_other_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, blocked = Container(tmp_path), Container(tmp_path, pod=f"falco_falco-other_{UID[:-1]}2")
    lost.write(1)
    async with following(tmp_path, settles=False) as first:
        await first.until(lambda: first.numbers == [1])
    lost.path.unlink()
    lost.path.touch()
    blocked.write(2)
    opens = os.open

    def refuse(path: object, *args: object, **kwargs: object) -> int:
        if str(path) == "0.log" and refuse_pod in str(Path(f"/proc/self/fd/{kwargs['dir_fd']}").readlink()):
            raise PermissionError(13, "Permission denied", path)
        return opens(path, *args, **kwargs)  # type: ignore[arg-type]

    refuse_pod = "falco-other"
    monkeypatch.setattr("agent.tail.safe_open.os.open", refuse)
    async with following(tmp_path, positions=first.reader.positions()) as second:
        await second.until(lambda: second.gaps)

    assert [gap.path for gap in second.gaps] == [str(lost.path)]


async def test_a_wall_clock_that_is_set_back_does_not_hold_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path)
    async with following(tmp_path) as seen:
        container.write("1", tag="P")
        await seen.until(lambda: seen.telemetry.value("read_bytes_total"))
        rotated = container.rotate()
        ahead = time.time() + 3600
        os.utime(rotated, (ahead, ahead))
        container.write("2")
        await seen.until(lambda: seen.payloads == [b"12"])


async def test_a_record_across_files_of_the_future_is_read_at_a_start(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1", tag="P")
    rotated = container.rotate()
    container.write("2")
    ahead = time.time() + 3600
    for path in (rotated, container.path):
        os.utime(path, (ahead, ahead))
    async with following(tmp_path) as seen:
        await seen.until(lambda: seen.payloads == [b"12"])


@pytest.mark.parametrize("size", [40_000, 120_000])
async def test_starting_at_the_end_inside_an_overlong_line_keeps_the_next_record(tmp_path: Path, size: int) -> None:
    container = Container(tmp_path)
    container.raw(b"2026-11-23T07:23:01.000000001Z stdout F " + b"x" * 2_000)
    async with following(tmp_path, start_at="end", max_record_bytes=1024) as seen:
        await seen.until(lambda: list(seen.reader.files))
        container.raw(b"y" * size)
        await seen.until(lambda: seen.telemetry.value("read_bytes_total") >= size)
        container.raw(b"y" * size + b"\n")
        container.write(1, 2)
        await seen.until(lambda: seen.payloads == [b"1", b"2"])


class Storm:
    """Runs that are killed at any moment, over a log that is rotated, compressed and deleted as kubelet does."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.container = Container(root)
        self.root = root
        self.chance = chance
        self.written = 0
        self.delivered: set[int] = set()
        self.on_disk: dict[str, Position] = {}
        self.gaps: dict[str, int] = {}
        self.rotated: list[Path] = []

    def write(self) -> None:
        for _ in range(self.chance.randrange(1, 6)):
            self.written += 1
            self.container.write(self.written)

    def rotate(self) -> None:
        if self.rotated:
            self.rotated[-1] = compress(self.rotated[-1])
        self.rotated.append(self.container.rotate())

    async def life(self, seconds: float, first: bool) -> None:
        positions = None if first else self.on_disk
        async with following(self.root, positions=positions) as seen:
            ends = time.monotonic() + seconds
            saved_at = time.monotonic()
            while time.monotonic() < ends:
                self.write()
                if self.chance.random() < 0.2:
                    self.rotate()
                await asyncio.sleep(self.chance.random() * 0.03)
                if time.monotonic() - saved_at > 0.1:
                    self.on_disk, saved_at = seen.reader.positions(), time.monotonic()
                self._delete_delivered(seen)
            self._note(seen)

    def _note(self, seen: Following) -> None:
        self.delivered.update(seen.numbers)
        for gap in seen.gaps:
            self.gaps[gap.key] = self.gaps.get(gap.key, 0) + 1

    def _delete_delivered(self, seen: Following) -> None:
        """Kubelet keeps five files; here it deletes none that the checkpoint does not cover."""
        self._note(seen)
        known = {position.path: position for position in self.on_disk.values()}
        while len(self.rotated) > 5:
            oldest = self.rotated[0]
            covered = known.get(str(oldest))
            if covered is None or not covered.complete:
                return
            oldest.unlink()
            del self.rotated[0]


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_kills_without_loss_announces_no_gap(tmp_path: Path, seed: int) -> None:
    storm = Storm(tmp_path, random.Random(seed))
    for number in range(12):
        await storm.life(storm.chance.random() * 0.5, number == 0)
    async with following(tmp_path, positions=storm.on_disk) as last:
        storm.delivered.update(last.numbers)
        await last.until(lambda: storm.delivered | set(last.numbers) >= set(range(1, storm.written + 1)))
        await last.looks(3)
        storm._note(last)

    assert not storm.gaps
