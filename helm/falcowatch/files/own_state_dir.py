"""Gives the state directory and everything in it to the user and group of the agent: `own_state_dir.py DIR UID GID`.

The agent has no capability, so it can use only files of its own user. kubelet creates the directory for root, and after
a change of runAsUser the files belong to the previous user. This program has only the capability CHOWN. It therefore
takes each directory for its own user first, so that it may list it, and gives it away after its content.
It follows no link. A program that was stopped in the middle continues at the next start. It needs only the standard
library.
"""

import os
import stat
import sys
from pathlib import Path

LIST_AND_WRITE = stat.S_IRWXU


def main(directory: str, uid: str, gid: str) -> None:
    _give(Path(directory), int(uid), int(gid))


def _give(path: Path, uid: int, gid: int) -> None:
    info = path.lstat()
    if stat.S_ISDIR(info.st_mode):
        _own(path, os.getuid(), os.getgid())
        if info.st_mode & LIST_AND_WRITE != LIST_AND_WRITE:
            path.chmod(stat.S_IMODE(info.st_mode) | LIST_AND_WRITE)
        for child in path.iterdir():
            _give(child, uid, gid)
    _own(path, uid, gid)


def _own(path: Path, uid: int, gid: int) -> None:
    info = path.lstat()
    if (info.st_uid, info.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
