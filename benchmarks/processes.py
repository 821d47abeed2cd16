"""The processes of a measurement: the sink and a log shipper, with their CPU time and memory.

CPU time is that of the process: from getrusage after its end, or from the scheduler's statistics while it runs.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

MIB = 1024 * 1024
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.02

META = "meta"
"""Directory with metadata of Falco's pod, for peers that would ask an API server."""


class Sink:
    """A running `benchmarks.sink`."""

    def __init__(self, process: subprocess.Popen[bytes], certificate: Path | None) -> None:
        self._process = process
        self.certificate = certificate
        address = self._answer()
        self.endpoint = str(address["endpoint"])
        self.port = int(address["port"])

    def report(self) -> dict[str, Any]:
        """The counts of received requests, and the sink's own CPU time."""
        return self._command(b"report")

    def times(self) -> list[int]:
        """The times of all received alerts, in nanoseconds since 1970; needs `identify`."""
        times: list[int] = self._command(b"times")["times"]
        return times

    def close_gate(self) -> None:
        """Answer all further requests with 503."""
        self._command(b"close")

    def open_gate(self) -> None:
        self._command(b"open")

    def wait_for(self, events: int, subject: Subject, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The report when this number of events has arrived. Raises RuntimeError when the subject ends before."""
        deadline = time.monotonic() + seconds
        while (report := self.report())["events"] < events:
            if not subject.is_alive or time.monotonic() > deadline:
                raise RuntimeError(f"{subject.name} shipped {report['events']} of {events}:\n{subject.log_tail()}")
            time.sleep(POLL_SECONDS)
        return report

    def _command(self, word: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(word + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = orjson.loads(self._process.stdout.readline())
        return answer


@contextmanager
def sink(
    place: Path, *, tls: bool = False, puts_per_second: float = 0.0, watch: bool = False, identify: bool = False
) -> Iterator[Sink]:
    certificate = place / "sink.pem"
    command = [sys.executable, "-m", "benchmarks.sink", "--certificate", str(certificate)]
    command += ["--tls"] if tls else []
    command += ["--watch"] if watch else []
    command += ["--identify"] if identify else []
    command += ["--puts-per-second", str(puts_per_second)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Sink(process, certificate if tls else None)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Used:
    """CPU time and peak memory of a process, from its start to its end."""

    cpu_seconds: float
    peak_bytes: int


class Subject:
    """A log shipper that is measured."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.started_at = time.monotonic()
        self._log = log
        self._peak_bytes = 0
        self._exited = False
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        if not self._exited:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            self._exited = ended is not None
        return not self._exited

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the current threads from the scheduler, in nanoseconds; getrusage counts in ticks."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    @property
    def resident_bytes(self) -> int:
        return self._memory("VmRSS")

    @property
    def anonymous_bytes(self) -> int:
        """Resident memory that is no page of a file."""
        return self._memory("RssAnon")

    @property
    def peak_bytes(self) -> int:
        return self._memory("VmHWM")

    def stop(self, seconds: float = 60.0) -> Used:
        """Asks it to end, and waits; what it used in all."""
        peak_bytes = self.peak_bytes if self.is_alive else 0
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return self._ended(peak_bytes)

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self._ended(0)

    def _ended(self, peak_bytes: int) -> Used:
        if self.is_alive:
            self._process.kill()
        _, _, usage = os.wait4(self.pid, 0)
        self._process.returncode = 0
        self._exited = True
        return Used(usage.ru_utime + usage.ru_stime, peak_bytes)

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _memory(self, name: str) -> int:
        # ru_maxrss is not used, because it includes the parent's memory at the fork.
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024


@contextmanager
def agent(place: Path, target: Sink, **settings: str) -> Iterator[Subject]:
    """`falcowatch run` on `place`/pods with default settings. Keyword `tail__paths` sets FALCOWATCH_TAIL__PATHS."""
    with _running(
        Subject("falcowatch", _AGENT, _agent_environment(place, target, settings), place / "agent.log")
    ) as subject:
        yield subject


@contextmanager
def peer(name: str, command: str, place: Path, target: Sink) -> Iterator[Subject]:
    """Another log shipper. Its environment names paths and the sink; HERE is the directory `peers/`."""
    state = place / f"state-{name}"
    state.mkdir(exist_ok=True)
    variables = {
        "HERE": str(Path(__file__).parent / "peers"),
        "LOGS": str(place / "pods"),
        "STATE": str(state),
        "META": str(place / META),
        "HOST": "127.0.0.1",
        "PORT": str(target.port),
        "CERTIFICATE": str(target.certificate or ""),
    }
    environment = dict(os.environ) | _CREDENTIALS | variables
    with _running(Subject(name, shlex.split(command), environment, place / f"{name}.log")) as subject:
        yield subject


@contextmanager
def _running(subject: Subject) -> Iterator[Subject]:
    try:
        yield subject
    finally:
        if subject.is_alive:
            subject.stop()


_AGENT = [sys.executable, "-m", "agent.cli", "run"]
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-west-1",
}


def _agent_environment(place: Path, target: Sink, settings: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FALCOWATCH_", "AWS_"))}
    chosen = {
        "node_name": "node-1",
        "state_dir": str(place / "state"),
        "tail__root": str(place / "pods"),
        "cloudwatch__endpoint_url": target.endpoint,
        "http__host": "127.0.0.1",
        "http__port": "0",
        **settings,
    }
    trust = {"AWS_CA_BUNDLE": str(target.certificate)} if target.certificate else {}
    return clean | _CREDENTIALS | trust | {f"FALCOWATCH_{name.upper()}": value for name, value in chosen.items()}
