"""Damaged and unusual archives of rotated logs: intact output is shipped, and a gap event follows for the rest.

The archives lie in the container's directory before the agent starts, older than the live log.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import stage

ARCHIVED = 2_000
LIVE = range(5_000, 5_010)


def _damaged_head(data: bytes) -> bytes:
    return b"\x1f\x8b\x08\x00broken" + data[60:]


def _wrong_checksum(data: bytes) -> bytes:
    return data[:-8] + bytes(byte ^ 0xFF for byte in data[-8:-4]) + data[-4:]


def _cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _damaged_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + random.Random(1).randbytes(64) + data[middle + 64 :]


def _followed_by_garbage(data: bytes) -> bytes:
    return data + b"garbage" * 10


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "damaged head": _damaged_head,
    "wrong checksum": _wrong_checksum,
    "cut short": _cut_short,
    "damaged middle": _damaged_middle,
    "followed by garbage": _followed_by_garbage,
    "empty": lambda _: b"",
}
COMPLETE = ("wrong checksum", "followed by garbage")
"""Damages after which all output of the archive can still be read."""

FORMATS = ("xz", "bz2", "zst")


async def a_damaged_archive_ships_its_intact_part_and_announces_the_rest(place: Path, damage: str) -> Result:
    result = Result()
    async with stage(place) as node:
        data = gzip.compress(b"".join(alert_lines(range(ARCHIVED))), 6)
        node.live.with_name("0.log.20261128-000001.gz").write_bytes(DAMAGES[damage](data))
        node.append(*alert_lines(LIVE))
        async with node.running():
            result.expect(await node.until_settled(30.0), "not settled")
            await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, LIVE, "the file after the archive is lost")
    lost = len(found.missing(range(ARCHIVED)))
    result.measured |= {"lost": lost, "gaps": len(found.gaps)}
    if damage in COMPLETE:
        result.expect(not lost, f"{lost} of {ARCHIVED} alerts are lost, although all of them can be decompressed")
    elif damage == "empty":
        pass  # bytes that never existed here cannot be named; the agent must only go on
    else:
        result.expect(bool(lost), "the scenario lost nothing, so it proves nothing")
        found.expect_gap(result)
    if damage == "cut short":
        result.expect(lost < ARCHIVED * 0.6, f"{lost} of {ARCHIVED} alerts are lost, although half can be decompressed")
    return result


async def an_archive_of_another_format_is_read_or_announced(place: Path, format_name: str) -> Result:
    result = Result()
    logs = place / "logs"
    logs.mkdir(parents=True)
    text = b"".join(line.split(b" ", 3)[3] for line in alert_lines(range(ARCHIVED)))
    archive = logs / f"falco.log.1.{format_name}"
    match format_name:
        case "xz":
            archive.write_bytes(lzma.compress(text))
        case "bz2":
            archive.write_bytes(bz2.compress(text))
        case _:
            if shutil.which("zstd") is None:
                result.measured["skipped"] = "no zstd program"
                return result
            archive.write_bytes(subprocess.run(["zstd", "-c"], input=text, capture_output=True, check=True).stdout)
    (logs / "falco.log").write_bytes(b"".join(line.split(b" ", 3)[3] for line in alert_lines(LIVE)))
    async with stage(place) as node, node.running(tail__root="", tail__paths=f'["{logs}/falco.log*"]'):
        result.expect(await node.until_settled(30.0), "not settled")
        await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, LIVE, "the live file is lost")
    lost = len(found.missing(range(ARCHIVED)))
    result.measured |= {"lost": lost, "gaps": len(found.gaps), "wrapped": found.wrapped}
    result.expect(not found.wrapped, f"{found.wrapped} pieces of the archive were shipped as text")
    if lost:
        found.expect_gap(result)
    return result


SCENARIOS: tuple[IsolationScenario, ...] = (
    *variants(a_damaged_archive_ships_its_intact_part_and_announces_the_rest, DAMAGES, quick=("cut short",)),
    *variants(an_archive_of_another_format_is_read_or_announced, FORMATS),
)
