"""How a container runtime writes one line of a log file.

There are three formats: CRI, which containerd and CRI-O write (`<stamp> stdout F <text>`), Docker's json-file, and
plain lines. The format is a property of each line: after a crash or inside a rotation a file may begin with a torn or
foreign line. A reader expects the format of the lines before, and asks `format_of` for a line of another format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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

    def stamp_hours(self, lines: Sequence[bytes]) -> set[bytes]:
        """The hours of these lines' stamps, such as `2026-11-23T07`: the first and the last at least.

        Other bytes if a line has no such stamp. There must be a line.
        """
        ...

    def longest_line(self, record_bytes: int) -> int:
        """How long a line may be that holds a record of `record_bytes`."""
        ...


_HOUR: Final = len("2026-11-23T07")


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
        # The head is enough, and `line + b" "` would copy all of a long line.
        return line[: line.find(b" ")].decode("ascii", "replace") if _CRI.match(line[:256] + b" ") else ""

    def stamp_hours(self, lines: Sequence[bytes]) -> set[bytes]:
        # Stamps sort as text, and this is faster than a look at each line. More than two hours are not distinguished.
        return {min(lines)[:_HOUR], max(lines)[:_HOUR]}

    def longest_line(self, record_bytes: int) -> int:
        return record_bytes + 128


_DOCKER_TIME: Final = b'"time":"'


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

    def stamp_hours(self, lines: Sequence[bytes]) -> set[bytes]:
        return {line[(at := line.rfind(_DOCKER_TIME) + len(_DOCKER_TIME)) : at + _HOUR] for line in lines}

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

    def stamp_hours(self, lines: Sequence[bytes]) -> set[bytes]:
        return set()

    def longest_line(self, record_bytes: int) -> int:
        return record_bytes


CRI: Final = Cri()

DOCKER: Final = Docker()

PLAIN: Final = Plain()


def format_of(line: bytes) -> LineFormat | None:
    """The format of a line that a runtime wrote; None for a line without a runtime's marks."""
    if CRI.text(line) is not None:
        return CRI
    if line.startswith(b'{"log"') and DOCKER.text(line) is not None:
        return DOCKER
    return None


def read_line(line: bytes, expected: LineFormat) -> tuple[LineFormat, tuple[str, bytes, bool] | None]:
    """The line's format and what it holds. None: the line has no runtime's marks, though the expected format has."""
    if isinstance(expected, Plain):
        # A line of Falco begins with a brace. Other lines are rare, so only these are looked at more closely.
        if line[:1] == b"{" and not line.startswith(b'{"log"'):
            return expected, expected.text(line)
    elif (entry := expected.text(line)) is not None:
        return expected, entry
    found = format_of(line)
    if found is not None:
        return found, found.text(line)
    return expected, PLAIN.text(line) if isinstance(expected, Plain) else None


def stamp_of(line: bytes, expected: LineFormat) -> str:
    """The runtime's stamp on the line, whatever the format of the line is; empty if there is none."""
    stamp = expected.stamp(line)
    if stamp:
        return stamp
    found = format_of(line)
    return "" if found is None else found.stamp(line)


def recognise(head: bytes) -> LineFormat:
    """The format to expect of a file, from its first line, or from the beginning of a long first line."""
    line, newline, _ = head.partition(b"\n")
    if not newline and line.startswith(b'{"log":"'):
        return DOCKER
    return format_of(line) or PLAIN
