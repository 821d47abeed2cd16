"""An honest history of one node, made by the format in docs/proof.md and not by the agent's own code.

A story is a sequence of steps: the node writes records, reads them, seals, is killed, and so on. `events` is what
CloudWatch holds in the end. The tests audit it as it is, and after a mutation.
"""

import base64
import hmac
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import orjson

from agent.audit.history import UNKNOWN_MS, RawEvent
from agent.local.emulator import kms

START_MS = 1_795_000_000_000
HEARTBEAT_MS = 300_000
POD = b',"kubernetes":{"namespace_name":"shop","pod_name":"web-1","labels":{"app":"x,\\"falcowatch\\":{"}}'
LONG = 65_536


@dataclass(frozen=True)
class Record:
    file: str
    offset: int
    size: int
    canonical: bytes
    message: bytes
    sort: int
    """What filters go by."""


@dataclass
class File:
    id: str
    records: list[Record] = field(default_factory=list)
    size: int = 0


@dataclass
class Segment:
    file: str
    start: int
    end: int = 0
    fed: list[Record] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    rejected: list[Record] = field(default_factory=list)

    def statement(self) -> dict[str, object]:
        ordered = sorted(self.fed, key=lambda record: record.offset)
        digest = sha256(b"".join(record.canonical + b"\n" for record in ordered))
        return {
            "file": self.file,
            "from": self.start,
            "to": self.end,
            "shipped": len(self.fed),
            "filtered": dict(self.filtered),
            "rejected": [f"{self.file}:{record.offset}" for record in self.rejected],
            "gaps": [],
            "sha256": None if self.rejected else digest.hexdigest(),
        }


@dataclass
class Checkpoint:
    """What a killed agent finds again: how far each file is committed, and what no seal has stated yet."""

    offsets: dict[str, int] = field(default_factory=dict)
    unstated: list[dict[str, object]] = field(default_factory=list)


