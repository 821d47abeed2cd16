"""Looks at the beginning and the end of Falco's logs, to learn the format and the version without reading them whole.

The reading of records is not involved: it may wait for the budget, or have read everything in an earlier run of the
agent. One look reads at most 32 KiB of a log, and only of a log that has grown since the last look.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Final

from agent.core.falco_output import LOOKED_AT_BYTES, Output, output_of
from agent.tail.safe_open import NotALogFile, open_beneath
from agent.tail.types import Source

PASSING_ERRORS: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EIO})
"""Errors that do not concern the right to read the log: it has just gone, descriptors are short, the disk fails."""


class LogPeek:
    """Remembers what each log showed."""

    def __init__(self, follow_links_into: Sequence[Path]) -> None:
        self._follow_links_into = follow_links_into
        self._seen: dict[Source, tuple[float, Output]] = {}
        self._unreadable: dict[Source, str] = {}

    def look(self, source: Source, wrote_at: float) -> Output:
        """The output of Falco at the end of the log now. `wrote_at`: the time at which the log last grew."""
        known = self._seen.get(source)
        if known is not None and known[0] == wrote_at:
            return known[1]
        try:
            now = output_of(*read_ends(source, self._follow_links_into))
        except OSError as error:
            if error.errno not in PASSING_ERRORS:
                self._unreadable[source] = _reason(error)
            return Output() if known is None else known[1]
        self._unreadable.pop(source, None)
        if known is not None:
            # After a rotation the live file does not have the banner, and may not have an alert yet.
            before = known[1]
            now = Output(now.format or before.format, now.version or before.version, before.is_helm_test)
        self._seen[source] = wrote_at, now
        return now

    def unreadable(self, source: Source) -> str:
        """Why the log could not be opened at the last look; empty: it could."""
        return self._unreadable.get(source, "")

    def keep_only(self, sources: Set[Source]) -> None:
        """Forgets the logs that are gone."""
        for gone in self._seen.keys() - sources:
            del self._seen[gone]
        for gone in self._unreadable.keys() - sources:
            del self._unreadable[gone]


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; run the agent as a user who may read it (in the chart: securityContext.runAsUser)"
    reason = error.strerror or str(error)
    return f"it {reason}" if isinstance(error, NotALogFile) else reason


def read_ends(source: Source, follow_links_into: Sequence[Path]) -> tuple[bytes, bytes]:
    """The first and the last bytes of the live file. Raises OSError."""
    descriptor = open_beneath(source.root, source.relative, follow_links_into)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, LOOKED_AT_BYTES, 0)
        return head, os.pread(descriptor, LOOKED_AT_BYTES, max(0, size - LOOKED_AT_BYTES))
    finally:
        os.close(descriptor)
