"""The values that the modules of this package share, and that they give to the pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import Struct

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.proof.no_digest import Digest, NoDigest
from agent.core.proof.segment import FileDigest, Statement
from agent.core.reading.ledger import Entry
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.records import Origin, Records
from agent.core.reading.scan_ledger import ScanEntry
from agent.flow.budget import Budget
from agent.flow.turns import Turns
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.names import printable
from agent.tail.partial_bytes import PartialBytes
from agent.tail.saves import Saves
from agent.telemetry import Telemetry


class Source(Struct, frozen=True):
    """One log: one run of a container, or a file that is rotated under one name."""

    root: Path
    """The trusted directory. Below it no link is followed."""
    relative: tuple[str, ...]
    """The path of the live file below `root`, in steps."""
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""

    @property
    def path(self) -> Path:
        """The path of the live file."""
        return self.root.joinpath(*self.relative)

    @property
    def name(self) -> str:
        """The path of the live file as text."""
        return printable(self.path)

    @property
    def identity(self) -> str:
        """Part of the id of each of its files, so that two sources with the same content have different ids."""
        return "/".join((self.pod_uid, self.container, self.relative[-1])) if self.pod_uid else str(self.path.parent)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source, as the last scan saw it."""

    relative: tuple[str, ...]
    rotated: str
    """Sorts the files of a source, oldest first. Empty: the live file, which comes last."""
    compression: str
    """`gz`, `bz2`, `xz` or `zst`. Empty: plain."""
    device: int
    inode: int
    size: int = field(default=0, compare=False)
    """Bytes on disk when its directory was listed."""
    named: bool = field(default=False, compare=False)
    """A rotated file that a pattern of `tail.paths` names itself."""

    @property
    def live(self) -> bool:
        return not self.rotated

    @property
    def compressed(self) -> bool:
        return bool(self.compression)

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode


Found = dict[Source, tuple[FoundFile, ...]]
"""Every source with its files, oldest first."""


Prove = Callable[[Set[int | Origin], Mapping[str, int]], None]
"""Takes the records that a rule of the configuration settles, and their number by reason."""


class Chunk(Struct, frozen=True):
    """Records that were read together, and the ledger entry that waits until they are settled."""

    file_id: str
    namespace: str
    """The namespace of Falco's pod. Empty: not known from the path."""
    line_format: LineFormat
    settled: frozenset[int]
    """Offsets of records that a previous run of the agent has settled."""
    records: Records
    entry: Entry | ScanEntry
    cost_bytes: int
    """Bytes of the budget that were acquired for this chunk."""
    prove: Prove = lambda unshipped, filtered: None
    """Feeds the records to the digest of their file. Called once, before one of them can settle."""
    counted: int = 0
    """The number of its records that were counted as read before, because their first delivery failed."""


DAMAGED: Final = "damaged"

TRUNCATED: Final = "truncated"


class Gap(Struct, frozen=True):
    """Bytes of a file that vanished before they could be read."""

    file: str
    path: str
    start: int
    end: int
    why: str
    at_least: bool = False
    """More bytes may have been lost than these."""

    @property
    def key(self) -> str:
        """The same for the same loss, also when a later run of the agent finds it again.

        Its end is not part of the key, because a later run may have seen less of the file.
        """
        return f"{self.file}:{self.start}:{self.why.replace(' ', '-')}"


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(frozen=True, slots=True)
class Reading:
    """The objects and settings that all tailers share."""

    settings: Tail
    budget: Budget
    telemetry: Telemetry
    deliver: Callable[[Chunk], Awaitable[None]]
    announce: Callable[[Gap], None]
    positions: dict[str, Position]
    """Positions of files that are not open now, by file id."""
    sealed: bool = True
    """The records of each file are fed to its digest, for the seals."""
    finished: list[Statement] = field(default_factory=list)
    """Statements of files that were closed, until a seal states them."""
    unshipped: Mapping[str, tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)
    """By file id: offsets of records that an earlier run settled out of order without shipping: rejected, filtered."""
    open_ids: set[str] = field(default_factory=set)
    """Ids of the files that some tailer has open: no file is read by two tailers."""
    allowed: asyncio.Event = field(default_factory=_set_event)
    """Set when files may be read. Until then they are only opened and held."""
    lacks_descriptors: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while some file waits for a free descriptor."""
    matcher: UrgentMatcher | None = None
    """Finds urgent alerts in a backlog. None: no urgent scan."""
    express_bytes: int = 0
    """The urgent scan starts when a source has a longer backlog than this, or when reading waits for the budget."""
    urgent_bytes: Callable[[], int] = lambda: 0
    """Returns the bytes of the budget that the urgent lane holds."""
    scanning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the urgent scan that has its window in memory."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something was read or found that the checkpoint may have to hold. The save loop clears it."""
    saves: Saves = field(init=False)
    """Waited for before the files of a new source are read."""
    partials: PartialBytes = field(init=False)
    """The bytes of partial records in all files."""
    turns: Turns = field(default_factory=Turns)
    """Taken for each chunk: a chunk is delivered before the next one is read, and a flood does not starve the loop."""

    def digest_of(self, file_id: str) -> Digest:
        """The digest of a file that begins to be read."""
        rejected, filtered = self.unshipped.get(file_id, ((), ()))
        return FileDigest(file_id, filtered, rejected) if self.sealed else NoDigest(file_id)

    def __post_init__(self) -> None:
        object.__setattr__(self, "saves", Saves(self.moved))
        object.__setattr__(self, "partials", PartialBytes(self.budget, self.settings.max_record_bytes))
