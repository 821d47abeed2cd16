"""Plays captured alerts into log files as kubelet and containerd would write them.

Each alert gets a time of its own, in nanoseconds, so that what arrives can be told from what was
written, one by one; nothing else of it is changed. Files are rotated by size: renamed, the one before
compressed, as kubelet does.
"""

from __future__ import annotations

import gzip
import itertools
import re
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

ROTATE_BYTES: Final = 10 * 1024 * 1024
"""kubelet's containerLogMaxSize."""

_TIME: Final = re.compile(rb'"time":"([^"]+)"\}$')
_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"


def captured_alerts() -> list[bytes]:
    """The lines that are packaged, without their newlines."""
    return (files("agent.local") / "data" / "alerts.jsonl").read_bytes().splitlines()


def stamped(nanoseconds: int) -> bytes:
    """A time as Falco and containerd write it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):{_SECONDS}}.{fraction:09d}Z".encode()


def time_of(alert: bytes) -> bytes | None:
    """The last `time` key of a message, which is Falco's own: ours have none."""
    start = alert.rfind(b'"time":"')
    return alert[start + 8 : alert.find(b'"', start + 8)] if start >= 0 else None


class Player:
    """Writes alerts into `root`, as the log of one Falco pod."""

    def __init__(self, root: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._directory = root / "falco_falco-demo1_0f8fad5b-d9cb-469f-a165-70867728950e" / "falco"
        self._directory.mkdir(parents=True)
        self._live = self._directory / "0.log"
        self._file = self._live.open("ab", buffering=0)
        self._size = 0
        self._rotate_bytes = rotate_bytes
        self._rotations = 0
        self._last_time = 0
        alerts = [
            (alert[: match.start(1)], alert[match.end(1) :])
            for alert in captured_alerts()
            if (match := _TIME.search(alert))
        ]
        # What Falco says about itself is said once: again and again, it would be a Falco in distress.
        again = [(before, after) for before, after in alerts if b'"source":"internal"' not in before]
        self._alerts: Iterator[tuple[bytes, bytes]] = itertools.chain(alerts, itertools.cycle(again))
        self.digests: dict[bytes, int] = {}
        """Every alert written: its time, and the CRC-32 of its bytes."""
        self.written_bytes = 0

    def play(self, alerts: int) -> None:
        """Writes so many alerts at once."""
        lines = []
        now = time.time_ns()
        for _ in range(alerts):
            before, after = next(self._alerts)
            self._last_time = max(now, self._last_time + 1)
            stamp = stamped(self._last_time)
            alert = before + stamp + after
            self.digests[stamp] = zlib.crc32(alert)
            lines.append(b"%b stdout F %b\n" % (stamp, alert))
        data = b"".join(lines)
        self._file.write(data)
        self.written_bytes += len(data)
        self._size += len(data)
        if self._size >= self._rotate_bytes:
            self._rotate()

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        """Rename, begin anew, compress what was renamed the time before."""
        self._file.close()
        earlier = sorted(path for path in self._directory.glob("0.log.*") if path.suffix != ".gz")
        # kubelet's names have seconds; the demo may rotate faster than that.
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
