"""Wakes the readers of a directory when something in it changes, where the kernel offers that.

inotify is only ever a hint: it runs out of watches, and some file systems send nothing, so scanning
goes on beside it. A flood of writes is one wake-up, not one for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

QUIET_SECONDS: Final = 0.005
"""After a wake-up, so long until the next: what a busy writer does meanwhile comes as one."""

_CHANGES: Final = flags.MODIFY | flags.CREATE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE | flags.ONLYDIR
_STRUCTURE: Final = flags.CREATE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE | flags.DELETE_SELF | flags.IGNORED

log = logging.getLogger(__name__)


class Inotify:
    """Watches directories. `written(directory)` is called for writes, `moved()` when files come or go.

    Of a directory that comes or goes nobody is told where `ignores(directory it is in, name)`.
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
        self._stirred: set[Path] = set()
        """Where files came or went, or may have before the directory was watched."""
        self._hears_all = False
        self._missed_some = False
        """Events were dropped since that was last asked."""
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
        """Watches exactly these from now on, as far as the kernel allows."""
        self._wanted = directories
        if self._inotify is None:
            return
        for gone in self._watches.keys() - directories:
            self._forget(gone, self._inotify)
        for fresh in directories - self._watches.keys():
            try:
                descriptor = self._inotify.add_watch(fresh, _CHANGES)
            except OSError as error:
                log.debug("directory is not watched, only scanned", extra={"path": str(fresh), "why": error.strerror})
                continue
            if descriptor in self._directories:
                continue  # watched under another name, by which alone the kernel's word can be passed on
            self._watches[fresh] = descriptor
            self._directories[descriptor] = fresh
            self._stirred.add(fresh)
        self._hears_all = self._watches.keys() == directories

    def stirred(self) -> set[Path] | None:
        """Where files may have come or gone since this was last asked; None: anywhere."""
        hears_all = self._hears_all and not self._missed_some
        stirred, self._stirred, self._missed_some = self._stirred, set(), False
        return stirred if hears_all else None

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
        # Not read again for a while: the kernel merges equal events that wait.
        self._loop.remove_reader(inotify.fileno())
        self._timer = self._loop.call_later(QUIET_SECONDS, self._listen)
        written: set[Path] = set()
        lost: list[Path] = []
        moved = False
        for event in inotify.read(timeout=0):
            directory = self._directories.get(event.wd)
            if event.mask & flags.Q_OVERFLOW:
                moved = self._missed_some = True
            elif directory is None:
                continue
            elif event.mask & _STRUCTURE:
                if event.mask & flags.ISDIR and self._ignores(directory, event.name):
                    continue
                moved = True
                self._stirred.add(directory)
                if event.mask & (flags.IGNORED | flags.ISDIR):
                    lost += self._lose(directory / event.name, inotify)
            else:
                written.add(directory)
        if lost:
            self.watch(self._wanted)
        for directory in written:
            self._written(directory)
        if moved:
            self._moved()

    def _lose(self, directory: Path, inotify: INotify) -> list[Path]:
        """It is gone, or another one stands in its place: all in it is to be watched anew, if it is there."""
        if directory not in self._watches:
            return []
        inside = f"{directory}/"  # text: to ask each path whether it is relative to another takes 27 times as long
        lost = [directory, *(watched for watched in self._watches if str(watched).startswith(inside))]
        for watched in lost:
            self._forget(watched, inotify)
            self._stirred.add(watched)
        return lost

    def _forget(self, directory: Path, inotify: INotify) -> None:
        descriptor = self._watches.pop(directory)
        self._directories.pop(descriptor, None)
        try:
            inotify.rm_watch(descriptor)
        except OSError as error:
            # The directory itself is gone, and its watch with it.
            log.debug("watch was gone", extra={"path": str(directory), "why": error.strerror})
