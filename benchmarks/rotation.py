"""A Falco container's log with kubelet's rotation: renamed, compressed at the next rotation, deleted beyond five files.

kubelet's log manager, as observed in versions 1.31 to 1.35: `<n>.log` becomes `<n>.log.<YYYYMMDD-HHMMSS>`, all rotated
files except the newest are gzipped, and five files are kept. The times in names are one second apart, independent of
the clock.
"""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from benchmarks.alerts import STEP_NANOSECONDS, cri_lines, log_path

KEPT_FILES = 5
_CHUNK_LINES = 10_000


class FalcoLog:
    """Writes the log, rotates it and restarts the container."""

    def __init__(self, root: Path, number: int = 0) -> None:
        self.path = log_path(root, number)
        self._restarts = 0
        self._stamp = datetime.now(UTC)
        # A multiple of the step, so that a log shipper that rounds to microseconds leaves the times apart.
        self._first_nanoseconds = (time.time_ns() - 3600 * 10**9) // STEP_NANOSECONDS * STEP_NANOSECONDS
        self._lines = cri_lines(self._first_nanoseconds)
        """All lines differ, so that no two files begin with the same bytes."""
        self.alerts = 0
        self.bytes = 0

    def write(self, alerts: int) -> None:
        with self.path.open("ab") as file:
            for start in range(0, alerts, _CHUNK_LINES):
                self.bytes += file.write(b"".join(islice(self._lines, min(_CHUNK_LINES, alerts - start))))
        self.alerts += alerts

    @property
    def times(self) -> range:
        """The times of the alerts that were written, in nanoseconds since 1970. No two alerts have the same one."""
        return range(
            self._first_nanoseconds, self._first_nanoseconds + self.alerts * STEP_NANOSECONDS, STEP_NANOSECONDS
        )

    def rotate(self, keep: int | None = KEPT_FILES) -> None:
        """Rotate. `keep` None: keep all rotated files and compress none."""
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
        """Restart the container: a new file begins, and the files of the life before the last are deleted."""
        for file in self.path.parent.glob(f"{self._restarts - 1}.log*"):
            file.unlink()
        self._restarts += 1
        self.path = self.path.with_name(f"{self._restarts}.log")
        self.path.touch()

    def _rotated(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))
