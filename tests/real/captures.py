"""Where recorded log files are kept, and under which name."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

LOGS = Path(__file__).parents[1] / "data/logs"


def first_on_path(folder: Path) -> None:
    """Programs in the folder are used before all others."""
    os.environ["PATH"] = f"{folder.resolve()}:{os.environ['PATH']}"


def version_of(program: str) -> str:
    """What the program says of its version."""
    if shutil.which(program) is None:
        sys.exit(f"{program} is not on PATH; name the folder that holds it")
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()


def keep(program: str, said: str, record: Callable[[Path, Path], Awaitable[None]]) -> None:
    """Records, replaces the capture of that version, and prints its row.

    `record` gets the folder for the log files, and another to work in.
    """
    found = re.search(r" v?(\d+\.\d+\.\d+)", said)
    if found is None:
        sys.exit(f"{program} --version names no version: {said!r}")
    capture = LOGS / f"{program}-{found[1]}"
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "recorded"
        try:
            asyncio.run(_awaited(record(recorded, Path(folder) / "work")))
        except pytest.skip.Exception as lacking:
            sys.exit(str(lacking))
        shutil.rmtree(capture, ignore_errors=True)
        shutil.copytree(recorded, capture)
    sys.stdout.write(f"| `{capture.name}` | {said} | {time.strftime('%Y-%m-%d')} |\n")


async def _awaited(recording: Awaitable[None]) -> None:
    await recording
