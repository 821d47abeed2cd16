"""What a line of a log file looks like, by the runtime that wrote it.

Three grammars, chosen once a file by its first line: containerd's and CRI-O's (`<stamp> stdout F <text>`),
Docker's json-file, and plain lines.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

_CRI: Final = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::\S*)? "
)
"""CRI logging format: stamp, stream, tags separated by `:` of which the first is F or P, text (may be empty)."""


class LineFormat(Protocol):
    """One file format; `stream` and `stamp` read the first physical line of a record."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        """Stream, text, and whether the record goes on in the next line; None for a line outside the line_format."""
        ...

    def stamp(self, line: bytes) -> str:
        """When the runtime wrote the line; empty where the format does not say."""
        ...

    def longest_line(self, record_bytes: int) -> int:
        """How long a line may be that holds a record of so many bytes."""
        ...


class Cri:
    """containerd and CRI-O."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        match = _CRI.match(line)
        if match is None:
            # conmon ends a record with an empty F whose trailing space an editor may have taken.
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
    """Docker's json-file. A record's last part ends in a newline."""

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
        return 6 * record_bytes + 128  # a control character is written as six

    def _entry(self, line: bytes) -> DockerLine | None:
        try:
            return self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the last: brackets a thousand deep
            return None


class Plain:
    """One record a line."""

    def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
        return "stdout", line, False

    def stamp(self, line: bytes) -> str:
        return ""

    def longest_line(self, record_bytes: int) -> int:
        return record_bytes


def recognise(head: bytes) -> LineFormat:
    """The line_format of a file by its head: the first line, or as much as is at hand of a long one."""
    line, newline, _ = head.partition(b"\n")
    if _CRI.match(line + b" "):
        return Cri()
    docker = Docker()
    if line.startswith(b'{"log":"') and (not newline or docker.text(line) is not None):
        return docker
    return Plain()