class Node:
    def __init__(
        self,
        name: str = "node-1",
        *,
        seed: int = 0,
        secret: bytes = b"",
        sign: Callable[[bytes], str] | None = None,
        ingested: bool = True,
        since: bool = False,
    ) -> None:
        self.name = name
        self.random = random.Random(seed)
        self.events: list[RawEvent] = []
        self.now_ms = START_MS
        self._sign, self._secret, self._ingested, self._since = sign, secret, ingested, since
        self._files = [File(f"{self.random.getrandbits(64):016x}")]
        self._shipped: set[tuple[str, int]] = set()
        """What any life of the agent shipped. An alert that was shipped is never folded later."""
        self.filtered_sorts: frozenset[int] = frozenset()
        self._new_chain("first start")
        self._began: dict[tuple[str, int], int] = {}
        self._checkpoint = Checkpoint()
        self._old_checkpoint = Checkpoint()
        self._unsealed: list[str] = []
        self._sealed_to: dict[str, int] = {}
        self._numbers = 0
        self._begin_life()
        self.seal()

    # What Falco and the kubelet do.

    def write(self, number: int = 3) -> None:
        for _ in range(number):
            self._write_one(self.random.choice(SHAPES))

    def write_each_shape(self) -> None:
        for shape in SHAPES:
            self._write_one(shape)

    def rotate(self) -> None:
        self._files.append(File(f"{self.random.getrandbits(64):016x}"))

    # What the agent does.

    def read(self, most: int = 5, *, reject: bool = False, fold: bool = False, resend: bool = False) -> None:
        """Reads records and settles them. The next seal or checkpoint commits them."""
        for file, record in self._unread(most):
            segment = self._segment(file)
            if segment.rejected and not reject:
                segment = self._new_segment(file, self._position[file.id])
            self._position[file.id] = segment.end = record.offset + record.size
            if record.sort in self.filtered_sorts:
                segment.filtered["priority"] += 1
            elif fold and (file.id, record.offset) not in self._shipped:
                segment.filtered["folded"] += 1
            else:
                segment.fed.append(record)
                if reject and (file.id, record.offset) not in self._arrived:
                    segment.rejected.append(record)
                else:
                    self._ship(record, resend=resend)

    def urgent_scan(self) -> None:
        """Ships the last unread record first; reading finds it later and does not ship it again."""
        unread = [record for _, record in self._unread(1000)]
        if unread and unread[-1].sort not in self.filtered_sorts:
            self._ship(unread[-1])
            self._arrived.add((unread[-1].file, unread[-1].offset))

    def gap(self, records: int = 2) -> None:
        """The next records are deleted before they are read."""
        file = self._reading()
        start = self._position.get(file.id, 0)
        lost = [record for record in file.records if record.offset >= start][:records]
        if lost:
            end = lost[-1].offset + lost[-1].size
            self._gaps.setdefault(file.id, []).append([start, end, "deleted"])
            self._position[file.id] = end
            self._new_segment(file, end)

    def checkpoint(self) -> None:
        """Commits what is settled, but no seal states it."""
        self._old_checkpoint = self._checkpoint
        self._checkpoint = Checkpoint(dict(self._position), self._checkpoint.unstated + self._statements())

    def heartbeat_without_seal(self) -> None:
        self._numbers += 1
        event_id = f"self:{self._started_ms}000000:{self._numbers}"
        self._unsealed.append(event_id)
        self._pass(HEARTBEAT_MS // 4)
        self._put(self.name, self._own_event("heartbeat", event_id, b""))

    def busy_seal(self) -> None:
        """A heartbeat while records are in flight: what was read since the last checkpoint is not stated."""
        self._seal(self._checkpoint.unstated, in_flight=3, leaving=False)
        self._checkpoint.unstated = []

    def seal(self, *, leaving: bool = False) -> None:
        self._seal(self._checkpoint.unstated + self._statements(), in_flight=self._backlog(), leaving=leaving)
        self._old_checkpoint, self._checkpoint = self._checkpoint, Checkpoint(dict(self._position))

    def leave(self) -> None:
        self.seal(leaving=True)

    def restart(self, *, filters: Iterable[int] | None = None) -> None:
        """A clean restart."""
        self.leave()
        self._begin_life(filters)
        self.seal()

    def kill(
        self,
        *,
        exact: bool = False,
        older: bool = False,
        deleted: bool = False,
        filters: Iterable[int] | None = None,
    ) -> None:
        """kill -9. `exact`: what arrived is not sent again. `older`: the last checkpoint was not on disk yet.

        `deleted`: the oldest file is deleted before the next start, which has seen nothing behind its checkpoint.
        """
        if older:
            self._checkpoint = self._old_checkpoint
        self._begin_life(filters)
        if deleted:
            file = self._files.pop(0)
            if not self._files:
                self.rotate()
            # A checkpoint with the positions is on disk before a seal that states them is sent.
            start = max(self._position.get(file.id, 0), self._sealed_to.get(file.id, 0))
            self._gaps[file.id] = [[start, start, "deleted"]]
            self._new_segment(file, start)
        if exact:
            self._arrived |= {_id_of(event.message) for event in self.events}
        self.seal()

    def lose_state(self) -> None:
        self._checkpoint = Checkpoint()
        self._begin_life()
        self._new_chain("state lost")
        self.seal()

    # The machinery.

    def _backlog(self) -> int:
        """While a backlog is read, there are always some records in flight."""
        return int(any((record.file, record.offset) in self._shipped for _, record in self._unread(1000)))

    def _begin_life(self, filters: Iterable[int] | None = None) -> None:
        self._pass(20_000)
        self._started_ms = self.now_ms
        if filters is not None:
            self.filtered_sorts = frozenset(filters)
        self._position = dict(self._checkpoint.offsets)
        self._segments: dict[str, Segment] = {}
        self._finished: list[Segment] = []
        self._gaps: dict[str, list[list[object]]] = {}
        self._arrived: set[tuple[str, int]] = set()
        self._stated: dict[tuple[str, int], int] = {}
        self._pass(5_000)

    def _new_chain(self, begins: str) -> None:
        self.chain, self.number, self.previous = f"{self.random.getrandbits(64):016x}", 0, ""
        self._begins = begins
        self._key = hmac.digest(self._secret, b"falcowatch seal " + self.chain.encode(), "sha256")

    def _reading(self) -> File:
        """The oldest file with unread records, or the newest file."""
        for file in self._files:
            if self._position.get(file.id, 0) < file.size:
                return file
        return self._files[-1]

    def _unread(self, most: int) -> list[tuple[File, Record]]:
        found = [
            (file, record)
            for file in self._files
            for record in file.records
            if record.offset >= self._position.get(file.id, 0)
        ]
        return found[:most]

    def _segment(self, file: File) -> Segment:
        return self._segments.get(file.id) or self._new_segment(file, self._position.get(file.id, 0))

    def _new_segment(self, file: File, start: int) -> Segment:
        if (old := self._segments.get(file.id)) is not None:
            self._finished.append(old)
        segment = self._segments[file.id] = Segment(file.id, start, start)
        return segment

    def _statements(self) -> list[dict[str, object]]:
        found = []
        for segment in [*self._finished, *self._segments.values()]:
            key = segment.file, segment.start
            if self._stated.get(key) != segment.end or self._gaps.get(segment.file):
                statement = segment.statement()
                statement["gaps"] = self._gaps.pop(segment.file, [])
                self._stated[key] = segment.end
                if self._since:
                    statement["since"] = self._began.setdefault(key, self.number + 1)
                found.append(statement)
        self._finished = []
        return found

    def _seal(self, statements: list[dict[str, object]], *, in_flight: int, leaving: bool) -> None:
        self._pass(self.random.choice([60_000, HEARTBEAT_MS]) if not leaving else 1_000)
        for one in statements:
            self._sealed_to[str(one["file"])] = max(self._sealed_to.get(str(one["file"]), 0), int(str(one["to"])))
        self.number += 1
        seal: dict[str, object] = {
            "version": 1,
            "chain": self.chain,
            "number": self.number,
            "previous": self.previous,
        }
        if self.number == 1:
            seal["begins"] = self._begins
        settings = sha256(repr(sorted(self.filtered_sorts)).encode()).hexdigest()[:16]
        seal |= {"started": self._started_ms, "settings": settings}
        if leaving:
            seal["leaving"] = True
        if self._unsealed:
            seal["unsealed"] = self._unsealed
            self._unsealed = []
        seal["files"] = statements
        event_id = f"self:seal:{self.chain}:{self.number}"
        message = self._own_event("heartbeat", event_id, b',"seal":' + orjson.dumps(seal), in_flight)
        mac = ""
        if self._sign is not None:
            mac = self._sign(message)
        elif self._secret:
            mac = "hmac-sha256:" + hmac.digest(self._key, message, "sha256").hex()
            self._key = sha256(b"falcowatch next seal key" + self._key).digest()
        if mac:
            signed = orjson.dumps(seal)[:-1] + b',"mac":"' + mac.encode() + b'"}'
            message = self._own_event("heartbeat", event_id, b',"seal":' + signed, in_flight)
        self.previous = sha256(message).hexdigest()
        self._put(self.name, message)
        if self.random.random() < 0.1:
            self._put(self.name, message)  # it was sent again

    def _own_event(self, kind: str, event_id: str, seal: bytes, in_flight: int = 0) -> bytes:
        self.own_event_ms = self.now_ms
        alert = orjson.dumps(
            {
                "hostname": self.name,
                "output": "read 1, shipped 1",
                "output_fields": {"books.in_flight": in_flight},
                "priority": "Informational",
                "rule": f"Falcowatch: {kind}",
                "source": "falcowatch",
                "time": str(self.now_ms),
            }
        )
        return alert[:-1] + seal + self._end(event_id) + b"}"

    def _end(self, event_id: str, notes: bytes = b"") -> bytes:
        return b',"falcowatch":{"id":"%b","node":"%b"%b}' % (event_id.encode(), self.name.encode(), notes)

    def _write_one(self, shape: "Shape") -> None:
        file = self._files[-1]
        payload, canonical, body, notes = shape(self.random, f"{self.name} {file.id} {file.size}".encode())
        message = body + self._end(f"{file.id}:{file.size}", notes) + b"}"
        size = len(payload) + 40
        record = Record(file.id, file.size, size, canonical, message, self.random.randrange(3))
        file.records.append(record)
        file.size += size

    def _ship(self, record: Record, *, resend: bool = False) -> None:
        if (record.file, record.offset) in self._arrived:
            return
        self._shipped.add((record.file, record.offset))
        stream = self.random.choice([self.name, f"{self.name}/urgent"])
        self._put(stream, record.message)
        if resend:
            self._put(stream, record.message)

    def _put(self, stream: str, message: bytes) -> None:
        self._pass(self.random.randrange(1, 50))
        self.events.append(RawEvent(stream, self.now_ms, self.now_ms if self._ingested else UNKNOWN_MS, message))

    def _pass(self, milliseconds: int) -> None:
        self.now_ms += milliseconds


def _id_of(message: bytes) -> tuple[str, int]:
    event_id = message.rpartition(b'"falcowatch":{"id":"')[2].partition(b'"')[0].decode()
    file, _, offset = event_id.rpartition(":")
    return file, int(offset)  # of a heartbeat it is the number


# Shapes of records: each returns the payload, its canonical bytes, the message without its end, and notes at the end.

Shape = Callable[[random.Random, bytes], tuple[bytes, bytes, bytes, bytes]]


def _of_length(text: bytes) -> bytes:
    return text if len(text) <= LONG else b"sha256:" + sha256(text).hexdigest().encode()


def alert(fields: bytes) -> bytes:
    return b'{"output":"%b","priority":"Notice","rule":"R","time":"2026-11-28T09:00:00.000000000Z"}' % fields


def plain(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(mark)
    return payload, payload, payload[:-1], b""


def in_pod(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(mark)
    return payload, payload, payload[:-1] + POD, b""


def with_inner_pod(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """An alert that holds an object named like the agent's."""
    payload = b'{"output":"%b","inner":{"a":1,"kubernetes":{"b":2}}}' % mark
    return payload, payload, payload[:-1], b""


def with_white_space(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(mark) + b" \t\r"
    return payload, payload.rstrip(), payload.rstrip()[:-1], b""


def not_utf8(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(b"\xff\xfe " + mark)
    text = payload.decode(errors="replace").encode()
    return payload, text, text[:-1], b""


def big(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(mark + b"x" * LONG)
    return payload, _of_length(payload), payload[:-1] + POD, b""


def shortened(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = alert(mark + b"y" * LONG)
    digest = sha256(payload).hexdigest().encode()
    body = b'{"output":"short","rule":"R","truncated":{"size":%d,"sha256":"%b"}' % (len(payload), digest)
    return payload, b"sha256:" + digest, body + POD, b""


def wrapped(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = b'Falco "starts" \\ \xe2\x82\xac ' + mark + b" "
    body = orjson.dumps({"log": payload.decode(), "stream": "stderr", "time": "t"})
    return payload, payload.rstrip(), body[:-1], b',"time":"adjusted"'


def forged_line(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = b'{"rule":"R","falcowatch":{"id":"self:1"},"kubernetes":{"a":"' + mark + b'"}}'
    body = orjson.dumps({"log": payload.decode(), "stream": "stdout"})
    return payload, payload, body[:-1], b',"forged":["falcowatch"]'


def like_wrapped(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """An alert with the keys of a wrapped line."""
    payload = b'{"log":"x","stream":"y","rule":"R","priority":"Notice","output":"%b"}' % mark
    return payload, payload, payload[:-1], b""


def with_defect(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = b"odd " + mark
    body = orjson.dumps({"log": payload.decode(), "size": len(payload)})
    return payload, payload, body[:-1], b',"defect":"ValueError"'


def with_long_defect(_: random.Random, mark: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    payload = mark + b"z" * LONG
    digest = sha256(payload).hexdigest().encode()
    body = orjson.dumps({"log": payload[:1000].decode(), "size": len(payload)})
    return payload, b"sha256:" + digest, body[:-1], b',"defect":"ValueError","sha256":"%b"' % digest


SHAPES: list[Shape] = [
    plain,
    in_pod,
    with_inner_pod,
    with_white_space,
    not_utf8,
    big,
    shortened,
    wrapped,
    forged_line,
    like_wrapped,
    with_defect,
    with_long_defect,
]


def kms_code(key_id: str, message: bytes, algorithm: str = "ECDSA_SHA_256") -> str:
    """The code of a seal as the embedded KMS computes it."""
    asked = {
        "KeyId": key_id,
        "Message": base64.b64encode(sha256(message).digest()).decode(),
        "MessageType": "DIGEST",
        "SigningAlgorithm": algorithm,
    }
    return f"kms:{algorithm}:{kms.answer('Sign', asked, 'eu-central-1')['Signature']}"


def changed(event: RawEvent, old: bytes, new: bytes) -> RawEvent:
    """The event with other bytes in its message."""
    assert old in event.message
    return event._replace(message=event.message.replace(old, new, 1))
