"""A Falco container's log as kubelet keeps it: rotated under a stamp, compressed a round later, deleted beyond five.

kubelet's log manager, as seen on 1.31 to 1.35: `<n>.log` becomes `<n>.log.<YYYYMMDD-HHMMSS>`, every rotated file but
the newest is gzipped, and five files are kept. Stamps here are a second apart, whatever the clock says.
"""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from benchmarks.alerts import cri_lines, log_path

KEPT_FILES = 5
_CHUNK_LINES = 10_000


class FalcoLog:
    """Writes, rotates, restarts."""

    def __init__(self, root: Path, number: int = 0) -> None:
        self.path = log_path(root, number)
        self._restarts = 0
        self._stamp = datetime.now(UTC)
        self._lines = cri_lines(time.time_ns() - 3600 * 10**9)
        """Never the same line twice, so that no two files look like one."""

    def write(self, alerts: int) -> None:
        with self.path.open("ab") as file:
            for begun in range(0, alerts, _CHUNK_LINES):
                file.write(b"".join(islice(self._lines, min(_CHUNK_LINES, alerts - begun))))

    def rotate(self, keep: int | None = KEPT_FILES) -> None:
        """`keep`: None keeps all, and compresses none."""
        self._stamp += timedelta(seconds=1)
        rotated = self._rotated()
        self.path.rename(self.path.with_name(f"{self.path.name}.{self._stamp:%Y%m%d-%H%M%S}"))
        self.path.touch()
        if keep is None:
            return
        for file in rotated:
            if file.suffix != ".gz":
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
                file.unlink()
        for file in self._rotated()[: -(keep - 1)]:
            file.unlink()

    def restart(self) -> None:
        """The container's next life has a file of its own; of the one before the last nothing is kept."""
        for file in self.path.parent.glob(f"{self._restarts - 1}.log*"):
            file.unlink()
        self._restarts += 1
        self.path = self.path.with_name(f"{self._restarts}.log")
        self.path.touch()

    def _rotated(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))
