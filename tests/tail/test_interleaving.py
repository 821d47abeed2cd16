"""A rotator acts between any two system calls of the reader, as it does where the reader waits for a processor.

Each scenario is played once to count the system calls, then once for each of them: the rotator acts just before it.
Whatever the place, every alert is read once, each file id names the bytes of one log, and nothing is announced as lost.
"""

import asyncio
import gzip
import itertools
import os
import random
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.tail.checkpoint import Position
from tests.tail.following import Container, Following, compress, copytruncate, following

PLACES = range(1, 60, 2)
"""Numbers of the system calls before which the rotator acts: the ones that follow are those of an idle reader."""

HISTORIES = int(os.environ.get("TEST_HISTORIES", "80"))
"""Random histories that are played. Some thousands show what few show rarely."""

PRIORITIES = (b"Notice", b"Critical")

CALLS = ("pread", "lseek", "fstat", "open", "scandir", "stat")
"""The system calls with which the reader looks at files."""


class Log:
    """A log file on a host, its rotated files, and the numbers of the alerts that were written."""

    root: Path | None = None

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.path = directory / "falco.log"
        self.patterns = [str(self.path)]
        self.written = 0
        self._rotations = 0

    def write(self, count: int) -> None:
        """The first bytes of all alerts are the same: only the time at their end tells them apart."""
        with self.path.open("ab") as file:
            for number in range(self.written, self.written + count):
                file.write(self.line(number))
        self.written += count

    def line(self, number: int) -> bytes:
        time = b"2026-11-23T07:53:51.%09dZ" % number
        return b'{"output":"%b","priority":"%b","n":%d,"time":"%b"}\n' % (
            b"x" * 90,
            PRIORITIES[number % 2],
            number,
            time,
        )

    def lacks(self, seen: list[Following], promised: set[int]) -> set[int]:
        """The numbers that were written, are promised, and have not arrived."""
        return promised & set(range(self.written)) - set(numbers_of(seen))

    @property
    def rotations(self) -> tuple[Callable[[], object], ...]:
        return (self.copytruncate, self.copytruncate_and_compress, self.rename)

    def copytruncate(self) -> Path:
        copy = self._shift()
        copytruncate(self.path, copy)
        self._rotations += 1
        self._date(copy)
        return copy

    def copytruncate_and_compress(self) -> None:
        copy = self.copytruncate()
        packed = copy.with_name(f"{copy.name}.gz")
        packed.write_bytes(gzip.compress(copy.read_bytes(), 1))
        self._date(packed)
        copy.unlink()

    def rename(self) -> None:
        rotated = self._shift()
        self.path.rename(rotated)
        self.path.touch()
        self._rotations += 1
        self._date(rotated)

    def _shift(self) -> Path:
        """Makes the name of the newest rotated file free, as logrotate does."""
        rotated = self.path.parent.glob("falco.log.*")
        for path in sorted(rotated, key=lambda path: int(path.name.split(".")[2]), reverse=True):
            number, *rest = path.name.split(".")[2:]
            path.rename(path.with_name(".".join(["falco.log", str(int(number) + 1), *rest])))
        return self.path.with_name("falco.log.1")

    def _date(self, path: Path) -> None:
        """The time of the last write is long ago: the reader waits for a copy that may still be written."""
        os.utime(path, (1_700_000_000 + self._rotations, 1_700_000_000 + self._rotations))


class KubeletLog(Log):
    """The log of a container. A rotation compresses the file that was rotated before."""

    def __init__(self, directory: Path) -> None:
        self.root = directory
        self.patterns = []
        self._container = Container(directory)
        self.path = self._container.path
        self.written = 0

    @property
    def rotations(self) -> tuple[Callable[[], object], ...]:
        return (self.rename,)

    def line(self, number: int) -> bytes:
        return b"2026-11-23T07:53:51.%09dZ stdout F " % number + super().line(number)

    def rename(self) -> None:
        for path in self.path.parent.glob("0.log.*"):
            if path.suffix != ".gz":
                compress(path)
        self._container.rotate()


def copied(log: Log) -> None:
    log.write(3)
    log.copytruncate()
    log.write(30)


