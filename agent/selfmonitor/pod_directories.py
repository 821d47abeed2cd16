"""Finds Falcos that are not read by the names of the directories below the log root; for agents without the API server.

kubelet gives each pod a directory `<namespace>_<pod>_<uid>` with a directory for each container. The names are listed
when the root has changed, and once a minute, because a container's directory appears later than its pod's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from agent.core.falco_pods import FALCO, TailGlobs, recognise_directory, settings_to_read
from agent.core.reading.pod_paths import Selection, parse_pod_directory

LIST_ANYHOW_SECONDS: Final = 60.0


class UnreadPod(NamedTuple):
    """A pod that is Falco by its names, and that the settings do not select."""

    name: str
    uid: str
    because: str
    to_read: str
    """The settings to change."""


class PodDirectories:
    """`root`: None: no directory of kubelet is read, and none is listed."""

    def __init__(self, root: Path | None, globs: TailGlobs) -> None:
        self._root = root
        self._globs = globs
        self._selection = Selection(*globs)
        self._listed_at = float("-inf")
        self._changed_ns = -1
        self._unread: tuple[UnreadPod, ...] = ()

    def unread(self, now: float) -> tuple[UnreadPod, ...]:
        """The Falcos below the root that are not read. A root that cannot be listed has none."""
        if self._root is None:
            return ()
        try:
            changed_ns = self._root.stat().st_mtime_ns
            if changed_ns != self._changed_ns or now - self._listed_at >= LIST_ANYHOW_SECONDS:
                self._unread = tuple(self._list(self._root))
                self._changed_ns, self._listed_at = changed_ns, now
        except OSError:
            return ()
        return self._unread

    def _list(self, root: Path) -> Iterable[UnreadPod]:
        for name in sorted(os.listdir(root)):  # noqa: PTH208  # a Path for each of thousands costs more
            pod = parse_pod_directory(name)
            if pod is None:
                continue
            containers = _names(root / name)
            is_selected = self._selection.takes_pod(pod) and any(map(self._selection.takes_container, containers))
            because = recognise_directory(pod.pod, containers)
            if is_selected or not because:
                continue
            container = FALCO if FALCO in containers else ""
            to_read = settings_to_read(self._globs, namespace=pod.namespace, pod=pod.pod, container=container)
            if to_read:
                yield UnreadPod(f"{pod.namespace}/{pod.pod}", pod.uid, because, to_read)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208  # as above
    except OSError:
        return []  # gone since the root was listed, which kubelet does to pods all the time
