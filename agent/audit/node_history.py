"""The history of one node, read from the audit's database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from agent.audit.history import Claim, Copy, HeldSeal, Odd, OpenHeartbeat
from agent.core.proof.events import MOST_OFFSET

_SEALS = """
SELECT seal.id, chain, number, previous, begins, started, settings, leaving, mac, digest, in_flight, time, ingested,
       stream.name, place, size
FROM seal JOIN stream ON stream.id = seal.stream
JOIN (SELECT chain AS of, MIN(time) AS began FROM seal WHERE node = :node GROUP BY chain) ON of = chain
WHERE node = :node ORDER BY began, chain, number, time, seal.id
"""


@dataclass(slots=True)
class StoredNode:
    """Implements NodeHistory."""

    _database: sqlite3.Connection
    _text: Callable[[int, int], bytes]
    _node: int
    node: str
    seal_copies: int
    _seals: dict[int, HeldSeal] = field(default_factory=dict)
    _places: dict[int, tuple[int, int]] = field(default_factory=dict)
    _streams: dict[int, str] = field(default_factory=dict)

    def seals(self) -> list[HeldSeal]:
        if not self._seals:
            for *fields, place, size in self._database.execute(_SEALS, {"node": self._node}):
                seal = HeldSeal(*fields)
                self._seals[seal.row] = seal
                self._places[seal.row] = place, size
        return list(self._seals.values())

    def message(self, seal: HeldSeal) -> bytes:
        return self._text(*self._places[seal.row])

    def heartbeats(self) -> Iterator[OpenHeartbeat]:
        rows = self._database.execute(
            "SELECT heartbeat.id, why, time, ingested, name FROM heartbeat JOIN stream ON stream.id = heartbeat.stream "
            "WHERE node = :node AND heartbeat.id NOT IN (SELECT id FROM unsealed WHERE node = :node) ORDER BY time",
            {"node": self._node},
        )
        return (OpenHeartbeat(*row) for row in rows)

    def odd(self) -> Iterator[Odd]:
        rows = self._database.execute(
            "SELECT why, name, time, count FROM odd JOIN stream ON stream.id = odd.stream WHERE node = ? ORDER BY why",
            (self._node,),
        )
        return (Odd(*row) for row in rows)

    def files(self) -> list[str]:
        rows = self._database.execute("SELECT name FROM file WHERE node = ? ORDER BY id", (self._node,))
        return [name for (name,) in rows.fetchall()]

    def claims(self, file: str) -> list[Claim]:
        self.seals()
        rows = self._database.execute(
            'SELECT seal, "from", "to", shipped, filtered, rejected, sha256, since FROM claim WHERE file = ? '
            'ORDER BY "from", "to", seal',
            (self._id_of(file),),
        )
        return [
            Claim(
                self._seals[seal], start, end, shipped, msgspec.json.decode(filtered),
                _offsets_in(msgspec.json.decode(rejected, type=list[str]), file, start, end), sha256, since,
            )
            for seal, start, end, shipped, filtered, rejected, sha256, since in rows
        ]  # fmt: skip

    def gaps(self, file: str) -> list[tuple[int, int]]:
        rows = self._database.execute(
            'SELECT "from", "to" FROM gap WHERE file = ? ORDER BY "from", "to"', (self._id_of(file),)
        )
        return [(start, end) for start, end in rows]

    def copies(self, file: str, start: int = 0, end: int | None = None) -> Iterator[Copy]:
        text, streams = self._text, self._stream_names()
        rows = self._database.execute(
            "SELECT offset, place, size, time, ingested, stream FROM record "
            "WHERE file = ? AND offset >= ? AND offset <= ? ORDER BY offset, place",
            (self._id_of(file), start, MOST_OFFSET if end is None else end - 1),
        )
        for offset, place, size, time_ms, ingested_ms, stream in rows:
            yield Copy(offset, text(place, size), time_ms, ingested_ms, streams[stream])

    def _stream_names(self) -> dict[int, str]:
        if not self._streams:
            self._streams = dict(self._database.execute("SELECT id, name FROM stream").fetchall())
        return self._streams

    def _id_of(self, file: str) -> int:
        found = self._database.execute("SELECT id FROM file WHERE node = ? AND name = ?", (self._node, file))
        return int(found.fetchone()[0])


def _offsets_in(ids: list[str], file: str, start: int, end: int) -> frozenset[int]:
    found = set()
    for one in ids:
        name, _, offset = one.rpartition(":")
        if name == file and offset.isascii() and offset.isdigit() and len(offset) < 20 and start <= int(offset) < end:
            found.add(int(offset))
    return frozenset(found)
