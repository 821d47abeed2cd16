"""Asks the kernel whether some process has a file open for writing.

A read lease is only granted on a file that nobody has open for writing (fcntl(2), F_SETLEASE), so asking for one and
returning it answers the question. The kernel refuses to answer for a file of another user (without CAP_LEASE) and on
file systems without leases.
"""

from __future__ import annotations

import errno
import fcntl
import signal
from typing import Final

_F_SETSIG: Final = 10
"""fcntl(2); Python has no name for it."""


def has_writer(descriptor: int) -> bool | None:
    """Whether some process may write to the open file. None: the kernel does not tell."""
    try:
        # A process that opens the file at this very moment breaks the lease: the kernel signals that, by default with a
        # signal that ends a process. SIGURG is ignored by default.
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno in (errno.EAGAIN, errno.EBUSY) else None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return None
    return False