def copied_and_compressed(log: Log) -> None:
    log.write(3)
    log.copytruncate_and_compress()
    log.write(30)


def copied_twice(log: Log) -> None:
    log.copytruncate()
    log.write(30)
    log.copytruncate_and_compress()
    log.write(60)


def copied_and_left_empty(log: Log) -> None:
    log.write(2)
    log.copytruncate()


def renamed(log: Log) -> None:
    log.write(3)
    log.rename()
    log.write(30)


def renamed_twice(log: Log) -> None:
    log.rename()
    log.write(30)
    log.rename()
    log.write(2)


ROTATIONS = [
    *[
        (Log, rotate)
        for rotate in (copied, copied_and_compressed, copied_twice, copied_and_left_empty, renamed, renamed_twice)
    ],
    *[(KubeletLog, rotate) for rotate in (renamed, renamed_twice)],
]


class Rotator:
    """Acts before the system calls with the given numbers, and counts the calls."""

    def __init__(self, places: Iterable[int], action: Callable[[], None]) -> None:
        self._calls = 0
        self._left = set(places)
        self._action = action
        self._acts = False

    @property
    def is_done(self) -> bool:
        return not self._left

    def stop(self) -> None:
        """An idle reader makes few calls: the places that were not reached are left out."""
        self._left.clear()

    def before_call(self) -> None:
        if not self._acts:  # the rotator's own calls do not count
            self._calls += 1
            if self._calls in self._left:
                self._left.remove(self._calls)
                self._acts = True
                self._action()
                self._acts = False


CURRENT: ContextVar[Rotator | None] = ContextVar("CURRENT", default=None)
"""The rotator of the play that a task belongs to."""


