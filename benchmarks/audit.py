"""The time and the memory of `falcowatch audit` for a million events in files, as an export to S3 writes them.

The events are captured alerts of 0.7 to 1.2 KB with metadata, of several nodes, in the order of their times. Their
seals are computed here by the format, so the audit must prove every event.
"""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson

from benchmarks.alerts import cri_lines
from benchmarks.results import arguments, publish

NODES = 4
EVENTS = 1_000_000
EVENTS_PER_SEAL = 5_000
EVENTS_PER_FILE = 10_000
"""kubelet rotates a log at 10 MiB."""
POD = b',"kubernetes":{"namespace_name":"shop","pod_name":"web-7d4b9c6f5-00001","pod_id":"0b9d6a7e-1c2d-4e3f-8a9b-0","labels":{"app.kubernetes.io/name":"web","team":"shop"}}'  # noqa: E501
LIMIT_SECONDS, LIMIT_MIB = 60, 200
_PROGRAM = """
import sys, time
from pathlib import Path
from agent.cli import main
code = main(sys.argv[1:])
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(time.process_time(), peak, file=sys.stderr)
sys.exit(code)
"""
"""Peak memory of the process itself: getrusage would include the memory of the parent at the fork."""


class Node:
    """The seals of one node, as it ships one file after another."""

    def __init__(self, number: int) -> None:
        self.name = f"node-{number}"
        self._number, self._previous, self._files = 0, "", 0
        self._chain = f"{number:016x}"
        self._begin_file()

    def _begin_file(self) -> None:
        self._files += 1
        self._file = sha256(f"{self.name} {self._files}".encode()).hexdigest()[:16]
        self._offset = self._shipped = 0
        self._digest = sha256()

    def event(self, payload: bytes) -> bytes:
        message = b'%b%b,"falcowatch":{"id":"%b:%d","node":"%b"}}' % (
            payload[:-1], POD, self._file.encode(), self._offset, self.name.encode(),
        )  # fmt: skip
        self._digest.update(payload + b"\n")
        self._shipped += 1
        self._offset += len(payload) + 40
        return message

    def seal(self, *, leaving: bool = False) -> bytes:
        self._number += 1
        statement = {
            "file": self._file, "from": 0, "to": self._offset, "shipped": self._shipped, "filtered": {},
            "rejected": [], "gaps": [], "sha256": self._digest.hexdigest(),
        }  # fmt: skip
        seal = {"version": 1, "chain": self._chain, "number": self._number, "previous": self._previous}
        if self._number == 1:
            seal["begins"] = "first start"
        seal |= {"started": 1, "settings": "0" * 16, "leaving": leaving, "files": [statement]}
        message = b'{"rule":"Falcowatch: heartbeat","seal":%b,"falcowatch":{"id":"%b","node":"%b"}}' % (
            orjson.dumps(seal), f"self:seal:{self._chain}:{self._number}".encode(), self.name.encode(),
        )  # fmt: skip
        self._previous = sha256(message).hexdigest()
        if self._shipped >= EVENTS_PER_FILE:
            self._begin_file()
        return message


def exported(events: int) -> Iterator[bytes]:
    """Lines of an export, all nodes in turns."""
    nodes = [Node(number) for number in range(NODES)]
    first_ms = time.time_ns() // 1_000_000 - 3_600_000
    lines = cri_lines(first_ms * 1_000_000)
    for number, line in enumerate(itertools.islice(lines, events)):
        node = nodes[number % NODES]
        stamp = _stamp(first_ms + number // 20)
        yield stamp + node.event(line.split(b" ", 3)[3].rstrip()) + b"\n"
        if number // NODES % EVENTS_PER_SEAL == EVENTS_PER_SEAL - 1:
            yield stamp + node.seal() + b"\n"
    for node in nodes:
        yield _stamp(first_ms + events // 20) + node.seal(leaving=True) + b"\n"


def _stamp(time_ms: int) -> bytes:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()


def write_export(directory: Path, events: int) -> int:
    """Writes gzipped files of 100,000 events. Returns the bytes of all lines."""
    lines, size = exported(events), 0
    for number in itertools.count():
        some = b"".join(itertools.islice(lines, 100_000))
        if not some:
            return size
        size += len(some)
        (directory / f"{number:06}.gz").write_bytes(gzip.compress(some, 1))
    raise AssertionError("the count of files never ends")


def measured(directory: Path) -> tuple[float, float, float, int, str]:
    """Seconds, seconds of CPU, peak MiB, exit code and verdict of one audit in a process of its own."""
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "audit", "--json", "--events", str(directory)],
        capture_output=True,
        check=False,
    )
    seconds = time.monotonic() - began
    cpu_seconds, peak_kib = map(float, process.stderr.split()[-2:])
    return seconds, cpu_seconds, peak_kib / 1024, process.returncode, str(orjson.loads(process.stdout)["verdict"])


def main() -> None:
    chosen = arguments(__doc__).parse_args()
    events = 20_000 if chosen.quick else EVENTS
    with tempfile.TemporaryDirectory(prefix="falcowatch-audit-benchmark-") as path:
        size = write_export(Path(path), events)
        seconds, cpu_seconds, peak_mib, exit_code, verdict = measured(Path(path))
    row = {
        "events": events,
        "MiB": round(size / 2**20),
        "seconds": round(seconds, 1),
        "CPU seconds": round(cpu_seconds, 1),
        "events a CPU second": round(events / cpu_seconds),
        "peak MiB": round(peak_mib),
        "exit code": exit_code,
        "verdict": verdict,
    }
    publish("audit", "falcowatch audit of an export to S3", [row], chosen)
    if not chosen.quick and (exit_code or seconds > LIMIT_SECONDS or peak_mib > LIMIT_MIB):
        sys.exit(f"over the limits: {LIMIT_SECONDS} s, {LIMIT_MIB} MiB, exit code 0")


if __name__ == "__main__":
    main()
