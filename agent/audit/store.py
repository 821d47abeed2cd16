"""Keeps the events of an audit on disk, in the order in which the proof needs them. Memory does not grow with events.

A temporary SQLite database holds numbers and names; the bytes of records and seals are in a file beside it, which is
written once from front to back. Both are removed at the end. TMPDIR chooses the place: about the size of the alerts.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agent.audit.history import RawEvent
from agent.audit.node_history import StoredNode
from agent.core.proof.events import EventReader, Foreign, OwnEvent, RecordEvent
from agent.core.proof.read_seal import NoSeal, Seal, digest_of_seal, in_flight, read_seal

_SCHEMA = """
CREATE TABLE record (file INTEGER, offset INTEGER, place INTEGER, size INTEGER, time INTEGER, ingested INTEGER,
                     stream INTEGER);
CREATE TABLE file (id INTEGER PRIMARY KEY, node INTEGER, name TEXT, UNIQUE (node, name));
CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT UNIQUE, seal_copies INTEGER DEFAULT 0);
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE seal (id INTEGER PRIMARY KEY, node INTEGER, chain TEXT, number INTEGER, previous TEXT, begins TEXT,
                   started INTEGER, settings TEXT, leaving INTEGER, mac TEXT, digest TEXT, in_flight REAL,
                   time INTEGER, ingested INTEGER, stream INTEGER, place INTEGER, size INTEGER,
                   UNIQUE (node, chain, number, digest));
CREATE TABLE claim (file INTEGER, seal INTEGER, "from" INTEGER, "to" INTEGER, shipped INTEGER, filtered BLOB,
                    rejected BLOB, sha256 TEXT, since INTEGER);
