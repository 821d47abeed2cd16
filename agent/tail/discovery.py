"""Which files there are to read, and whose they are.

Looks through kubelet's tree and the extra globs; what has not changed since the last look is not
listed again, so thousands of unrelated pods cost one stat. Decides nothing about reading.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.core.kubelet import PodDirectory, Selection, parse_log_name, parse_pod_directory
from agent.errors import DiscoveryError
from agent.settings import Tail

_MAGIC: Final = re.compile(r"[*?\[]")
_ROTATED: Final = re.compile(r"[.-][-.\w]*\d[-.\w]*")
_TICK_NS: Final = 50_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Listing:
    changed: int
    """The directory's time of change in nanoseconds; -1: too recent to be relied on."""
    content: list[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One log as its writer sees it: a restart of a container, or a file that is rotated under one name."""

    root: Path
    """The trusted directory; no link is followed below it."""
    relative: tuple[str, ...]
    """Steps from there to the live file."""
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.relative)

    @property
    def belongs_to(self) -> str:
        """What makes its files differ from those of any other source with the same content."""
        return "/".join((self.pod_uid, self.container, self.relative[-1])) if self.pod_uid else str(self.path.parent)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source, as it stood at the time of the look."""

    relative: tuple[str, ...]
    rotated: str
    """Sorts the files of a source, oldest first; the live file, which is not rotated, is last."""
    compressed: bool
    device: int
    inode: int
    size: int

    @property
    def live(self) -> bool:
        return not self.rotated


class Discovery:
    """Looks again and again; lists a directory anew only when it has changed since the last look."""

    def __init__(self, settings: Tail) -> None:
        self._settings = settings
        self._selection = Selection(settings.namespace, settings.pod, settings.container)
        self._listings: dict[Path, _Listing] = {}
        self.directories: set[Path] = set()
        """Those worth watching for changes."""

    def look(self) -> dict[Source, tuple[FoundFile, ...]]:
        """Every source with its files, oldest first. Raises DiscoveryError when the root cannot be listed."""
        self.directories = set()
        files: dict[Source, list[FoundFile]] = {}
        if self._settings.root is not None:
            for source, file in self._kubelet(self._settings.root):
                files.setdefault(source, []).append(file)
        for pattern in self._settings.paths:
            for source, file in self._globbed(pattern):
                files.setdefault(source, []).append(file)
        for gone in self._listings.keys() - self.directories:
            del self._listings[gone]
        return {source: tuple(sorted(found, key=_age)) for source, found in files.items()}

    def _kubelet(self, root: Path) -> Iterator[tuple[Source, FoundFile]]:
        for pod_directory, pod in self._pods(root):
            for container in self._listed(pod_directory, self._containers):
                directory = pod_directory / container
                for name, found in self._listed(directory, _log_files):
                    log = parse_log_name(name)
                    if log is not None:
                        live = (pod_directory.name, container, f"{log.restart}.log")
                        source = Source(root, live, pod.namespace, pod.pod, pod.uid, container)
                        yield source, FoundFile((*live[:2], name), log.rotated, log.compressed, *found)

    def _pods(self, root: Path) -> list[tuple[Path, PodDirectory]]:
        try:
            with os.scandir(root):
                return self._listed(root, self._pod_directories)
        except OSError as error:
            raise DiscoveryError(
                f"{root}: cannot be listed ({error.strerror}); mount kubelet's log directory there, or set tail.root"
            ) from error

    def _pod_directories(self, root: Path) -> list[tuple[Path, PodDirectory]]:
        with os.scandir(root) as entries:
            parsed = ((entry.name, parse_pod_directory(entry.name)) for entry in entries)
            return [(root / name, pod) for name, pod in parsed if pod is not None and self._selection.takes_pod(pod)]

    def _containers(self, pod_directory: Path) -> list[str]:
        with os.scandir(pod_directory) as entries:
            return [
                entry.name
                for entry in entries
                if self._selection.takes_container(entry.name) and entry.is_dir(follow_symlinks=False)
            ]

    def _listed(self, directory: Path, read: Callable[[Path], list[T]]) -> list[T]:
        """What `read` makes of a directory, remembered for as long as it does not change."""
        try:
            changed = os.stat(directory).st_mtime_ns
            known = self._listings.get(directory)
            if known is None or known.changed != changed:
                # The kernel's clock ticks in milliseconds: what changed just now may change again unseen.
                settled = time.time_ns() - changed > _TICK_NS
                known = self._listings[directory] = _Listing(changed if settled else -1, read(directory))
        except OSError:
            return []  # gone since its parent was listed, which kubelet does to pods all the time
        self.directories.add(directory)
        return known.content

    def _globbed(self, pattern: str) -> Iterator[tuple[Source, FoundFile]]:
        parts = Path(pattern).parts
        fixed = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
        root = Path(*parts[:fixed])
        paths = sorted(glob.glob(pattern))  # noqa: PTH207  # patterns are absolute, which Path.glob refuses
        if not _MAGIC.search(pattern):
            paths = [pattern]  # also while it is away: its rotated files may be what is left of it
        for path in paths:
            relative = Path(path).relative_to(root).parts
            source = Source(root, relative)
            directory = root.joinpath(*relative[:-1])
            for name, found in self._listed(directory, _log_files):
                suffix = name.removeprefix(relative[-1])
                if name.startswith(relative[-1]) and (not suffix or _ROTATED.fullmatch(suffix)):
                    rotated = _rotation(directory / name, suffix)
                    yield source, FoundFile((*relative[:-1], name), rotated, suffix.endswith(".gz"), *found)


def _rotation(path: Path, suffix: str) -> str:
    """logrotate counts upwards with age (`.1`, `.2.gz`) or writes dates, so the last write is what sorts."""
    if not suffix:
        return ""
    try:
        return f"{os.stat(path, follow_symlinks=False).st_mtime_ns:020d}{suffix}"
    except OSError:
        return f"{0:020d}{suffix}"


def _age(file: FoundFile) -> tuple[bool, str]:
    return file.live, file.rotated


def _log_files(directory: Path) -> list[tuple[str, tuple[int, int, int]]]:
    with os.scandir(directory) as entries:
        seen = ((entry.name, _seen(entry)) for entry in entries)
        return [(name, found) for name, found in seen if found is not None]


def _seen(entry: os.DirEntry[str]) -> tuple[int, int, int] | None:
    """Device, inode, size of a regular file or of what a link leads to; opening decides whether that is allowed."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size) if stat.S_ISREG(status.st_mode) else None
