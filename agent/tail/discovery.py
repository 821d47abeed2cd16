"""Finds the log files there are, and the source that each belongs to.

Goes through kubelet's tree and the extra globs. A directory that has not changed since the last scan is not listed
again, so thousands of unrelated pods cost one stat; where inotify reports changes, a directory without a report costs
nothing. Decides nothing about reading.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from agent.core.reading.pod_paths import PodDirectory, Selection, parse_log_name, parse_pod_directory
from agent.errors import DiscoveryError
from agent.settings import Tail
from agent.tail.types import Found, FoundFile, Source

_MAGIC: Final = re.compile(r"[*?\[]")

_ROTATED: Final = re.compile(r"[.-][-.\w]*\d[-.\w]*")

_COMPRESSED: Final = re.compile(r"\.(gz|bz2|xz|zst)$")

_TICK_NS: Final = 50_000_000

MOST_LISTINGS: Final = 5
"""Of one directory in one scan, however often it changes."""

T = TypeVar("T")


class _Listing(Struct, frozen=True):
    changed: int
    """The directory's time of change in nanoseconds."""
    is_settled: bool
    """A change after the listing would show in that time."""
    has_links: bool
    """The target of a link may change without a trace in this directory."""
    content: list[Any]


class _Entry(NamedTuple):
    name: str
    device: int
    inode: int
    written_ns: int
    is_link: bool
    size: int


class _Pod(Struct, frozen=True):
    """The log files of one pod, as its directories were last listed."""

    directories: tuple[Path, ...]
    found: Found


class Discovery:
    """Looks for files again and again; lists a directory only when it has changed since the last time."""

    def __init__(self, settings: Tail) -> None:
        self._settings = settings
        self._selection = Selection(settings.namespace, settings.pod, settings.container)
        self._listings: dict[Path, _Listing] = {}
        self._linked: set[Path] = set()
        self._judged: dict[str, tuple[Path, PodDirectory] | None] = {}
        self._entered: list[tuple[Path, PodDirectory]] = []
        """The directories of our pods at the last scan."""
        self._pods: dict[Path, _Pod] = {}
        self._found: Found | None = None
        """The result of the last scan, when only changes of the listed directories can make the next one differ."""
        self._missed = False
        """At the last scan some directory could not be listed."""
        self._changed: Set[Path] | None = None
        self._is_searching = any(_MAGIC.search(pattern) for pattern in settings.paths)
        self.directories: set[Path] = set()
        """Directories to watch for changes."""

    def look(self, changed: Set[Path] | None = None) -> Found:
        """Every source with its files; the same object as before when no directory has changed.

        `changed`: the only directories whose own entries may have changed since the last scan.
        Raises DiscoveryError when the root cannot be listed.
        """
        self._changed = changed
        if self._found is not None and not self._differs():
            return self._found
        self._found = None
        self._missed = False
        self.directories = set()
        found: Found = {}
        if self._settings.root is not None:
            found = self._kubelet(self._settings.root)
        named = {pattern: _paths_of(pattern) for pattern in self._settings.paths}
        all_named = {path for paths in named.values() for path in paths}
        for pattern, paths in named.items():
            found |= self._without_known(_by_source(self._globbed(pattern, paths, all_named)), found)
        for gone in self._listings.keys() - self.directories:
            del self._listings[gone]
        self._linked = {directory for directory, listing in self._listings.items() if listing.has_links}
        if not (self._is_searching or self._missed):
            self._found = found
        return found

    def ignores(self, directory: Path, name: str) -> bool:
        """Whether `name` in `directory` is the directory of a pod whose logs are not read, as most are."""
        return directory == self._settings.root and self._judge(name) is None

    def _differs(self) -> bool:
        """Whether the files may differ from those of the last scan."""
        root = self._settings.root
        suspected = self._listings.keys() if self._changed is None else self._changed | self._linked
        differing = [directory for directory in suspected if self._may_differ(directory)]
        if root is not None and differing == [root]:
            return self._pod_directories(root) != self._entered
        return bool(differing)

    def _may_differ(self, directory: Path) -> bool:
        """Whether the directory has to be listed again."""
        known = self._listings.get(directory)
        if known is None or known.has_links:
            return True
        if self._changed is not None:
            return directory in self._changed
        try:
            return not known.is_settled or os.stat(directory).st_mtime_ns != known.changed
        except OSError:
            return True

    def _kubelet(self, root: Path) -> Found:
        before, self._pods = self._pods, {}
        found: Found = {}
        self._entered = self._pod_directories(root)
        for directory, whose in self._entered:
            pod = before.get(directory)
            if pod is None or any(map(self._may_differ, pod.directories)):
                pod = self._scanned_pod(root, directory, whose)
            else:
                self.directories.update(pod.directories)
            self._pods[directory] = pod
            found |= pod.found
        return found

    def _scanned_pod(self, root: Path, directory: Path, whose: PodDirectory) -> _Pod:
        files: list[tuple[Source, FoundFile]] = []
        directories = [directory]
        for container in self._listed(directory, self._containers):
            logs = directory / container
            directories.append(logs)
            for entry in self._listed(logs, _log_files):
                log = parse_log_name(entry.name)
                if log is not None:
                    live = (directory.name, container, f"{log.restart}.log")
                    source = Source(root, live, whose.namespace, whose.pod, whose.uid, container)
                    path, compression = (*live[:2], entry.name), "gz" if log.compressed else ""
                    found = FoundFile(path, log.rotated, compression, entry.device, entry.inode, entry.size)
                    files.append((source, found))
        return _Pod(tuple(directories), _by_source(files))

    def _pod_directories(self, root: Path) -> list[tuple[Path, PodDirectory]]:
        try:
            with os.scandir(root):
                return self._listed(root, self._ours)
        except OSError as error:
            raise DiscoveryError(
                f"{root}: cannot be listed ({error.strerror}); mount kubelet's log directory there, or set tail.root"
            ) from error

    def _ours(self, root: Path) -> list[tuple[Path, PodDirectory]]:
        # A name is judged once: among thousands of pods one comes or goes every second.
        names, judged = set(os.listdir(root)), self._judged  # noqa: PTH208  # thousands of names, no Path needed
        for gone in judged.keys() - names:
            del judged[gone]
        for name in names - judged.keys():
            pod = self._judge(name)
            judged[name] = None if pod is None else (root / name, pod)
        return [ours for ours in judged.values() if ours is not None]

    def _judge(self, name: str) -> PodDirectory | None:
        """The pod whose directory it is. None: its logs are not read."""
        pod = parse_pod_directory(name)
        return pod if pod is not None and self._selection.takes_pod(pod) else None

    def _containers(self, pod_directory: Path) -> list[str]:
        with os.scandir(pod_directory) as entries:
            return [
                entry.name
                for entry in entries
                if self._selection.takes_container(entry.name) and entry.is_dir(follow_symlinks=False)
            ]

    def _listed(self, directory: Path, read: Callable[[Path], list[T]]) -> list[T]:
        """The result of `read` for a directory, remembered as long as the directory does not change."""
        try:
            if self._may_differ(directory):
                changed = os.stat(directory).st_mtime_ns
                # The kernel's clock ticks in milliseconds: a second change within a tick keeps the same time.
                is_settled = time.time_ns() - changed > _TICK_NS
                content = read(directory)
                has_links = any(isinstance(item, _Entry) and item.is_link for item in content)
                self._listings[directory] = _Listing(changed, is_settled, has_links, content)
        except OSError:
            self._missed = True
            return []  # gone since its parent was listed, as pods often are
        self.directories.add(directory)
        return self._listings[directory].content

    def _globbed(self, pattern: str, paths: list[str], named: Set[str]) -> Iterator[tuple[Source, FoundFile]]:
        """The files of a pattern. `paths`: those that it names. `named`: those that any pattern names."""
        parts = Path(pattern).parts
        fixed = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
        root = Path(*parts[:fixed])
        rotated_paths: set[str] = set()
        for path in paths:
            if path in rotated_paths:
                continue  # a rotated file belongs to the source of its live file, also where the pattern names it
            relative = Path(path).relative_to(root).parts
            source = Source(root, relative)
            directory = root.joinpath(*relative[:-1])
            for entry in self._listed(directory, _log_files):
                suffix = entry.name.removeprefix(relative[-1])
                if entry.name.startswith(relative[-1]) and (not suffix or _ROTATED.fullmatch(suffix)):
                    # logrotate counts upwards with age or writes dates, so the last write is what sorts.
                    rotated = f"{entry.written_ns:020d}{suffix}" if suffix else ""
                    found = (*relative[:-1], entry.name)
                    packed = _COMPRESSED.search(entry.name)
                    compression = packed[1] if packed is not None else ""
                    path_found = str(directory / entry.name)
                    is_named = bool(suffix) and path_found in named
                    if is_named:
                        rotated_paths.add(path_found)
                    identity = (entry.device, entry.inode, entry.size)
                    yield source, FoundFile(found, rotated, compression, *identity, named=is_named)

    def _without_known(self, more: Found, found: Found) -> Found:
        """The sources that are not known under another name: the same path, a link to it, or the same files."""
        if not found:
            return more
        names = {self._real_path(source) for source in found}
        keys = {file.key for files in found.values() for file in files}
        fresh: Found = {}
        for source, files in more.items():
            if source in found:
                fresh[source] = files
            elif self._real_path(source) not in names:
                others = tuple(file for file in files if file.key not in keys)
                if others:
                    fresh[source] = others
        return fresh

    def _real_path(self, source: Source) -> str:
        listing = self._listings.get(source.path.parent)
        has_links = listing is None or listing.has_links
        return os.path.realpath(source.path) if has_links else str(source.path)


