"""A reader on real files that records what it delivers and announces; and writers that write as runtimes do."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.flow.budget import Budget
from agent.settings import Tail
from agent.tail.checkpoint import Position, Restored
from agent.tail.edge import Edge
from agent.tail.file_tracker import FileTracker
from agent.tail.reader import Reader
from agent.tail.types import Chunk, Gap, Reading, Source
from agent.telemetry import Telemetry

UID = "3f2b8a34-2f11-4a0a-9d6f-0c5b8f6a7e11"
POD = f"falco_falco-x7k2p_{UID}"


@dataclass
class Following:
    """What a running reader has delivered and announced."""

    reader: Reader
    budget: Budget
    telemetry: Telemetry
    settles: bool = True
    refuse: int = 0
    """So many chunks are refused with an exception first."""
    chunks: list[Chunk] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def payloads(self) -> list[bytes]:
        """In the order of delivery; within a chunk the unusual records come last."""
        return [
            payload
            for chunk in self.chunks
            for payload in [*chunk.records.payloads, *(unusual.payload for unusual in chunk.records.unusual)]
        ]

    @property
    def numbers(self) -> list[int]:
        return [int(payload) for payload in self.payloads]

    def settle(self) -> None:
        """Settles everything that was delivered, and everything that will be."""
        self.settles = True
        for chunk in self.chunks:
            self._settle(chunk)

    async def deliver(self, chunk: Chunk) -> None:
        if self.refuse:
            self.refuse -= 1
            raise RuntimeError("refused")
        self.chunks.append(chunk)
        if self.settles:
            self._settle(chunk)

    def _settle(self, chunk: Chunk) -> None:
        if chunk.entry.pending:
            chunk.entry.settle(len(chunk.records))
            self.budget.adjust(-chunk.cost_bytes)

    async def until(self, reached: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                await asyncio.sleep(0.005)

    async def looks(self, count: int = 2) -> None:
        """Waits until discovery has scanned `count` more times."""
        seen = self.reader.looks
        await self.until(lambda: self.reader.looks >= seen + count)


async def ignore(chunk: Chunk) -> None:
    """Delivers to nobody."""


def reading_of(settings: Tail, announce: Callable[[Gap], None] = lambda gap: None, **values: object) -> Reading:
    """What tailers share, where nothing is delivered."""
    return Reading(settings, Budget(1 << 20), Telemetry("test"), ignore, announce, {}, **values)  # type: ignore[arg-type]


def tracker_of(source: Source, settings: Tail, announce: Callable[[Gap], None] = lambda gap: None) -> FileTracker:
    """A file tracker that knows no positions."""
    reading = reading_of(settings, announce)
    return FileTracker(source, reading, Edge(reading.telemetry, source.name), lambda: None)


@asynccontextmanager
async def following(
    root: Path | None,
    *,
    positions: dict[str, Position] | None = None,
    restored: Restored | None = None,
    budget_bytes: int = 64 << 20,
    reserve_bytes: int = 0,
    settles: bool = True,
    express_bytes: int | None = None,
    urgent_bytes: Callable[[], int] = lambda: 0,
    **tail: object,
) -> AsyncIterator[Following]:
    """`positions`: the checkpoint of the last run; None: the first start. `express_bytes`: None: no urgent scan."""
    settings = Tail.model_validate({"root": root, "scan_seconds": 0.03, **tail})
    budget, telemetry = Budget(budget_bytes, reserve_bytes), Telemetry("test")
    restored = restored or Restored(dict(positions or {}), first_start=positions is None)
    seen = Following(None, budget, telemetry, settles)  # type: ignore[arg-type]  # set in the next lines
    reading = Reading(settings, budget, telemetry, seen.deliver, seen.gaps.append, restored.positions)
    if express_bytes is not None:
        reading = replace(reading, matcher=UrgentMatcher("critical"), express_bytes=express_bytes)
        reading = replace(reading, urgent_bytes=urgent_bytes)
    seen.reader = Reader(reading, restored)
    running = asyncio.create_task(seen.reader.run())
    try:
        yield seen
    finally:
        running.cancel()
        await asyncio.wait([running])
        seen.reader.close()
    if not running.cancelled():
        running.result()


class Container:
    """A container's log as containerd and kubelet keep it."""

    def __init__(self, root: Path, restart: int = 0, pod: str = POD) -> None:
        self.directory = root / pod / "falco"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / f"{restart}.log"
        self._rotations = 0
        self._lines = 0
        self.path.touch()

    def write(self, *texts: object, tag: str = "F", stream: str = "stdout", to: Path | None = None) -> None:
        with (to or self.path).open("ab") as file:
            for text in texts:
                self._lines += 1
                file.write(f"2026-11-23T07:23:01.{self._lines:09d}Z {stream} {tag} {text}\n".encode())

    def raw(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def rename(self) -> Path:
        self._rotations += 1
        rotated = self.path.with_name(f"{self.path.name}.20261123-{self._rotations:06d}")
        self.path.rename(rotated)
        return rotated

    def rotate(self) -> Path:
        """As kubelet does: renamed, then reopened by the runtime."""
        rotated = self.rename()
        self.path.touch()
        return rotated


def compress(path: Path) -> Path:
    """As kubelet does: written aside, renamed, then the plain file removed."""
    aside = path.with_name(f"{path.name}.tmp")
    aside.write_bytes(gzip.compress(path.read_bytes()))
    packed = path.with_name(f"{path.name}.gz")
    aside.rename(packed)
    path.unlink()
    return packed


def copytruncate(path: Path, copy: Path) -> None:
    copy.write_bytes(path.read_bytes())
    os.truncate(path, 0)


def plain_alert(number: int) -> bytes:
    return b'{"number":%d,"time":"2026-11-23T07:53:51.%09dZ"}\n' % (number, number)
