"""A log file that a scan has found, open, with the facts by which it is judged."""

from __future__ import annotations

import errno

from agent.tail.content import LogBytes
from agent.tail.fingerprint import has_stamp, identify
from agent.tail.judgement import Seen
from agent.tail.types import FoundFile


class FoundLog:
    """One file. Its bytes may be truncated and written anew while its facts are read: `check` shows that."""

    def __init__(self, identity: str, found: FoundFile, content: LogBytes, *, gone: bool) -> None:
        """`identity`: of the source. `gone`: the file has no name any more. Raises OSError."""
        self.head = content.head()
        self.id = identify(identity, self.head, final=bool(found.rotated) or gone)
        """The id that its first line gives. None: it holds too little to tell."""
        self._found, self._content, self._gone = found, content, gone

    def facts(self, *, ours: bool, growing: bool) -> Seen:
        return Seen(
            self.id,
            has_stamp=has_stamp(self.head),
            rotated=bool(self._found.rotated),
            compressed=self._found.compressed,
            gone=self._gone,
            ours=ours,
            size=self._content.whole_size(),
            size_is_known=self._found.compression in ("", "gz"),
            key=self._found.key,
            growing=growing,
        )

    def check(self) -> None:
        """Raises FileNotFoundError when some facts may be about another log, which has the name now; and OSError."""
        may_be_truncated = not (self._found.compressed or self._gone)
        if may_be_truncated and self._content.peek(0, len(self.head)) != self.head:
            raise FileNotFoundError(errno.ENOENT, "was overwritten since the scan", self._found.relative[-1])
