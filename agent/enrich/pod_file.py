"""Pods from a file, `kubectl get pods -A -o json`: for hosts without the API, and for trying things out.

Read at the start and whenever the file changes; a pod that has left the file counts as deleted. A file
that cannot be read is reported, and looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.enrich.kube_watch import Sink
from agent.enrich.pod import Selection
from agent.enrich.responses import PodList, read_list
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
REMEDY = "write it with `kubectl get pods -A -o json`"


def read_pod_file(path: Path, selection: Selection) -> PodList:
    """Raises KubernetesError when it cannot be read or is no list of pods."""
    try:
        return read_list(path.read_bytes(), selection)
    except OSError as error:
        raise KubernetesError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    except KubernetesError as error:
        raise KubernetesError(f"{path}: {error}; {REMEDY}") from error


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
            # A file brings no news of its own: nobody need wait for a pod that is not in it.
            sink.source_works(False)
            await asyncio.sleep(LOOK_SECONDS)

    def _report(self, trouble: str) -> None:
        if (fields := self._occasional.fields(trouble)) is not None:
            log.warning("pod file unusable", extra={"reason": trouble, **fields})
