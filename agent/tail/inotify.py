"""Wakes the tailers of a directory when something in it changes, where the kernel reports changes.

inotify is only a hint: the kernel runs out of watches, and some file systems report nothing, so scanning goes on beside
it. Many writes within a few milliseconds are one wake-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

from agent.tail.names import printable

QUIET_SECONDS: Final = 0.005
"""Between two wake-ups: everything that a busy writer writes in the meantime is one wake-up."""

_CHANGES: Final = flags.MODIFY | flags.CREATE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE | flags.ONLYDIR

# Plain numbers: Python makes a new flags object in each operation on flags, and there are several for each event.
_MOVES: Final = flags.CREATE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE
_STRUCTURE: Final = int(_MOVES | flags.DELETE_SELF | flags.IGNORED)
_OVERFLOW: Final = int(flags.Q_OVERFLOW)
_DIRECTORY: Final = int(flags.ISDIR)
_LOST: Final = int(flags.IGNORED | flags.ISDIR)

log = logging.getLogger(__name__)


class Inotify:
    """Watches directories. Calls `written(directory)` for writes, and `moved()` when files are created or removed.

    A directory `name` that is created or removed in `parent` is not reported when `ignores(parent, name)` is true.
    """

    def __init__(
        self, written: Callable[[Path], None], moved: Callable[[], None], ignores: Callable[[Path, str], bool]
    ) -> None:
        self._written = written
        self._moved = moved
        self._ignores = ignores
        self._wanted: set[Path] = set()
        self._watches: dict[Path, int] = {}
        self._directories: dict[int, Path] = {}
        self._changed: set[Path] = set()
        """Directories in which files were created or removed, or may have been before the directory was watched."""
        self._watches_all = False
        self._missed_some = False
        """The kernel dropped events since the last `changed_directories`."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.info("inotify is not available, scanning only", extra={"why": error.strerror})
        else:
            self._listen()

    def watch(self, directories: set[Path]) -> None:
        """Watches exactly these directories from now on, as far as the kernel allows."""
        self._wanted = directories
        if self._inotify is None:
            return
        for gone in self._watches.keys() - directories:
            self._forget(gone, self._inotify)
        for fresh in directories - self._watches.keys():
            try:
                descriptor = self._inotify.add_watch(fresh, _CHANGES)
            except OSError as error:
                log.debug(
                    "directory is not watched, only scanned", extra={"path": printable(fresh), "why": error.strerror}
                )
                continue
            if descriptor in self._directories:
                continue  # watched under another name: the kernel reports it under that name only
            self._watches[fresh] = descriptor
            self._directories[descriptor] = fresh
            self._changed.add(fresh)
        self._watches_all = self._watches.keys() == directories

    def changed_directories(self) -> set[Path] | None:
        """Directories whose files may have changed names since this was last asked. None: any directory may have."""
        knows_all = self._watches_all and not self._missed_some
        changed, self._changed, self._missed_some = self._changed, set(), False
        return changed if knows_all else None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _listen(self) -> None:
        self._timer = None
        if self._inotify is not None:
            self._loop.add_reader(self._inotify.fileno(), self._read)

    def _read(self) -> None:
        inotify = self._inotify
        if inotify is None:
            return
        # Not read again for a moment: the kernel merges equal events that wait.
        self._loop.remove_reader(inotify.fileno())
        self._timer = self._loop.call_later(QUIET_SECONDS, self._listen)
        written: set[Path] = set()
        lost: list[Path] = []
        moved = False
        for event in inotify.read(timeout=0):
            directory = self._directories.get(event.wd)
            if event.mask & _OVERFLOW:
                moved = self._missed_some = True
            elif directory is None:
                continue
            elif event.mask & _STRUCTURE:
                if event.mask & _DIRECTORY and self._ignores(directory, event.name):
                    continue
                moved = True
                self._changed.add(directory)
                if event.mask & _LOST:
                    lost += self._lost_with(directory / event.name, inotify)
            else:
                written.add(directory)
        if lost:
            self.watch(self._wanted)
        for directory in written:
            self._written(directory)
        if moved:
            self._moved()

    def _lost_with(self, directory: Path, inotify: INotify) -> list[Path]:
        """The directory is gone or was replaced. Forgets it and everything below it; returns what was forgotten."""
        if directory not in self._watches:
            return []
        inside = f"{directory}/"  # comparing text is much faster than Path.is_relative_to
        lost = [directory, *(watched for watched in self._watches if str(watched).startswith(inside))]
        for watched in lost:
            self._forget(watched, inotify)
            self._changed.add(watched)
        return lost

    def _forget(self, directory: Path, inotify: INotify) -> None:
        descriptor = self._watches.pop(directory)
        self._directories.pop(descriptor, None)
        try:
            inotify.rm_watch(descriptor)
        except OSError as error:
            # The directory itself is gone, and its watch with it.
            log.debug("watch was gone", extra={"path": printable(directory), "why": error.strerror})
