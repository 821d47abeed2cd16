"""What a container runtime has written so far to a container's log and its rotated files, line by line."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

from tests.process.driver import PATIENCE_SECONDS


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():
            await asyncio.sleep(0.02)


def files_of(log: Path) -> list[Path]:
    """The rotated files, oldest first, and the live file."""
    rotated = {
        path.name.removesuffix(".gz"): path for path in log.parent.glob(f"{log.name}.*") if path.suffix != ".tmp"
    }
    return [*(rotated[name] for name in sorted(rotated)), log]


def all_lines(log: Path) -> list[bytes]:
    """Of the rotated files and the live file, also while kubelet rotates them."""
    return _lines_of_all(lambda: files_of(log))


def rotated_lines(log: Path) -> list[bytes]:
    """Of the rotated files only."""
    return _lines_of_all(lambda: files_of(log)[:-1])


def _lines_of_all(files: Callable[[], list[Path]]) -> list[bytes]:
    while True:
        try:
            return [line for file in files() for line in lines_of(file)]
        except FileNotFoundError:
            continue


def whole_lines(log: Path) -> int:
    """How many records end in it."""
    return whole(lines_of(log))


def whole(lines: list[bytes]) -> int:
    """How many records end in these lines."""
    return sum(line.split(b" ", 3)[2] == b"F" for line in lines)


def parts_in(log: Path) -> list[bytes]:
    return [line.split(b" ", 3)[3] for line in lines_of(log) if line.split(b" ", 3)[2] == b"P"]


def last_line(log: Path) -> bytes:
    return lines_of(log)[-1]


def lines_of(log: Path) -> list[bytes]:
    content = log.read_bytes()
    return (gzip.decompress(content) if log.suffix == ".gz" else content).split(b"\n")[:-1]


def ends_inside_a_character(part: bytes) -> bool:
    try:
        part.decode()
    except UnicodeDecodeError as error:
        return error.end == len(part)
    return False
