"""Opens log files so that nothing but a log file of the configured directories is read.

Every directory from the trusted root down is opened without following links, and the opened file is asked for its
type: a link, FIFO, device or directory that was put there after the scan is refused. The one exception is configured:
a link in the place of the file may lead into a directory of `tail.follow_links_into`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotALogFile(OSError):
    """The path is a link that leads elsewhere, or it is not a regular file. It is not read."""


def open_beneath(root: Path, relative: Sequence[str], allowed: Sequence[Path] = ()) -> int:
    """Opens the regular file `root`/`relative` without following a link below `root`.

    Raises OSError; NotALogFile when there is something that must not be read.
    """
    with _walked(root, relative[:-1]) as directory:
        try:
            return _regular(os.open(relative[-1], _FILE, dir_fd=directory), root.joinpath(*relative))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        return _open_link(os.readlink(relative[-1], dir_fd=directory), root.joinpath(*relative), allowed)


def _open_link(target: str, path: Path, allowed: Sequence[Path]) -> int:
    for directory in allowed:
        try:
            inside = Path(os.path.normpath(path.parent / target)).relative_to(directory).parts
        except ValueError:
            continue
        if inside:
            with _walked(directory, inside[:-1]) as parent:
                return _regular(os.open(inside[-1], _FILE, dir_fd=parent), path)
    raise NotALogFile(errno.ELOOP, f"is a link to {target}, which tail.follow_links_into does not allow", str(path))


@contextmanager
def _walked(root: Path, steps: Sequence[str]) -> Iterator[int]:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps:
            below = os.open(step, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        yield directory
    finally:
        os.close(directory)


def _regular(descriptor: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotALogFile(errno.EINVAL, "is not a regular file", str(path))
    return descriptor
