"""Pods from a file, `kubectl get pods -A -o json`: for hosts without the API, and for trying things out.

Read at the start and whenever the file changes; a pod that has left the file counts as deleted. A file
that cannot be read is reported, and looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.enrich.answers import read_list
from agent.enrich.projection import Selection
from agent.enrich.watch import Sink
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0


class PodFile:
    """The file, watched by its time and size."""

    def __init__(self, path: Path, selection: Selection) -> None:
        self._path = path
        self._selection = selection
        self._occasional = Occasional(600.0)

    async def run(self, sink: Sink) -> None:
        """Until cancelled."""
        seen: tuple[int, int, int] | None = None
        while True:
            try:
                status = self._path.stat()
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                if version != seen:
                    found = read_list(self._path.read_bytes(), self._selection)
                    sink.pods_listed(found.pods)
                    seen = version
                    log.info(
                        "pod file read",
                        extra={"path": str(self._path), "pods": len(found.pods), "unreadable": found.unreadable},
                    )
            except OSError as error:
                self._report(f"cannot be read ({error.strerror})")
            except KubernetesError as error:
                self._report(f"is no list of pods ({error})")
            # A file brings no news of its own: nobody need wait for a pod that is not in it.
            sink.source_works(False)
            await asyncio.sleep(LOOK_SECONDS)

    def _report(self, trouble: str) -> None:
        if (fields := self._occasional.fields(trouble)) is not None:
            remedy = "write it with `kubectl get pods -A -o json`"
            log.warning(f"pod file {trouble}", extra={"path": str(self._path), "remedy": remedy, **fields})
