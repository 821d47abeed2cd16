"""The shipper over real HTTP: every record is shipped or becomes a dead letter, and is settled only then."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from agent.core.batching.limits import MOST_BYTES
from agent.core.batching.span import Span
from agent.core.reading.ledger import Ledger
from agent.core.values import Destination, Lane
from agent.deadletters.store import DeadLetterStore, read_dead_letters
from agent.deadletters.writer import DeadLetterWriter
from agent.flow.budget import Budget
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings.model import CloudWatch
from agent.ship.shipper import Shipper
from agent.telemetry import Telemetry
from tests.cloudwatch.clients import client_of

DAY_MS = 24 * 3600 * 1000
PATIENCE_SECONDS = 30


@dataclass
class Shipping:
    shipper: Shipper
    ledger: Ledger
    budget: Budget
    telemetry: Telemetry
    dead_letters: Path

    def accept(self, *messages: str, lane: Lane = Lane.ROUTINE, age_ms: int = 0, namespace: str = "falco") -> None:
        """As the pipeline hands a chunk over: one span, one entry."""
        span = Span(file="f00", read_at=time.monotonic())
        span.entry = self.ledger.enter(self.ledger.end + 100 * len(messages), len(messages))
        for number, message in enumerate(messages):
            span.append(int(time.time() * 1000) - age_ms, message.encode(), number * 100)
        self.budget.adjust(span.held_bytes)
        self.shipper.accept(lane, namespace, span)

    async def drained(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.shipper.drain()
        assert self.ledger.in_flight == 0
        assert self.ledger.committed == self.ledger.end
        assert self.budget.used_bytes == 0

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.value(name, **labels)


@asynccontextmanager
async def shipping(cloudwatch: EmbeddedCloudWatch, tmp_path: Path, **settings: object) -> AsyncIterator[Shipping]:
    budget, telemetry, dead_letters = Budget(1 << 24), Telemetry("test"), tmp_path / "dead-letters"

    def destination(lane: Lane, namespace: str) -> Destination:
        return Destination("falco", namespace if lane is Lane.ROUTINE else f"{namespace}/{lane}")

    async with client_of(cloudwatch, **settings) as client:
        shipper = Shipper(
            CloudWatch.model_validate(settings),
            client,
            destination=destination,
            budget=budget,
            rejected=DeadLetterWriter(DeadLetterStore(dead_letters), telemetry),
            telemetry=telemetry,
        )
        running = asyncio.create_task(shipper.run())
        try:
            yield Shipping(shipper, Ledger(), budget, telemetry, dead_letters)
        finally:
            running.cancel()
            await asyncio.wait([running])


def texts(cloudwatch: EmbeddedCloudWatch, stream: str | None = None) -> list[str]:
    return [event.message.decode() for event in cloudwatch.events("falco", stream)]


async def test_what_is_accepted_arrives_and_is_settled(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        shipper.accept("a", "b")
        shipper.accept("c", lane=Lane.URGENT)
        await shipper.drained()

        assert texts(cloudwatch, "falco") == ["a", "b"]
        assert texts(cloudwatch, "falco/urgent") == ["c"]
        assert shipper.count("records_shipped_total", lane="routine") == 2
        assert shipper.count("records_shipped_total", lane="urgent") == 1


AGAIN = [
    (Fault("throttle", operation="PutLogEvents", count=3), "throttled"),
    (Fault("error", operation="PutLogEvents", status=500, count=2), "unavailable"),
    (Fault("error", operation="PutLogEvents", status=503, count=2), "unavailable"),
    (Fault("reset", operation="PutLogEvents", count=2), None),
    (Fault("close", operation="PutLogEvents", count=2), None),
    (Fault("hang", operation="PutLogEvents", count=1), "timeout"),
    (Fault("denied", operation="PutLogEvents", count=1), None),
    (Fault("expired_token", operation="PutLogEvents", count=1), None),
]


@pytest.mark.parametrize(("fault", "reason"), AGAIN, ids=lambda value: value.kind if isinstance(value, Fault) else "")
async def test_what_was_refused_is_sent_again_until_it_is_taken(
    tmp_path: Path, fault: Fault, reason: str | None
) -> None:
    async with (
        EmbeddedCloudWatch() as cloudwatch,
        shipping(cloudwatch, tmp_path, timeout_seconds=0.5) as shipper,
    ):
        cloudwatch.faults.add(fault)
        shipper.accept("a", lane=Lane.URGENT)
        await shipper.drained()

        assert texts(cloudwatch) == ["a"]
        assert shipper.telemetry.total("retries_total") >= (fault.count or 0)
        assert shipper.telemetry.total("records_shipped_total") == 1
        if reason is not None:
            assert shipper.count("retries_total", reason=reason) == fault.count
        assert shipper.count("throttled_total") == (fault.count if fault.kind == "throttle" else 0)


@pytest.mark.parametrize("kind", ["reset", "close", "error"])
async def test_an_answer_that_was_lost_makes_it_arrive_twice_and_count_once(tmp_path: Path, kind: str) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        shipper.accept("first")
        await shipper.shipper._idle.wait()
        cloudwatch.faults.add(Fault(kind, operation="PutLogEvents", count=1, accepted=True))
        shipper.accept("a")
        await shipper.drained()

        assert texts(cloudwatch) == ["first", "a", "a"]
        assert shipper.telemetry.total("records_shipped_total") == 2


async def test_group_and_stream_are_created_when_they_are_missing(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        shipper.accept("a", namespace="one")
        shipper.accept("b", namespace="two")
        await shipper.drained()

        assert cloudwatch.groups() == {"falco": ["one", "two"]}
        assert cloudwatch.requests.count("DescribeLogStreams") == 0


async def test_events_rejected_inside_a_200_become_dead_letters_with_their_reason_and_the_rest_is_shipped(
    tmp_path: Path,
) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path, out_of_window="reject") as shipper:
        shipper.accept("old", age_ms=20 * DAY_MS)
        shipper.accept("fine")
        shipper.accept("new", age_ms=-DAY_MS // 2)
        await shipper.drained()

        found = {one.message: (one.reason, one.file) for one in read_dead_letters(shipper.dead_letters)}
        assert texts(cloudwatch) == ["fine"]
        assert found == {b"old": ("too_old", "f00"), b"new": ("too_new", "f00")}
        assert shipper.telemetry.total("records_shipped_total") == 1
        assert shipper.count("records_rejected_total", reason="too_old") == 1
        assert shipper.count("dead_letters_total", reason="too_new") == 1


@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.URGENT])
async def test_events_rejected_for_their_time_arrive_under_the_time_of_delivery_and_say_so(
    tmp_path: Path, lane: Lane
) -> None:
    def alert(rule: str) -> str:
        return f'{{"rule":"{rule}","time":"then","falcowatch":{{"id":"f00:{rule}"}}}}'

    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path, retention_days=3) as shipper:
        shipper.accept(alert("too_old"), lane=lane, age_ms=20 * DAY_MS)
        shipper.accept(alert("expired"), lane=lane, age_ms=5 * DAY_MS)
        shipper.accept(alert("fine"), lane=lane)
        shipper.accept(alert("too_new"), lane=lane, age_ms=-DAY_MS // 2)
        await shipper.drained()

        found = {orjson.loads(text)["rule"]: orjson.loads(text) for text in texts(cloudwatch)}
        assert len(texts(cloudwatch)) == 4
        assert "time" not in found["fine"]["falcowatch"]
        for rule in ("too_old", "expired", "too_new"):
            assert rule in found[rule]["falcowatch"]["time"]
            assert found[rule]["time"] == "then"
        assert shipper.telemetry.total("records_shipped_total") == 4
        assert shipper.telemetry.total("records_rejected_total") == 0
        assert list(read_dead_letters(shipper.dead_letters)) == []


async def test_a_poisoned_batch_is_halved_to_the_culprit(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        shipper.accept("before")
        await shipper.shipper._idle.wait()
        shipper.accept("a", "b", "", "c", "d")  # CloudWatch takes no empty message
        await shipper.drained()

        assert sorted(texts(cloudwatch)) == ["a", "b", "before", "c", "d"]
        assert [(one.reason, one.offset) for one in read_dead_letters(shipper.dead_letters)] == [("invalid", 200)]
        assert shipper.telemetry.total("records_shipped_total") == 5
        assert shipper.count("records_rejected_total", reason="invalid") == 1


async def test_full_batches_go_side_by_side_and_every_event_arrives_once(tmp_path: Path) -> None:
    messages = [f"{number} {'x' * 5000}" for number in range(1000)]
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        cloudwatch.faults.add(Fault("slow", operation="PutLogEvents", seconds=0.05))
        for start in range(0, len(messages), 50):
            shipper.accept(*messages[start : start + 50])
        await shipper.drained()

        assert sorted(texts(cloudwatch)) == sorted(messages)
        puts = [request for request in cloudwatch.requests if request.operation == "PutLogEvents"]
        assert all(request.bytes < 2 * MOST_BYTES for request in puts)


async def test_a_flood_of_routine_alerts_in_a_throttled_account_does_not_hold_up_an_urgent_one(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        cloudwatch.faults.add(Fault("hang", operation="PutLogEvents", stream="falco"))
        for _ in range(20):
            shipper.accept(*["x" * 50_000] * 20)
        shipper.accept("urgent", lane=Lane.URGENT)

        async with asyncio.timeout(PATIENCE_SECONDS):
            await cloudwatch.until(lambda: cloudwatch.count("falco", "falco/urgent") == 1)
        assert shipper.telemetry.total("records_shipped_total") <= 1


async def test_an_endpoint_that_enforces_tokens_gets_one_put_at_a_time_with_its_token(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch(sequence_tokens=True) as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        for number in range(10):
            shipper.accept(f"{number}", lane=Lane.URGENT)
            await asyncio.sleep(0)
        await shipper.drained()

        assert sorted(texts(cloudwatch)) == sorted(map(str, range(10)))


async def test_a_drain_with_a_dead_cloudwatch_can_be_given_up_and_settles_nothing(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        cloudwatch.faults.add(Fault("reset"))
        shipper.accept("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await shipper.shipper.drain()

        assert shipper.ledger.committed == 0
        assert shipper.ledger.in_flight == 1
        assert sum(queue.records for queue in shipper.shipper.queues) == 1


async def test_a_shipper_cancelled_in_the_middle_of_a_put_settles_nothing(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch:
        async with shipping(cloudwatch, tmp_path) as shipper:
            shipper.accept("first")
            await shipper.shipper._idle.wait()
            cloudwatch.faults.add(Fault("hang", operation="PutLogEvents", accepted=True))
            shipper.accept("a")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await cloudwatch.until(lambda: cloudwatch.count("falco") == 2)
        assert shipper.ledger.in_flight == 1


async def test_dead_letters_that_cannot_be_written_do_not_stop_the_shipping(tmp_path: Path) -> None:
    occupied = tmp_path / "dead-letters"
    occupied.write_text("a file where the directory should be")
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path, out_of_window="reject") as shipper:
        shipper.accept("old", age_ms=20 * DAY_MS)
        shipper.accept("fine")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await cloudwatch.until(lambda: texts(cloudwatch) == ["fine"])
        assert shipper.count("records_rejected_total", reason="too_old") == 0
        assert shipper.ledger.in_flight >= 1

        occupied.unlink()
        await shipper.drained()

        assert [one.message for one in read_dead_letters(occupied)] == [b"old"]
        assert shipper.count("records_rejected_total", reason="too_old") == 1


async def test_messages_arrive_as_the_very_bytes_that_were_accepted(tmp_path: Path) -> None:
    message = '{"a":"\u2028 \U0001f600 \\u0007","n":18446744073506046132}'
    async with EmbeddedCloudWatch() as cloudwatch, shipping(cloudwatch, tmp_path) as shipper:
        shipper.accept(message)
        await shipper.drained()

        assert texts(cloudwatch) == [message]
        assert orjson.loads(message)["n"] == 18446744073506046132
