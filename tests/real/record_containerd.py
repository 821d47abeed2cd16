"""Records the log files that a version of containerd writes, for the tests that read them.

    python -m tests.real.record_containerd [FOLDER]

FOLDER holds the programs containerd, ctr and containerd-shim-runc-v2 of the version to record, for example `usr/bin`
of an unpacked Debian package. Without it, those on PATH are used. Needs root, runc and busybox-static. The files go
to tests/data/logs/containerd-<version>; the row that is printed belongs into the README.md beside that folder.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.process.driver import POD
from tests.real import session
from tests.real.containerd import Container, pod_of_containerd
from tests.real.written import last_line, until, whole_lines

LOGS = Path(__file__).parents[1] / "data/logs"
BEGUN_BYTES = 22_000
"""After so much of a long alert one part of it is written and another begun: a part has 16,384 bytes, and containerd
reads 4,096 bytes at a time, and one time more, before it writes a part."""


async def record(root: Path, work: Path) -> None:
    """Has the containerd on PATH write the session to `root`/<pod>/falco, rotated and compressed as kubelet does."""
    log = root / POD / "falco/0.log"
    log.parent.mkdir(parents=True)
    async with pod_of_containerd(work, log.parent.parent) as pod:
        async with pod.container(log) as falco:
            printer = _Printer(falco, log)
            await printer.complains(session.MESSAGES[0])
            await printer.prints(*session.SHORT, *session.LONG[:-2])
            rest = await printer.begins(session.CUT_BY_STDERR)
            await printer.complains(session.MESSAGES[1])
            await printer.ends(rest)
            rest = await printer.begins(session.CUT_BY_ROTATION)
            at = time.time()
            first = await falco.rotate(log, at=at)
            printer.lines = 0
            await printer.ends(rest)
            await printer.prints(*session.ROTATED)
            await falco.rotate(log, at=at + 10)
            _compress(first)
            printer.lines = 0
            await printer.prints(*session.LAST)
            await printer.complains(session.MESSAGES[2])
            printer.crashes(session.UNFINISHED)
            await until(lambda: last_line(log).endswith(session.UNFINISHED))
        async with pod.container(log.with_name("1.log"), restarts=1) as falco:
            await _Printer(falco, log.with_name("1.log")).prints(*session.RESTARTED)


class _Printer:
    """Prints in the container, and waits until the lines are in the log."""

    def __init__(self, container: Container, log: Path) -> None:
        self._container = container
        self._log = log
        self.lines = 0
        """Ended in the log file that is now written."""

    async def prints(self, *lines: bytes) -> None:
        for line in lines:
            await self.ends(line)

    async def begins(self, line: bytes) -> bytes:
        """Prints the beginning, and returns the rest."""
        self._container.stdout.write(line[:BEGUN_BYTES])
        await until(lambda: b" stdout P " in last_line(self._log))
        return line[BEGUN_BYTES:]

    async def ends(self, rest: bytes) -> None:
        self._container.stdout.write(rest + b"\n")
        await self._is_written()

    async def complains(self, message: bytes) -> None:
        self._container.stderr.write(message + b"\n")
        await self._is_written()

    def crashes(self, line: bytes) -> None:
        """The container prints the beginning of a line and ends."""
        self._container.stdout.write(line)
        self._container.stdout.close()
        self._container.stderr.close()

    async def _is_written(self) -> None:
        self.lines += 1
        await until(lambda: whole_lines(self._log) == self.lines)


def _compress(rotated: Path) -> None:
    rotated.with_name(f"{rotated.name}.gz").write_bytes(gzip.compress(rotated.read_bytes(), mtime=0))
    rotated.unlink()


def main() -> None:
    if sys.argv[1:]:
        os.environ["PATH"] = f"{Path(sys.argv[1]).resolve()}:{os.environ['PATH']}"
    if shutil.which("containerd") is None:
        sys.exit("containerd is not on PATH; name the folder that holds it")
    said = subprocess.run(["containerd", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r" v?(\d+\.\d+\.\d+)", said)
    if found is None:
        sys.exit(f"containerd --version names no version: {said!r}")
    capture = LOGS / f"containerd-{found[1]}"
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "recorded"
        try:
            asyncio.run(record(recorded, Path(folder) / "containerd"))
        except pytest.skip.Exception as lacking:
            sys.exit(str(lacking))
        shutil.rmtree(capture, ignore_errors=True)
        shutil.copytree(recorded, capture)
    sys.stdout.write(f"| `{capture.name}` | {said.strip()} | {time.strftime('%Y-%m-%d')} |\n")


if __name__ == "__main__":
    main()
