"""Finds Falcos that are not read by the names of the directories below the log root; for agents without the API server.

kubelet gives each pod a directory `<namespace>_<pod>_<uid>` with a directory for each container. The names are listed
when the root has changed, and once a minute, because a container's directory appears later than its pod's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from agent.core.falco_pods import TailGlobs, main_container, recognise_directory, settings_to_read
from agent.core.reading.pod_paths import Selection, parse_pod_directory

LIST_ANYHOW_SECONDS: Final = 60.0


class UnreadPod(NamedTuple):
    """A pod that is Falco by its names, and that the settings do not select."""

    name: str
    uid: str
    because: str
    to_read: str
    """The settings to change."""


class SelectedContainer(NamedTuple):
    """A container that the settings select; it may have no log."""

    key: str
    """The pod's uid and the container."""
    name: str
    """`namespace/pod`"""
    changed_at: float
    """The time at which its directory last changed, in seconds of the monotonic clock."""


class PodDirectories:
    """`root`: None: no directory of kubelet is read, and none is listed."""

    def __init__(self, root: Path | None, globs: TailGlobs) -> None:
        self._root = root
        self._globs = globs
        self._selection = Selection(*globs)
        self._listed_at = float("-inf")
        self._changed_ns = -1
        self._unread: tuple[UnreadPod, ...] = ()
        self.selected: tuple[SelectedContainer, ...] = ()
        """As of the last call of `unread`."""

    def unread(self, now: float) -> tuple[UnreadPod, ...]:
        """The Falcos below the root that are not read. A root that cannot be listed has none."""
        if self._root is None:
            return ()
        try:
            changed_ns = self._root.stat().st_mtime_ns
            if changed_ns != self._changed_ns or now - self._listed_at >= LIST_ANYHOW_SECONDS:
                self._list(self._root, now)
                self._changed_ns, self._listed_at = changed_ns, now
        except OSError:
            return ()
        return self._unread

    def _list(self, root: Path, now: float) -> None:
        unread: list[UnreadPod] = []
        selected: list[SelectedContainer] = []
        for name in sorted(os.listdir(root)):  # noqa: PTH208  # a Path for each of thousands costs more
            pod = parse_pod_directory(name)
            if pod is None:
                continue
            containers = _names(root / name)
            is_selected = self._selection.takes_pod(pod)
            read = [container for container in containers if is_selected and self._selection.takes_container(container)]
            shown = f"{pod.namespace}/{pod.pod}"
            for container in read:
                changed_at = now - _seconds_since_change(root / name / container)
                selected.append(SelectedContainer(f"{pod.uid}/{container}", shown, changed_at))
            because = "" if read else recognise_directory(pod.pod, containers)
            if because:
                to_read = settings_to_read(
                    self._globs, namespace=pod.namespace, pod=pod.pod, container=main_container(containers)
                )
                if to_read:
                    unread.append(UnreadPod(shown, pod.uid, because, to_read))
        self._unread, self.selected = tuple(unread), tuple(selected)


def _seconds_since_change(directory: Path) -> float:
    try:
        return max(0.0, time.time() - directory.stat().st_mtime)
    except OSError:
        return 0.0


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208  # as above
    except OSError:
        return []  # gone since the root was listed, which kubelet does to pods all the time