CREATE TABLE gap (file INTEGER, "from" INTEGER, "to" INTEGER);
CREATE TABLE unsealed (node INTEGER, id TEXT, PRIMARY KEY (node, id)) WITHOUT ROWID;
CREATE TABLE heartbeat (node INTEGER, id TEXT, why TEXT, time INTEGER, ingested INTEGER, stream INTEGER);
CREATE TABLE odd (node INTEGER, why TEXT, stream INTEGER, time INTEGER, count INTEGER, UNIQUE (node, why));
"""
_ORDERS = """
CREATE INDEX record_order ON record (file, offset, place, size, time, ingested, stream);
CREATE INDEX claim_order ON claim (file, "from", "to");
CREATE INDEX gap_order ON gap (file);
CREATE INDEX heartbeat_order ON heartbeat (node);
"""
_CACHE_KIB = 24 * 1024
_ROWS_AT_ONCE = 4096
_MOST_NAMES = 50_000
"""Names that are remembered to save a look into the database."""


class Store:
    """Add all events, call `complete`, then read node by node."""

    def __init__(self, only_node: str | None = None, *, seals_from_ms: int = 0) -> None:
        """`seals_from_ms`: older heartbeats are left out. Events are read from some time before the first seal on."""
        self._only_node = only_node
        self._seals_from_ms = seals_from_ms
        self._reader = EventReader()
        self._directory = tempfile.TemporaryDirectory(prefix="falcowatch-audit-")
        path = Path(self._directory.name)
        self._database = sqlite3.connect(path / "audit.sqlite", isolation_level=None)
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB}; PRAGMA temp_store=FILE;"
        )
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        self._texts = (path / "texts").open("w+b", buffering=1024 * 1024)
        self._end = 0
        self._rows: list[tuple[int, int, int, int, int, int, int]] = []
        self._nodes: dict[str, int] = {}
        self._files: dict[tuple[str, str], int] = {}
        self._streams: dict[str, int] = {}
        self.events = 0
        self.other_events = 0
        """Events of other programs."""
        self.newest_ms = 0
        self.oldest_ms: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._texts.close()
        self._directory.cleanup()

    def add(self, events: Iterable[RawEvent]) -> None:
        read, only_node, rows = self._reader.read, self._only_node, self._rows
        write, files = self._texts.write, self._files
        for raw in events:
            stream, time_ms, ingested_ms, message = raw
            found = read(message)
            self.events += 1
            if time_ms > self.newest_ms or ingested_ms > self.newest_ms:
                self.newest_ms = max(time_ms, ingested_ms)
            if self.oldest_ms is None or time_ms < self.oldest_ms:
                self.oldest_ms = time_ms
            if only_node is not None and found.node != only_node:
                continue
            if type(found) is RecordEvent:
                node, name, offset, canonical = found
                file = files.get((node, name)) or self._file(node, name)
                size = len(canonical)
                write(canonical)
                rows.append((file, offset, self._end, size, time_ms, ingested_ms, self._stream(stream)))
                self._end += size
                if len(rows) >= _ROWS_AT_ONCE:
                    self._write_rows()
            elif type(found) is OwnEvent:
                if found.is_heartbeat and time_ms >= self._seals_from_ms:
                    self._add_heartbeat(found, raw)
            elif type(found) is Foreign:
                self._add_foreign(found, raw)

    def expect_nodes(self, names: Iterable[str]) -> None:
        """These nodes are audited even if the data has no event of them."""
        for name in names:
            self._node(name)

    def complete(self) -> None:
        """All events are in: sorts them."""
        self._write_rows()
        self._texts.flush()
        self._database.execute("COMMIT")
        self._database.executescript(_ORDERS)

    def nodes(self) -> Iterator[StoredNode]:
        rows = self._database.execute("SELECT id, name, seal_copies FROM node ORDER BY name").fetchall()
        for node, name, seal_copies in rows:
            yield StoredNode(self._database, self._text, node, name, seal_copies)

    def _add_heartbeat(self, found: OwnEvent, raw: RawEvent) -> None:
        seal = read_seal(raw.message, found.id)
        node = self._node(found.node)
        if isinstance(seal, NoSeal):
            row = (
                node,
                storable(found.id),
                storable(str(seal)),
                raw.time_ms,
                raw.ingested_ms,
                self._stream(raw.stream),
            )
            self._database.execute("INSERT INTO heartbeat VALUES (?, ?, ?, ?, ?, ?)", row)
        else:
            self._add_seal(node, found.node, seal, raw)

    def _add_seal(self, node: int, node_name: str, seal: Seal, raw: RawEvent) -> None:
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO seal (node, chain, number, previous, begins, started, settings, leaving, mac,"
            " digest, in_flight, time, ingested, stream, place, size) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                node, seal.chain, seal.number, seal.previous, storable(seal.begins), seal.started,
                storable(seal.settings), seal.leaving, storable(seal.mac), digest_of_seal(raw.message),
                float(in_flight(raw.message)), raw.time_ms, raw.ingested_ms, self._stream(raw.stream), self._end,
                len(raw.message),
            ),
        )  # fmt: skip
        if not cursor.rowcount:
            self._database.execute("UPDATE node SET seal_copies = seal_copies + 1 WHERE id = ?", (node,))
            return
        row = cursor.lastrowid
        self._texts.write(raw.message)
        self._end += len(raw.message)
        for one in seal.files:
            file = self._file(node_name, one.file)
            self._database.executemany(
                "INSERT INTO gap VALUES (?, ?, ?)", [(file, start, end) for start, end, _ in one.gaps if start <= end]
            )
            self._database.execute(
                "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    file, row, one.start, one.end, one.shipped, msgspec.json.encode(one.filtered),
                    msgspec.json.encode(one.rejected), one.sha256, None if one.since is None else min(one.since, 2**62),
                ),
            )  # fmt: skip
        self._database.executemany(
            "INSERT OR IGNORE INTO unsealed VALUES (?, ?)", [(node, storable(one)) for one in seal.unsealed]
        )

    def _add_foreign(self, found: Foreign, raw: RawEvent) -> None:
        if not found.node:
            self.other_events += 1
            return
        self._database.execute(
            "INSERT INTO odd VALUES (?, ?, ?, ?, 1) ON CONFLICT (node, why) DO UPDATE SET count = count + 1",
            (self._node(found.node), found.why, self._stream(raw.stream), raw.time_ms),
        )

    def _write_rows(self) -> None:
        self._database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()

    def _text(self, place: int, size: int) -> bytes:
        return os.pread(self._texts.fileno(), size, place)

    def _node(self, name: str) -> int:
        known = self._nodes.get(name)
        if known is None:
            known = self._remember(self._nodes, name, "node", "name", (storable(name),))
        return known

    def _stream(self, name: str) -> int:
        known = self._streams.get(name)
        if known is None:
            known = self._remember(self._streams, name, "stream", "name", (storable(name),))
        return known

    def _file(self, node: str, name: str) -> int:
        known = self._files.get((node, name))
        if known is None:
            known = self._remember(self._files, (node, name), "file", "node, name", (self._node(node), storable(name)))
        return known

    def _remember(self, names: dict, key: object, table: str, columns: str, values: tuple) -> int:  # type: ignore[type-arg]
        marks = ", ".join("?" * len(values))
        same = " AND ".join(f"{column} = ?" for column in columns.split(", "))
        self._database.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)
        found = int(self._database.execute(f"SELECT id FROM {table} WHERE {same}", values).fetchone()[0])
        if len(names) >= _MOST_NAMES:
            names.clear()
        names[key] = found
        return found


def storable(text: str) -> str:
    """The text as SQLite takes it: a lone half of a surrogate pair, which JSON can spell, is replaced."""
    return text.encode(errors="replace").decode()