def _paths_of(pattern: str) -> list[str]:
    """The paths that a pattern names. A live file comes before its rotated files."""
    if not _MAGIC.search(pattern):
        return [pattern]  # also while the file is missing: its rotated files may still be there
    return sorted(glob.glob(pattern))  # noqa: PTH207  # patterns are absolute, which Path.glob refuses


def _by_source(files: Iterable[tuple[Source, FoundFile]]) -> Found:
    by_source: dict[Source, list[FoundFile]] = {}
    for source, file in files:
        by_source.setdefault(source, []).append(file)
    return {source: tuple(sorted(its, key=_age)) for source, its in by_source.items()}


def _age(file: FoundFile) -> tuple[bool, str]:
    return file.live, file.rotated


def _log_files(directory: Path) -> list[_Entry]:
    """The regular files, by name. Lists until two listings agree: a rename during a listing may hide the file."""
    entries = _listing(directory)
    for _ in range(MOST_LISTINGS):
        again = _listing(directory)
        if [(entry.name, entry.inode) for entry in again] == [(entry.name, entry.inode) for entry in entries]:
            break
        entries = again
    return entries


def _listing(directory: Path) -> list[_Entry]:
    with os.scandir(directory) as entries:
        return sorted(seen for entry in entries if (seen := _seen(entry)) is not None)


def _seen(entry: os.DirEntry[str]) -> _Entry | None:
    """A regular file, or the target of a link. `safe_open` decides whether the link is allowed."""
    try:
        status = entry.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Entry(entry.name, status.st_dev, status.st_ino, status.st_mtime_ns, entry.is_symlink(), status.st_size)
