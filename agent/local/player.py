"""Writes captured Falco alerts into container log files, in the format of containerd and with kubelet's rotation.

Each alert gets a unique time in nanoseconds, which identifies the alert when it arrives; all its other bytes stay as
captured. Files are rotated by size, as kubelet does it: the live file is renamed, and the file that was rotated before
is compressed.
"""

from __future__ import annotations

import gzip
import itertools
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

ROTATE_BYTES: Final = 10 * 1024 * 1024
"""kubelet's containerLogMaxSize."""

_TIME: Final = re.compile(rb'"time":"([^"]+)"\}$')
_CRITICAL: Final = b'"priority":"Critical"'
_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"


def captured_alerts() -> list[bytes]:
    """The captured alerts in the package's data file, one JSON object each, without newlines."""
    return (files("agent.local") / "data" / "alerts.jsonl").read_bytes().splitlines()


def stamped(nanoseconds: int) -> bytes:
    """A time in the format of Falco and containerd, such as `2026-11-23T10:00:00.000000001Z`."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):{_SECONDS}}.{fraction:09d}Z".encode()


def time_of(alert: bytes) -> bytes | None:
    """The value of the last `time` key of an event, which is Falco's: the agent appends no key of this name."""
    start = alert.rfind(b'"time":"')
    return alert[start + 8 : alert.find(b'"', start + 8)] if start >= 0 else None


class Flood(NamedTuple):
    """What identifies a flood's last routine alert and the Critical behind it, and when both were written."""

    last: bytes
    critical: bytes
    written_at: float
    """Seconds since 1970."""


class Player:
    """Writes the log of one Falco pod below `root`."""

    def __init__(self, root: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._directory = root / "falco_falco-demo1_0f8fad5b-d9cb-469f-a165-70867728950e" / "falco"
        self._directory.mkdir(parents=True)
        self._live = self._directory / "0.log"
        self._file = self._live.open("ab", buffering=0)
        self._size = 0
        self._rotate_bytes = rotate_bytes
        self._rotations = 0
        self._last_time = 0
        self._written_at = 0.0
        alerts = [
            (alert[: match.start(1)], alert[match.end(1) :])
            for alert in captured_alerts()
            if (match := _TIME.search(alert))
        ]
        # Falco's internal messages are written once only: repeated, they would look like a Falco in trouble.
        repeated = [(before, after) for before, after in alerts if b'"source":"internal"' not in before]
        self._alerts: Iterator[tuple[bytes, bytes]] = itertools.chain(alerts, itertools.cycle(repeated))
        self._routine = itertools.cycle([alert for alert in repeated if _CRITICAL not in alert[0]])
        self._critical = next(alert for alert in repeated if _CRITICAL in alert[0])
        self.digests: dict[bytes, int] = {}
        """Time of each written alert → CRC-32 of its bytes."""
        self.written_bytes = 0

    def play(self, alerts: int) -> None:
        """Write this number of alerts in one call."""
        self._write(itertools.islice(self._alerts, alerts))

    def flood(self, alerts: int) -> Flood:
        """Write this number of routine alerts and one Critical behind them, in one call."""
        *_, last, critical = self._write(itertools.chain(itertools.islice(self._routine, alerts), [self._critical]))
        return Flood(last, critical, self._written_at)

    def rotate(self) -> None:
        """Rename the live file, create a new one, and compress the file that was renamed before."""
        self._file.close()
        earlier = sorted(path for path in self._directory.glob("0.log.*") if path.suffix != ".gz")
        # kubelet's names count in seconds. The demo may rotate several times a second, so it numbers its own seconds.
        self._rotations += 1
        moment = datetime.fromtimestamp(1_795_000_000 + self._rotations, UTC)
        self._live.rename(self._directory / f"0.log.{moment:%Y%m%d-%H%M%S}")
        self._file = self._live.open("ab", buffering=0)
        self._size = 0
        for path in earlier:
            compressed = path.with_name(path.name + ".tmp")
            compressed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=1))
            compressed.replace(path.with_name(path.name + ".gz"))
            path.unlink()

    def close(self) -> None:
        self._file.close()

    def _write(self, alerts: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Writes the alerts with one call, rotates the file when it is large, and returns the alerts' times."""
        lines, stamps = [], []
        now = time.time_ns()
        for before, after in alerts:
            self._last_time = max(now, self._last_time + 1)
            stamp = stamped(self._last_time)
            alert = before + stamp + after
            self.digests[stamp] = zlib.crc32(alert)
            stamps.append(stamp)
            lines.append(b"%b stdout F %b\n" % (stamp, alert))
        data = b"".join(lines)
        self._written_at = time.time()
        self._file.write(data)
        self.written_bytes += len(data)
        self._size += len(data)
        if self._size >= self._rotate_bytes:
            self.rotate()
        return stamps
