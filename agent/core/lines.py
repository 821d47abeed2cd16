"""Bytes → physical lines → records: cutting at newlines, and the joining of partial lines.

A record that a runtime cut into parts is joined by stream, bytes first, since the cuts fall inside
characters. stdout and stderr interleave, so a file may only be committed up to the start of its oldest
open run. What a line looks like is its grammar's.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from agent.core.grammar import Cri, Grammar

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_WHOLE: Final = b" stdout F "
_NEVER: Final = b"\n\n"
"""What no line holds: while a run of stdout is open, none of its lines is whole."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is unusual about a record."""

    incomplete: bool = False
    """Its last part never came."""
    size: int = 0
    """Its whole size where only the head was kept; 0: all of it is here."""
    digest: str = ""
    """SHA-256 of the whole, where only the head was kept."""
    origin: tuple[str, int] | None = None
    """File id and offset of its first byte, where that lies in the file before this one."""
    settled: bool = False
    """It was settled before, when the file before this one was read for the first time."""


@dataclass(frozen=True, slots=True)
class Odd:
    """An unusual record."""

    payload: bytes
    offset: int
    line: bytes
    mark: Mark


@dataclass(slots=True)
class Records:
    """The records of one chunk, by columns."""

    payloads: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Where each begins in the file."""
    lines: list[bytes] = field(default_factory=list)
    """The first physical line of each, newline and all."""
    odd: list[Odd] = field(default_factory=list)
    """The few that are unusual; not in the columns."""
    crossed: int = 0
    """How many began in the file before."""

    def __len__(self) -> int:
        return len(self.payloads) + len(self.odd)


def without(records: Records, offsets: Set[int]) -> Records:
    """The same but for those that begin there; the unusual ones stay."""
    left = Records(odd=records.odd, crossed=records.crossed)
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        if offset not in offsets:
            left.payloads.append(payload)
            left.offsets.append(offset)
            left.lines.append(line)
    return left


class Run:
    """The parts so far of a record that is not complete."""

    __slots__ = ("_digest", "anchor", "line", "origin", "parts", "settled", "since", "size", "start")

    def __init__(self, start: int, line: bytes, since: float) -> None:
        self.start = start
        self.anchor = start
        """From where to read again so that no run is cut in two: one of the other stream may reach across `start`."""
        self.line = line
        self.since = since
        self.parts: list[bytes] = []
        self.size = 0
        self.origin: tuple[str, int] | None = None
        self.settled = False
        self._digest: Hash | None = None

    def add(self, part: bytes, max_bytes: int) -> None:
        """Keeps at most `max_bytes` of the record, and where it is longer the digest of all of it."""
        if self._digest is None and self.size + len(part) > max_bytes:
            self._digest = sha256(b"".join(self.parts))
        if self._digest is not None:
            self._digest.update(part)
        room = max_bytes - min(self.size, max_bytes)
        if room:
            self.parts.append(part[:room])
        self.size += len(part)

    def close(self, records: Records, max_bytes: int, *, incomplete: bool = False) -> None:
        if self.size > max_bytes or incomplete or self.origin is not None:
            records.odd.append(self.odd(max_bytes, incomplete=incomplete))
            records.crossed += self.origin is not None
            return
        records.payloads.append(b"".join(self.parts))
        records.offsets.append(self.start)
        records.lines.append(self.line)

    def odd(self, max_bytes: int, *, incomplete: bool = False) -> Odd:
        size, digest = (0, "") if self._digest is None else (self.size, self._digest.hexdigest())
        mark = Mark(incomplete, size, digest, self.origin, self.settled)
        return Odd(b"".join(self.parts), self.start, self.line, mark)


@dataclass(frozen=True, slots=True)
class Cut:
    """Whole physical lines, newline and all, of which the first begins at `offset`."""

    lines: list[bytes]
    offset: int
    overlong: Odd | None = None
    """A line longer than is ever held, which ended before these."""


class Cutter:
    """Cuts a file's bytes at newlines; the unfinished end waits for more.

    At `\\n` bytes and nothing else: Falco writes U+2028 and its like raw, at which `splitlines` would cut.
    A line that grows over `longest_bytes` is let go of up to the next newline: its head, its size and its
    digest are kept, and the file goes on.
    """

    def __init__(self, offset: int, longest_bytes: int) -> None:
        self.offset = offset
        """Where the unfinished line begins."""
        self._longest_bytes = longest_bytes
        self._rest = b""
        self._long: Run | None = None
        self._long_end = 0

    @property
    def end(self) -> int:
        """Up to where the file has been fed."""
        return self.offset + len(self._rest) if self._long is None else self._long_end

    def feed(self, data: bytes, now: float) -> Cut:
        overlong = None
        if self._long is not None:
            head, newline, data = data.partition(b"\n")
            self._long.add(head, self._longest_bytes)
            self._long_end += len(head) + len(newline)
            if not newline:
                return Cut([], self.offset)
            overlong = self._let_go()
        # A third of what `split` costs: it looks for newlines by memchr, and at nothing else.
        lines = BytesIO(data).readlines()
        if not lines:
            return Cut([], self.offset, overlong)
        offset = self.offset
        self.offset += len(self._rest) + len(data)
        # Only the first line is joined with what was left: joining all of the data would copy all of it.
        lines[0] = self._rest + lines[0]
        self._rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        self.offset -= len(self._rest)
        if len(self._rest) > self._longest_bytes:
            self._long = Run(self.offset, self._rest[:128], now)
            self._long.add(self._rest, self._longest_bytes)
            self._long_end = self.offset + len(self._rest)
            self._rest = b""
        return Cut(lines, offset, overlong)

    def finish(self) -> Cut:
        """The unfinished line, with the newline that never came: the file has ended."""
        overlong = self._let_go() if self._long is not None else None
        lines = [self._rest + b"\n"] if self._rest else []
        cut = Cut(lines, self.offset, overlong)
        self.offset += len(self._rest)
        self._rest = b""
        return cut

    def _let_go(self) -> Odd:
        run = self._long
        if run is None:
            raise ValueError("no line is overlong")
        self._long = None
        self.offset = self._long_end
        return run.odd(self._longest_bytes)


class Joiner:
    """Cuts one container's lines into records, across chunks and across the files of a rotation."""

    def __init__(self, grammar: Grammar, max_record_bytes: int) -> None:
        self.grammar = grammar
        self._max_record_bytes = max_record_bytes
        self._runs: dict[str, Run] = {}

    def feed(self, lines: list[bytes], offset: int, now: float) -> Records:
        """The records that end in these lines, newline and all, of which the first begins at `offset`."""
        if isinstance(self.grammar, Cri):
            return self._only_whole(lines, offset) or self._mixed(lines, offset, now)
        records = Records()
        for line in lines:
            self._careful(line, offset, now, records)
            offset += len(line)
        return records

    def _only_whole(self, lines: list[bytes], offset: int) -> Records | None:
        """What a flood looks like: whole lines of stdout and nothing else. None: there is something else."""
        if "stdout" in self._runs or not lines or max(map(len, lines)) > self._max_record_bytes:
            return None
        payloads = [
            line[space + 10 : -1] for line in lines if line[(space := line.find(b" ", 20)) : space + 10] == _WHOLE
        ]
        if len(payloads) < len(lines):
            return None
        return Records(payloads, [*accumulate(map(len, lines[:-1]), initial=offset)], lines)

    def _mixed(self, lines: list[bytes], offset: int, now: float) -> Records:
        """The same where parts of records, lines of stderr or overlong ones stand between them."""
        records = Records()
        payloads, offsets, firsts = records.payloads, records.offsets, records.lines
        longest = self._max_record_bytes
        whole = _WHOLE if "stdout" not in self._runs else _NEVER
        for line in lines:
            space = line.find(b" ", 20)
            if line[space : space + 10] == whole and len(line) <= longest:
                payloads.append(line[space + 10 : -1])
                offsets.append(offset)
                firsts.append(line)
            else:
                self._careful(line, offset, now, records)
                whole = _WHOLE if "stdout" not in self._runs else _NEVER
            offset += len(line)
        return records

    def committable(self, end: int) -> int:
        """Up to where the file may be committed, when lines up to `end` have been fed."""
        return min((run.anchor for run in self._runs.values()), default=end)

    @property
    def open_runs(self) -> int:
        return len(self._runs)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest open run began."""
        return min((run.since for run in self._runs.values()), default=None)

    def give_up(self) -> Records:
        """The open runs as they are, marked: their last part never came."""
        records = Records()
        for run in sorted(self._runs.values(), key=lambda run: run.start):
            run.close(records, self._max_record_bytes, incomplete=True)
        self._runs.clear()
        return records

    def cross(self, file_id: str, settled: Set[int] = frozenset()) -> int:
        """The next lines come from the next file. Returns how many open runs had crossed before.

        `settled` holds where records of the file that ends here begin that are done already.
        """
        before = sum(run.origin is not None for run in self._runs.values())
        for run in self._runs.values():
            if run.origin is None:
                run.origin = (file_id, run.start)
                run.settled = run.start in settled
            run.start = run.anchor = 0
        return before

    def _careful(self, line: bytes, offset: int, now: float, records: Records) -> None:
        written = line[:-1]
        entry = self.grammar.text(written)
        if entry is None:
            stream, text, more = "stdout", written, False
            run = None
        else:
            stream, text, more = entry
            run = self._runs.get(stream)
        if run is None:
            run = Run(offset, line, now)
            if more:
                self._runs[stream] = run
        run.add(text, self._max_record_bytes)
        if not more:
            if entry is not None and self._runs.pop(stream, None) is not None:
                for other in self._runs.values():
                    other.anchor = min(other.anchor, run.anchor)
            run.close(records, self._max_record_bytes)
