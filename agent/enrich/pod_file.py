"""The source of pods that reads them from a file, as `kubectl get pods -A -o json` writes it.

For hosts that cannot reach the API server, and for trials. The file is read at the start and after every change; a pod
that is no longer in the file counts as deleted. A file that cannot be read is logged and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

from agent.enrich.cache import MOST_PODS
from agent.enrich.pod import Pod, Selection
from agent.enrich.responses import PodListReader
from agent.enrich.source import PodSink
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Time between two looks at the file's inode, time and size."""

REMEDY = "write it with `kubectl get pods -A -o json`"


PIECE_BYTES = 64 * 1024


class PodsInFile(NamedTuple):
    """The first pods of the file, as many as the cache can hold, and the number of those that could not be decoded."""

    pods: list[Pod]
    unreadable: int


def read_pod_file(path: Path, selection: Selection) -> PodsInFile:
    """Reads the file in pieces. Raises KubernetesError when it cannot be read or is not a list of pods."""
    reader = PodListReader(selection)
    pods: list[Pod] = []
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                for pod in reader.feed(piece):
                    if len(pods) < MOST_PODS:
                        pods.append(pod)
        reader.end()
    except OSError as error:
        raise KubernetesError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    except KubernetesError as error:
        raise KubernetesError(f"{path}: {error}; {REMEDY}") from error
    return PodsInFile(pods, reader.unreadable)


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
                    # A file with all pods of a cluster takes seconds to decode.
                    found = await asyncio.to_thread(read_pod_file, self._path, self._selection)
                    for pod in found.pods:
                        sink.pod_changed(pod)
                    sink.pods_listed([pod.uid for pod in found.pods])
                    seen = version
                    log.info(
                        "pod file read",
                        extra={"path": str(self._path), "pods": len(found.pods), "unreadable": found.unreadable},
                    )
                # A file does not report new pods, so no record should wait for a pod that is not in the file.
                sink.source_works(reports_new_pods=False)
            except OSError as error:
                self._failed(f"{self._path}: cannot be read ({error.strerror}); {REMEDY}", sink)
            except KubernetesError as error:
                self._failed(str(error), sink)
            await asyncio.sleep(LOOK_SECONDS)

    def _failed(self, reason: str, sink: PodSink) -> None:
        sink.source_failed(reason)
        if (fields := self._occasional.fields(reason)) is not None:
            log.warning("pod file could not be used", extra={"reason": reason, **fields})
