"""A shipper over a sink that behaves as a test says, under fake time: faults by stream, latencies by lane."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from agent.core.batching.span import Span
from agent.core.dead_letter import DeadLetter
from agent.core.reading.ledger import Ledger
from agent.core.values import Destination, Lane, PutReply
from agent.flow.budget import Budget
from agent.settings.model import CloudWatch
from agent.ship.shipper import Shipper
from agent.ship.spill_file import SpillFile
from agent.telemetry import Telemetry

Fault = Callable[[list[str]], Awaitable[PutReply | None]]
"""What happens to a put with these messages: it raises, waits, or answers; None: the put is accepted."""

PUT_SECONDS = 0.05


@dataclass
class FakeSink:
    """Accepts every put after PUT_SECONDS, unless the fault of its stream decides otherwise."""

    faults: dict[str, Fault] = field(default_factory=dict)
    arrived: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """Stream → the time and the message of each accepted event."""
    first_arrivals: dict[str, float] = field(default_factory=dict)
    """Message → when it was accepted first."""
    puts: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    most_under_way: Counter[str] = field(default_factory=Counter)
    created: list[Destination] = field(default_factory=list)
    reopened: int = 0

    async def put(
        self,
        destination: Destination,
        events: Sequence[bytes],
        *,
        token: str | None = None,
        entity: Mapping[str, object] | None = None,
    ) -> PutReply:
        stream = destination.stream
        messages = [event["message"] for event in orjson.loads(b"".join(events))]
        self.puts[stream] += 1
        self.under_way[stream] += 1
        self.most_under_way[stream] = max(self.most_under_way[stream], self.under_way[stream])
        try:
            await asyncio.sleep(PUT_SECONDS)
            fault = self.faults.get(stream)
            reply = None if fault is None else await fault(messages)
            if reply is None:
                self.arrived.setdefault(stream, []).extend((now(), message) for message in messages)
                for message in messages:
                    self.first_arrivals.setdefault(message, now())
                reply = PutReply()
            return reply
        finally:
            self.under_way[stream] -= 1

    async def create(self, destination: Destination) -> None:
        self.created.append(destination)

    async def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]:
        raise NotImplementedError
        yield 0, ""

    async def reopen(self) -> None:
        self.reopened += 1

    def messages(self, stream: str) -> list[str]:
        return [message for _, message in self.arrived.get(stream, ())]


@dataclass
class KeptDeadLetters:
    dead_letters: list[DeadLetter] = field(default_factory=list)
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the disk writes; cleared while it hangs."""

    def __post_init__(self) -> None:
        self.disk.set()

    async def write(self, dead_letters: Sequence[DeadLetter]) -> None:
        await self.disk.wait()
        self.dead_letters += dead_letters

    @property
    def messages(self) -> list[str]:
        return [one.message.decode() for one in self.dead_letters]


@dataclass
class Lanes:
    shipper: Shipper
    sink: FakeSink
    kept: KeptDeadLetters
    budget: Budget
    telemetry: Telemetry
    ledger: Ledger
    running: asyncio.Task[None]
    read: int = 0

    def accept(self, *messages: str, lane: Lane = Lane.ROUTINE, namespace: str = "falco") -> None:
        span = Span(file="f00", read_at=now())
        span.entry = self.ledger.enter(self.ledger.end + len(messages), len(messages))
        for number, message in enumerate(messages):
            span.append(1_800_000_000_000, message.encode(), number)
        self.read += len(messages)
        self.budget.adjust(span.held_bytes)
        self.shipper.accept(lane, namespace, span)

    async def latency(self, message: str, *, lane: Lane = Lane.URGENT, namespace: str = "falco") -> float:
        """From the moment an alert is accepted by the shipper until CloudWatch has it."""
        began = now()
        self.accept(message, lane=lane, namespace=namespace)
        while (arrived := self.sink.first_arrivals.get(message)) is None:
            await asyncio.sleep(0.01)
        return arrived - began

    def assert_books_balance(self) -> None:
        counts = self.shipper.counts
        assert self.read == counts.shipped.total() + counts.rejected.total() + self.ledger.in_flight


@asynccontextmanager
async def lanes(
    *, budget_bytes: int = 1 << 26, spill: SpillFile | None = None, **settings: object
) -> AsyncIterator[Lanes]:
    sink, kept, budget, telemetry = FakeSink(), KeptDeadLetters(), Budget(budget_bytes), Telemetry("test")

    def destination(lane: Lane, namespace: str) -> Destination:
        return Destination("falco", str(lane) if namespace == "falco" else f"{namespace}/{lane}")

    shipper = Shipper(
        CloudWatch.model_validate(settings),
        sink,
        destination=destination,
        budget=budget,
        rejected=kept,
        telemetry=telemetry,
        spill=spill,
        monotonic=now,
    )
    running = asyncio.create_task(shipper.run())
    try:
        yield Lanes(shipper, sink, kept, budget, telemetry, Ledger(), running)
    finally:
        running.cancel()
        await asyncio.wait([running])


def now() -> float:
    return asyncio.get_running_loop().time()