@pytest.fixture(autouse=True)
def watched_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every system call of a reader tells the rotator of its play first."""
    for name in CALLS:
        monkeypatch.setattr(os, name, _watched(getattr(os, name)))


def _watched(call: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*args: Any, **named: Any) -> Any:
        if (rotator := CURRENT.get()) is not None:
            rotator.before_call()
        return call(*args, **named)

    return watched


class Life(Enum):
    """What the reader has seen of the log before the rotation."""

    FIRST = "the first start"
    RESTARTED = "a restart"
    KILLED = "killed after the rotation"
    URGENT = "an urgent scan with a spent budget"


async def play(place: Path, kind: type[Log], rotate: Callable[[Log], None], at: int, life: Life) -> str:
    """Play one scenario. Returns what is wrong; empty: nothing."""
    log = kind(place)
    log.write(10)
    seen = list[Following]()
    positions: dict[str, Position] | None = None
    if life is Life.RESTARTED:
        async with following(log.root, paths=log.patterns) as first:
            await first.until(lambda: len(first.payloads) == log.written and not first.reader.in_flight)
            positions = first.reader.positions()
        seen.append(first)
        log.write(5)
    promised = set[int]()

    def act() -> None:
        if is_promised(seen, positions):
            promised.update(range(1000))
        rotate(log)

    rotator = Rotator([at], act)
    CURRENT.set(rotator)
    budget: dict[str, Any] = {}
    if life is Life.URGENT:
        budget = {"budget_bytes": 1, "reserve_bytes": 1 << 20, "settles": False, "express_bytes": 1000}
    async with following(log.root, paths=log.patterns, positions=positions, **budget) as last:
        seen.append(last)
        if life is Life.KILLED:
            await waited(lambda: rotator.is_done)
            positions = last.reader.positions()
        else:
            await waited(lambda: rotator.is_done and (life is Life.URGENT or not log.lacks(seen, promised)))
            last.settle()
            await waited(lambda: not log.lacks(seen, promised))
            await last.looks(3)
    if life is Life.KILLED:
        async with following(log.root, paths=log.patterns, positions=positions) as last:
            seen.append(last)
            await waited(lambda: not log.lacks(seen, promised))
            await last.looks(3)
    CURRENT.set(None)
    return problem(log, promised, seen, may_repeat=life is Life.KILLED)


def is_promised(seen: list[Following], positions: dict[str, Position] | None) -> bool:
    """The promise begins with the file that is open, or was read by a previous run."""
    return positions is not None or any(True for _ in seen[-1].reader.files)


async def waited(reached: Callable[[], object]) -> None:
    """Waits, and gives up silently: the problems that are left show why."""
    for _ in range(200):
        if reached():
            return
        await asyncio.sleep(0.01)


def problem(log: Log, promised: set[int], seen: list[Following], *, may_repeat: bool) -> str:
    problems = []
    chunks = [chunk for one in seen for chunk in one.chunks]
    numbers = numbers_of(seen)
    if lost := log.lacks(seen, promised):
        problems.append(f"lost {sorted(lost)}")
    if twice := {number for number in numbers if numbers.count(number) > 1 and not may_repeat}:
        problems.append(f"read twice: {sorted(twice)}")
    if gaps := [gap for one in seen for gap in one.gaps]:
        problems.append(f"false gaps {gaps}")
    names = dict[tuple[str, int], bytes]()
    for chunk in chunks:
        for payload, offset in zip(chunk.records.payloads, chunk.records.offsets, strict=True):
            if names.setdefault((chunk.file_id, offset), payload) != payload:
                problems.append(f"{chunk.file_id}:{offset} names two alerts")
    return "; ".join(problems)


def numbers_of(seen: list[Following]) -> list[int]:
    return [orjson.loads(payload)["n"] for one in seen for payload in one.payloads]


@pytest.mark.parametrize("life", Life, ids=lambda life: life.name.lower())
@pytest.mark.parametrize(("kind", "rotate"), ROTATIONS, ids=lambda value: value.__name__)
async def test_a_rotation_between_any_two_system_calls_loses_nothing(
    tmp_path: Path, kind: type[Log], rotate: Callable[[Log], None], life: Life
) -> None:
    async with asyncio.TaskGroup() as tasks:
        plays = {at: tasks.create_task(play(tmp_path / str(at), kind, rotate, at, life)) for at in PLACES}

    assert {at: one.result() for at, one in plays.items() if one.result()} == {}


async def play_history(place: Path, seed: int) -> str:
    """One to three lives of the reader, in each of them some random actions of the rotator at random places."""
    chance = random.Random(seed)
    kind: type[Log] = chance.choice((Log, Log, KubeletLog))
    log = kind(place)
    log.write(chance.randrange(1, 12))
    seen, promised = list[Following](), set[int]()
    positions: dict[str, Position] | None = None
    began = 0

    def act() -> None:
        nonlocal began
        if not promised and is_promised(seen, positions):
            promised.update(range(began, 10_000))
        for _ in range(chance.choice((1, 1, 2, 3))):
            rotation = chance.choice((None, *log.rotations))
            if rotation is None:
                log.write(chance.randrange(1, 40))
            else:
                rotation()
                began = log.written
        if chance.random() < 0.5:
            log.write(chance.randrange(1, 60))

    scan: dict[str, Any] = {"express_bytes": 1000} if chance.random() < 0.3 else {}
    lives = chance.choice((1, 2, 3))
    for life in range(lives):
        rotator = Rotator(itertools.accumulate(chance.choices(range(1, 50), k=chance.randrange(1, 6))), act)
        CURRENT.set(rotator)
        settles = chance.random() < 0.7
        async with following(log.root, paths=log.patterns, positions=positions, settles=settles, **scan) as last:
            seen.append(last)
            await waited(partial(getattr, rotator, "is_done"))
            rotator.stop()
            if life < lives - 1:
                await asyncio.sleep(chance.random() * 0.1)
                positions = last.reader.positions()
                if not positions:
                    return ""  # the log was empty whenever it was open: the next start is a first one
            else:
                last.settle()
                await waited(lambda: not log.lacks(seen, promised))
                await last.looks(4)
    CURRENT.set(None)
    return problem(log, promised, seen, may_repeat=lives > 1)


@pytest.mark.parametrize("first_seed", range(0, HISTORIES, 40))
async def test_random_rotations_between_system_calls_lose_nothing(tmp_path: Path, first_seed: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        plays = {
            seed: tasks.create_task(play_history(tmp_path / str(seed), seed))
            for seed in range(first_seed, first_seed + 40)
        }

    assert {seed: one.result() for seed, one in plays.items() if one.result()} == {}
