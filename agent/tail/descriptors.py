"""Keeps descriptors free for the checkpoint and for sockets, however many log files there are.

The kernel gives out the lowest free number. So when a log file gets a number close to the limit, few are left.
"""

from __future__ import annotations

import errno
import logging
import resource
from typing import Final

RESERVED: Final = 64
"""For the checkpoint, dead letters, connections to CloudWatch and the API server, and requests to our HTTP port."""

log = logging.getLogger(__name__)


class OutOfDescriptors(OSError):
    """The process may open no more log files."""


def raise_limit() -> int:
    """Raises the limit of open files to the hard limit. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("limit of open files was not raised", extra={"limit": soft, "hard": hard, "why": str(error)})
            return soft
    return hard


def check_reserve(descriptor: int) -> None:
    """Raises OutOfDescriptors when a log file with this descriptor leaves too few for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    reserved = min(RESERVED, soft // 4)
    if soft != resource.RLIM_INFINITY and descriptor >= soft - reserved:
        raise OutOfDescriptors(errno.EMFILE, f"all but {reserved} of the {soft} file descriptors are in use")
