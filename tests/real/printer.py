"""Prints the session in a container, step by step, so that each capture has the same lines in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.real import session
from tests.real.written import all_lines, until, whole

BEGUN_BYTES = 22_000
"""After so much of a long alert one part of it is written and another begun: a part has 16,384 bytes, and containerd
reads 4,096 bytes at a time, and one time more, before it writes a part."""


class Printer:
    """Prints in the container, and waits until the lines are in the log."""

    def __init__(self, stdout: asyncio.WriteTransport, stderr: asyncio.WriteTransport, log: Path) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._log = log
        self._printed = 0

    async def prints(self, *lines: bytes) -> None:
        for line in lines:
            await self.ends(line)

    async def begins(self, line: bytes) -> bytes:
        """Prints the beginning, and returns the rest."""
        self._stdout.write(line[:BEGUN_BYTES])
        await until(lambda: b" stdout P " in all_lines(self._log)[-1])
        return line[BEGUN_BYTES:]

    async def ends(self, rest: bytes) -> None:
        self._stdout.write(rest + b"\n")
        await self._is_written()

    async def complains(self, message: bytes) -> None:
        self._stderr.write(message + b"\n")
        await self._is_written()

    async def crashes(self, line: bytes) -> None:
        """The container prints the beginning of a line and ends."""
        self._stdout.write(line)
        self._stdout.close()
        self._stderr.close()
        await until(lambda: all_lines(self._log)[-1].endswith(line))

    async def _is_written(self) -> None:
        self._printed += 1
        await until(lambda: whole(all_lines(self._log)) == self._printed)


async def print_until_the_crash(printer: Printer, rotated: Callable[[], Awaitable[None]]) -> None:
    """`rotated` returns when the live log has been rotated."""
    await printer.complains(session.MESSAGES[0])
    await printer.prints(*session.SHORT, *session.LONG[:-2])
    rest = await printer.begins(session.CUT_BY_STDERR)
    await printer.complains(session.MESSAGES[1])
    await printer.ends(rest)
    rest = await printer.begins(session.CUT_BY_ROTATION)
    await rotated()
    await printer.ends(rest)
    await printer.prints(*session.ROTATED)
    await rotated()
    await printer.prints(*session.LAST)
    await printer.complains(session.MESSAGES[2])
    await printer.crashes(session.UNFINISHED)
