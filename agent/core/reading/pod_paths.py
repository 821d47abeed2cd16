"""The names that kubelet gives to log files.

A log file is `<namespace>_<pod>_<uid>/<container>/<n>.log`; n counts the container's restarts. Kubelet renames a full
file to `<n>.log.<YYYYMMDD-HHMMSS>`, and compresses it at the next rotation (kubelet's log manager, captured from 1.25
and 1.36). The agent does not read files with other names.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final

from msgspec import Struct

_POD_DIRECTORY: Final = re.compile(
    r"([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)_([a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?)_([0-9a-fA-F-]{32,36})"
)
_CONTAINER: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LOG_FILE: Final = re.compile(r"(0|[1-9][0-9]{0,8})\.log(?:\.([0-9]{8}-[0-9]{6})(\.gz)?)?")


class PodDirectory(Struct, frozen=True):
    """The pod whose logs a directory below the root holds."""

    namespace: str
    pod: str
    uid: str


class LogName(Struct, frozen=True, order=True):
    """One file of a container: the restart, and when kubelet rotated the file (empty: not rotated)."""

    restart: int
    rotated: str
    compressed: bool


def parse_pod_directory(name: str) -> PodDirectory | None:
    match = _POD_DIRECTORY.fullmatch(name)
    return PodDirectory(*match.groups()) if match else None


def parse_log_name(name: str) -> LogName | None:
    match = _LOG_FILE.fullmatch(name)
    return LogName(int(match[1]), match[2] or "", match[3] is not None) if match else None


class Selection:
    """Which containers are read: globs for namespace, pod and container."""

    __slots__ = ("_container", "_namespace", "_pod")

    def __init__(self, namespace: str, pod: str, container: str) -> None:
        self._namespace = re.compile(translate(namespace))
        self._pod = re.compile(translate(pod))
        self._container = re.compile(translate(container))

    def takes_pod(self, directory: PodDirectory) -> bool:
        return bool(self._namespace.match(directory.namespace) and self._pod.match(directory.pod))

    def takes_container(self, name: str) -> bool:
        return bool(_CONTAINER.fullmatch(name) and self._container.match(name))
