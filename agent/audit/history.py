"""The facts that the audit has about one node: its seals, their statements, and the events in the order of the proof.

`store` implements NodeHistory on disk; a test may implement it with lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

UNKNOWN_MS = -1
"""The time of ingestion, when the source does not have it. An export to S3 does not."""


class RawEvent(NamedTuple):
    """One event as a source brings it."""

    stream: str
    time_ms: int
    ingested_ms: int
    """UNKNOWN_MS: the source does not have it."""
    message: bytes


@dataclass(frozen=True, slots=True)
class HeldSeal:
    """A seal that is in the data, without its statements."""

    row: int
    chain: str
    number: int
    previous: str
    begins: str
    started_ms: int
    settings: str
    leaving: bool
    mac: str
    digest: str
    """The SHA-256 of its message."""
    in_flight: float
    time_ms: int
    ingested_ms: int
    stream: str

    @property
    def id(self) -> str:
        return f"self:seal:{self.chain}:{self.number}"

    @property
    def seen_ms(self) -> int:
        return _seen_ms(self.time_ms, self.ingested_ms)


@dataclass(frozen=True, slots=True)
class Claim:
    """The statement of one seal about one segment of one file."""

    seal: HeldSeal
    start: int
    end: int
    shipped: int
    filtered: Mapping[str, int]
    rejected: frozenset[int]
    """Offsets within the segment."""
    sha256: str | None
    since: int | None


class Copy(NamedTuple):
    """One event that was made from a record. A record that was sent twice has two."""

    offset: int
    canonical: bytes
    time_ms: int
    ingested_ms: int
    stream: str

    @property
    def seen_ms(self) -> int:
        return _seen_ms(self.time_ms, self.ingested_ms)


class OpenHeartbeat(NamedTuple):
    """A heartbeat without a seal that no seal lists."""

    id: str
    why: str
    """Why its seal cannot be read; empty: it has none."""
    time_ms: int
    ingested_ms: int
    stream: str

    @property
    def seen_ms(self) -> int:
        return _seen_ms(self.time_ms, self.ingested_ms)


class Odd(NamedTuple):
    """Messages that no agent writes, of one kind."""

    why: str
    stream: str
    time_ms: int
    number: int


class NodeHistory(Protocol):
    @property
    def node(self) -> str: ...

    @property
    def seal_copies(self) -> int:
        """Seals that arrived more than once, with the same bytes."""
        ...

    def seals(self) -> list[HeldSeal]:
        """By the time of their chain, then by number. Each different message once."""
        ...

    def message(self, seal: HeldSeal) -> bytes: ...

    def heartbeats(self) -> Iterator[OpenHeartbeat]: ...

    def odd(self) -> Iterable[Odd]: ...

    def files(self) -> Iterable[str]: ...

    def claims(self, file: str) -> list[Claim]:
        """By start, then by end."""
        ...

    def gaps(self, file: str) -> list[tuple[int, int]]: ...

    def copies(self, file: str, start: int = 0, end: int | None = None) -> Iterator[Copy]:
        """By offset, then in the order in which the source brought them."""
        ...


def _seen_ms(time_ms: int, ingested_ms: int) -> int:
    """The time at which CloudWatch accepted an event, as exactly as the data can tell."""
    return time_ms if ingested_ms == UNKNOWN_MS else ingested_ms
