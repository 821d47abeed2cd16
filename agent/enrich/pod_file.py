"""The source of pods that reads them from a file, as `kubectl get pods -A -o json` writes it.

For hosts that cannot reach the API server, and for trials. The file is read at the start and after every change; a pod
that is no longer in the file counts as deleted. A file that cannot be read is logged and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.enrich.pod import Selection
from agent.enrich.responses import PodList, read_list
from agent.enrich.source import PodSink
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Time between two looks at the file's inode, time and size."""

REMEDY = "write it with `kubectl get pods -A -o json`"


def read_pod_file(path: Path, selection: Selection) -> PodList:
    """Raises KubernetesError when the file cannot be read or is not a list of pods."""
    try:
        return read_list(path.read_bytes(), selection)
    except OSError as error:
        raise KubernetesError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    except KubernetesError as error:
        raise KubernetesError(f"{path}: {error}; {REMEDY}") from error


class PodFile:
    """Reads the file again whenever its inode, time or size changes."""

    def __init__(self, path: Path, selection: Selection) -> None:
        self._path = path
        self._selection = selection
        self._occasional = Occasional(600.0)

    async def run(self, sink: PodSink) -> None:
        """Runs until cancelled."""
        seen: tuple[int, int, int] | None = None
        while True:
            try:
                status = self._path.stat()
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                if version != seen:
                    found = read_pod_file(self._path, self._selection)
                    sink.pods_listed(found.pods)
                    seen = version
                    log.info(
                        "pod file read",
                        extra={"path": str(self._path), "pods": len(found.pods), "unreadable": found.unreadable},
                    )
            except OSError as error:
                self._report(f"{self._path}: cannot be read ({error.strerror}); {REMEDY}")
            except KubernetesError as error:
                self._report(str(error))
            # A file does not report new pods, so no record should wait for a pod that is not in the file.
            sink.source_works(False)
            await asyncio.sleep(LOOK_SECONDS)

    def _report(self, trouble: str) -> None:
        if (fields := self._occasional.fields(trouble)) is not None:
            log.warning("pod file could not be used", extra={"reason": trouble, **fields})
