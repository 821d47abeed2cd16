"""How a container runtime writes one line of a log file.

There are three formats: CRI, which containerd and CRI-O write (`<stamp> stdout F <text>`), Docker's json-file, and
plain lines.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

_CRI: Final = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::\S*)? "
)
"""Kubernetes' CRI logging format: stamp, stream, tags separated by `:` of which the first is F or P, text."""


class LineFormat(Protocol):
    """One format of lines."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        """Stream, text, and whether the record continues on the next line. None: the line is not of this format."""
        ...

    def stamp(self, line: bytes) -> str:
        """The time at which the runtime wrote the line; empty if the line does not say."""
        ...

    def longest_line(self, record_bytes: int) -> int:
        """How long a line may be that holds a record of `record_bytes`."""
        ...


class Cri:
    """The format of containerd and CRI-O."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        match = _CRI.match(line)
        if match is None:
            # conmon ends a record with an empty F line. An editor may have removed its trailing space.
            match = _CRI.match(line + b" ")
            if match is None:
                return None
        return match[1].decode(), line[match.end() :], match[2] == b"P"

    def stamp(self, line: bytes) -> str:
        return line[: line.find(b" ")].decode("ascii", "replace") if _CRI.match(line + b" ") else ""

    def longest_line(self, record_bytes: int) -> int:
        return record_bytes + 128


class DockerLine(msgspec.Struct, gc=False):
    log: str
    stream: str = "stdout"
    time: str = ""


class Docker:
    """Docker's json-file format. The text of a record's last line ends with a newline."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(DockerLine).decode

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        entry = self._entry(line)
        if entry is None:
            return None
        text = entry.log.encode()
        return (entry.stream, text[:-1], False) if text.endswith(b"\n") else (entry.stream, text, True)

    def stamp(self, line: bytes) -> str:
        entry = self._entry(line)
        return "" if entry is None else entry.time

    def longest_line(self, record_bytes: int) -> int:
        return 6 * record_bytes + 128  # JSON escapes a control character with six bytes

    def _entry(self, line: bytes) -> DockerLine | None:
        try:
            return self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # RecursionError: a thousand open brackets
            return None


class Plain:
    """One record on each line, with nothing added by a runtime."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        return "stdout", line, False

    def stamp(self, line: bytes) -> str:
        return ""

    def longest_line(self, record_bytes: int) -> int:
        return record_bytes


def recognise(head: bytes) -> LineFormat:
    """The format of a file, from its first line, or from the beginning of a long first line."""
    line, newline, _ = head.partition(b"\n")
    if _CRI.match(line + b" "):
        return Cri()
    docker = Docker()
    if line.startswith(b'{"log":"') and (not newline or docker.text(line) is not None):
        return docker
    return Plain()
