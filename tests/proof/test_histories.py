"""Reading, shipping and sealing in every order, with crashes, as a state machine: the seals always prove the events.

The files, the ledger, the processor, the outbox and the seals are those of the agent. The test stands for the disk, for
CloudWatch and for the scheduler: it decides what is written, read, acknowledged, rejected and saved, and when the agent
is killed. At the end every message is verified; then one of them is removed or changed, and that must be noticed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agent.core.batching.span import Settles, Span
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.proof.seal import Chain, SealState
from agent.core.proof.segment import FileDigest, Statement
from agent.core.reading.ledger import Entry
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Records, without
from agent.core.reading.scan_ledger import ScanEntry
from agent.core.values import Fragment, Lane, PodKey
from agent.flow.budget import Budget
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.outbox import Outbox
from agent.selfmonitor.sealer import Sealer
from agent.tail.checkpoint import PendingEvent
from agent.tail.file_records import FileRecords
from agent.tail.reader import Reader
from agent.telemetry import Telemetry
from tests.proof.reference import canonical, problems

LONGEST = 1 << 20
STAMP = "2026-11-23T07:23:01.156686905Z"
NOW_MS = 1_795_418_600_000
HEARTBEAT = OwnEvent("heartbeat", "Informational", "read 0", {}, Lane.ROUTINE)
POD = Fragment(b',"kubernetes":{"pod_name":"p"}', rb",\"kubernetes\":{\"pod_name\":\"p\"}", "hit")


def alert(number: int, priority: str, rule: str) -> bytes:
    return (
        b'{"output":"%d","output_fields":{"k8s.pod.name":"p"},"priority":"%b","rule":"%b","source":"syscall",'
        b'"time":"2026-11-23T07:23:01Z"}' % (number, priority.encode(), rule.encode())
    )


kinds = st.sampled_from(
    [("Notice", "R"), ("Notice", "R"), ("Critical", "R"), ("Notice", "dropped"), ("Critical", "dropped"), ("text", "")]
)


@dataclass
class File:
    """A log file on the disk."""

    id: str
    content: bytes = b""


@dataclass
class Saved:
    """A checkpoint."""

    offsets: dict[str, int] = field(default_factory=dict)
    islands: dict[str, frozenset[int]] = field(default_factory=dict)
    pending: list[PendingEvent] = field(default_factory=list)
    seal: SealState = field(default_factory=lambda: SealState(Chain("c" * 16, begins="first start")))


@dataclass
class Flight:
    """An event that is on its way."""

    message: str
    entry: Settles | None
    file: str = ""


class Node(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.disk = [File("f0")]
        self.arrived: list[str] = []
        self.saved = Saved()
        self.written = 0
        self.has_rejected = False
        self.parts: dict[str, bytes] = {}
        """By stream: the rest of a record whose first part is written."""

    @initialize()
    def start(self) -> None:
        """A life of the agent begins with what the checkpoint says."""
        telemetry, counts = Telemetry("0"), Counts(Telemetry("0"))
        self.flights: list[Flight] = []
        self.files: list[FileRecords] = []
        self.finished: list[Statement] = []
        self.at = 0
        self.processor = Processor(Policy(drop_rules=("dropped",)), node="n")
        self.matcher = UrgentMatcher("critical")
        self.outbox = Outbox(self.accept, Budget(1 << 30, 0), node="n", cluster="")
        self.sealer = Sealer(
            self.saved.seal.chain,
            self.saved.seal.files,
            settings="s",
            reader=cast(Reader, self),
            outbox=self.outbox,
            counts=counts,
            telemetry=telemetry,
        )
        for file in self.disk:
            self.open(file)
        self.outbox.resend(self.saved.pending)

    def open(self, file: File) -> None:
        records = FileRecords(FileDigest(file.id), Cri(), LONGEST)
        rejected, filtered = self.saved.seal.unshipped.get(file.id, ((), ()))
        records.digest.rejected.update(rejected)
        records.digest.unshipped.update(filtered)
        records.note_settled(self.saved.islands.get(file.id, frozenset()))
        records.start_at(self.saved.offsets.get(file.id, 0))
        self.files.append(records)

    # What the sealer asks of the reader

    def statements(self) -> list[Statement]:
        return [statement for file in self.files for statement in file.statements]

    def note_stated(self, statements: list[Statement], number: int) -> None:
        for file in self.files:
            file.digest.note_stated([one for one in statements if one.file == file.id], number)

    def settled_unshipped(self) -> dict[str, tuple[list[int], list[int]]]:
        return {file.id: file.settled_unshipped() for file in self.files}

    # What happens

    @rule(kind=kinds, stream=st.sampled_from(["stdout", "stdout", "stderr"]), cut=st.sampled_from([0, 0, 0, 20, 60]))
    def write(self, kind: tuple[str, str], stream: str, cut: int) -> None:
        """A record, or its first part; a record that has begun is ended first."""
        if stream in self.parts:
            self.append(stream, "F", self.parts.pop(stream))
            return
        self.written += 1
        priority, name = kind
        record = b"text %d" % self.written if priority == "text" else alert(self.written, priority, name)
        if not cut:
            self.append(stream, "F", record)
            return
        self.append(stream, "P", record[:cut])
        self.parts[stream] = record[cut:]

    def append(self, stream: str, tag: str, text: bytes) -> None:
        self.disk[-1].content += f"{STAMP} {stream} {tag} ".encode() + text + b"\n"

    @precondition(lambda self: self.disk[-1].content and len(self.disk) < 3)
    @rule()
    def rotate(self) -> None:
        file = File(f"f{len(self.disk)}")
        self.disk.append(file)
        self.open(file)

    @rule(most=st.integers(50, 1500))
    def read(self, most: int) -> None:
        """The next chunk; at the end of a file that was rotated, the next file."""
        file, content = self.files[self.at], self.disk[self.at].content
        data = content[file.end : file.end + most]
        if not data and self.at + 1 < len(self.files):
            self.at += 1
            self.files[self.at].begin(file)
            return
        records = file.join(file.cut(data, 0.0))
        entry = file.enter(records, 0.0)
        if len(records):
            self.convey(file, records, entry)

    @rule(most=st.integers(200, 2000))
    def scan(self, most: int) -> None:
        """The urgent scan goes on in the file that is being read."""
        file, content = self.files[self.at], self.disk[self.at].content
        start = max(file.scan_ledger.scanned, file.reached)
        window = content[start : start + most]
        end = window.rfind(b"\n") + 1
        file.scan_ledger.scanned = start + end
        found = without(
            self.matcher.find(window[:end], start, Cri(), LONGEST),
            {offset for offset in file.settled_out_of_order if offset >= start},
        )
        if len(found):
            self.convey(file, found, file.scan_ledger.enter(found.offsets, 0.0))

    def convey(self, file: FileRecords, records: Records, entry: Entry | ScanEntry) -> None:
        result = self.processor.process(
            records,
            file=file.id,
            line_format=file.joiner.line_format,
            now_ms=NOW_MS,
            find=self.find,
            settled=file.settled_out_of_order,
        )
        filtered = Counter(result.filtered)
        del filtered["settled"]
        if isinstance(entry, Entry):
            file.prove(entry, records, result.unshipped, filtered)
        else:
            file.scan_ledger.note_unshipped(result.unshipped, filtered)
        for span in result.spans.values():
            self.flights += [Flight(span.message(at), entry, file.id) for at in range(len(span))]
        if settled := sum(result.filtered.values()):
            entry.settle(settled)

    def find(self, key: PodKey, time_ms: int) -> Fragment:
        return POD

    def accept(self, lane: Lane, namespace: str, span: Span) -> None:
        self.flights += [Flight(message, span.entry) for message in span.messages]

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), outcome=st.sampled_from(["accepted", "accepted", "accepted", "answer lost", "rejected"]))
    def put(self, data: st.DataObject, outcome: str) -> None:
        number = data.draw(st.integers(0, len(self.flights) - 1))
        flight = self.flights[number]
        if outcome == "answer lost":
            self.arrived.append(flight.message)
            return
        if outcome == "accepted" or not flight.file:
            self.arrived.append(flight.message)
        else:
            self.reject(flight.message)
        del self.flights[number]
        if flight.entry is not None:
            flight.entry.settle(1)

    def reject(self, message: str) -> None:
        self.has_rejected = True
        found = canonical(message)
        assert found is not None
        for file in self.files:
            if file.id == found[0]:
                file.digest.reject(found[1])

    @rule()
    def save(self) -> None:
        self.saved = Saved(
            {file.id: file.ledger.committed for file in self.files},
            {file.id: frozenset(file.all_settled_out_of_order()) for file in self.files},
            self.outbox.pending,
            self.sealer.state(),
        )

    @rule(disk_is_well=st.sampled_from([True, True, True, False]), leaving=st.sampled_from([False, False, True]))
    def seal(self, disk_is_well: bool, leaving: bool) -> None:
        async def save() -> bool:
            if disk_is_well:
                self.save()
            return disk_is_well

        asyncio.run(self.sealer.seal(HEARTBEAT, save, leaving=leaving))

    @rule()
    def kill(self) -> None:
        self.start()

    def teardown(self) -> None:
        """A last life without trouble reads and ships everything and leaves. Then the messages are verified."""
        self.start()
        for _ in range(sum(len(file.content) for file in self.disk) // 500 + 2 * len(self.disk) + 2):
            self.read(500)
        self.put_everything()
        for file in self.files:
            records = file.joiner.close_incomplete()
            entry = file.enter(records, 0.0)
            if len(records):
                self.convey(file, records, entry)
        self.put_everything()
        self.seal(disk_is_well=True, leaving=True)
        self.put_everything()
        self.seal(disk_is_well=True, leaving=True)
        self.put_everything()
        assert problems(self.arrived) == []
        if self.has_rejected:
            return  # what is proved by count alone does not notice a change
        alerts = [message for message in self.arrived if canonical(message) is not None]
        for message in alerts[:3]:
            assert problems([one for one in self.arrived if one != message])
            changed = message.replace('"output":"', '"output":"x', 1).replace('"log":"', '"log":"x', 1)
            assert problems([changed if one == message else one for one in self.arrived])

    def put_everything(self) -> None:
        while self.flights:
            flight = self.flights.pop()
            self.arrived.append(flight.message)
            if flight.entry is not None:
                flight.entry.settle(1)


TestNode = Node.TestCase
TestNode.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
