"""Invalid events, wrong tokens and missing streams under fake time: nothing good is rejected, nothing blocks a lane."""

import asyncio
from collections.abc import Callable
from itertools import cycle

import orjson
import pytest

from agent.core.values import Lane, PutReply
from agent.errors import Denied, Invalid, Missing, PutError, Throttled, Unavailable, WrongToken
from tests.ship.lanes import Fault, lanes, now

pytestmark = pytest.mark.looptime

INVALID = "InvalidParameterException"


def refusing(*bad: str) -> Fault:
    """A stream that refuses every put with one of these messages."""

    async def fault(messages: list[str]) -> PutReply | None:
        if set(bad) & set(messages):
            raise Invalid(INVALID, reason="invalid")
        return None

    return fault


async def refusing_all(messages: list[str]) -> PutReply | None:
    raise Invalid(INVALID, reason="invalid")


@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.URGENT, Lane.OTHER])
async def test_one_invalid_event_on_a_fresh_stream_does_not_block_the_lane(concurrency: int, lane: Lane) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        shipping.sink.faults[str(lane)] = refusing("bad")
        shipping.accept("bad", lane=lane)
        await asyncio.sleep(2)
        for number in range(10):
            shipping.accept(f"{number}", lane=lane)
            await asyncio.sleep(0.5)

        assert shipping.kept.messages == ["bad"]
        assert set(shipping.sink.messages(str(lane))) >= {f"{number}" for number in range(10)}
        assert shipping.ledger.in_flight == 0


async def test_a_control_event_asks_whether_a_stream_that_gets_nothing_else_accepts_events() -> None:
    async with lanes() as shipping:
        shipping.sink.faults["routine"] = refusing("bad")
        shipping.accept("bad")
        await asyncio.sleep(10)

        assert shipping.kept.messages == ["bad"]
        (control,) = map(orjson.loads, shipping.sink.messages("routine"))
        assert (control["rule"], control["priority"]) == ("Falcowatch: control", "Debug")


async def test_after_each_third_refusal_in_a_row_the_credentials_are_looked_for_again() -> None:
    async with lanes() as shipping:
        shipping.sink.faults["routine"] = always(lambda: Denied("no", reason="denied"))
        shipping.accept("one")
        for refusals in range(1, 8):
            while shipping.sink.puts["routine"] <= refusals:
                await asyncio.sleep(0.1)
            assert shipping.sink.reopened == refusals // 3

        shipping.sink.faults.clear()
        await asyncio.sleep(120)
        assert shipping.sink.messages("routine") == ["one"]


async def test_other_failures_between_refusals_do_not_keep_the_credentials_from_being_looked_for_again() -> None:
    async with lanes() as shipping:
        kinds = cycle([Denied, Denied, Unavailable])
        shipping.sink.faults["routine"] = always(lambda: next(kinds)("no", reason="no"))
        shipping.accept("one")

        while shipping.sink.puts["routine"] < 30:
            await asyncio.sleep(1)

        assert shipping.sink.reopened >= 5


@pytest.mark.parametrize("bad", [["0"], ["7"], ["9"], ["0", "9"], ["3", "4"], [str(one) for one in range(10)]])
async def test_only_the_invalid_events_of_a_batch_become_dead_letters(bad: list[str]) -> None:
    async with lanes() as shipping:
        shipping.sink.faults["routine"] = refusing(*bad)
        shipping.accept(*map(str, range(10)))
        await asyncio.sleep(30)

        good = {str(number) for number in range(10)} - set(bad)
        assert sorted(shipping.kept.messages) == sorted(bad)
        assert {one for one in shipping.sink.messages("routine") if one.isdigit()} == good
        assert shipping.ledger.in_flight == 0
        shipping.assert_books_balance()


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("accepted_before", [False, True])
async def test_a_stream_that_refuses_every_event_for_a_while_costs_no_event(
    concurrency: int, accepted_before: bool
) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        if accepted_before:
            shipping.accept("first")
            await asyncio.sleep(1)
        shipping.sink.faults["routine"] = refusing_all
        for number in range(199):
            shipping.accept(f"{number}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(120)
        assert shipping.kept.messages == []
        assert shipping.shipper.denied is not None
        assert "refuses every event" in shipping.shipper.denied
        assert shipping.sink.puts["routine"] < 200

        shipping.sink.faults.clear()
        await asyncio.sleep(60)

        assert set(shipping.sink.messages("routine")) >= {f"{number}" for number in range(199)}
        assert shipping.kept.messages == []
        assert shipping.shipper.denied is None


async def test_a_stream_that_begins_to_refuse_every_event_while_a_batch_is_halved_costs_no_good_event() -> None:
    async with lanes() as shipping:
        puts = 0

        async def fault(messages: list[str]) -> PutReply | None:
            nonlocal puts
            puts += 1
            if "bad" in messages or puts > 3:
                raise Invalid(INVALID, reason="invalid")
            return None

        shipping.sink.faults["routine"] = fault
        shipping.accept("bad", *map(str, range(15)))
        await asyncio.sleep(60)
        assert shipping.kept.messages == []

        shipping.sink.faults["routine"] = refusing("bad")
        await asyncio.sleep(60)

        assert shipping.kept.messages == ["bad"]
        assert set(shipping.sink.messages("routine")) >= set(map(str, range(15)))


def always(error: Callable[[], PutError]) -> Fault:
    async def fault(messages: list[str]) -> PutReply | None:
        raise error()

    return fault


@pytest.mark.parametrize("tokens", ["auto", "off"])
@pytest.mark.parametrize(("lane", "most"), [(Lane.ROUTINE, 30), (Lane.URGENT, 100)])
@pytest.mark.parametrize("error", [
    lambda: WrongToken("wants a token", expected="49"),
    lambda: Missing("no stream", reason="missing"),
    lambda: Invalid(INVALID, reason="invalid"),
    lambda: PutError("an error of a kind that is not in the table", reason="odd"),
], ids=["token", "missing", "invalid", "other"])  # fmt: skip
async def test_every_retry_has_a_backoff(tokens: str, lane: Lane, most: int, error: Callable[[], PutError]) -> None:
    async with lanes(sequence_tokens=tokens) as shipping:
        shipping.sink.faults[str(lane)] = always(error)
        for number in range(10):
            shipping.accept(f"{number}", lane=lane)
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)

        assert shipping.sink.puts[str(lane)] <= most


async def test_a_stream_that_cannot_be_created_is_reported_with_the_reason_why() -> None:
    async with lanes() as shipping:

        async def denied(destination: object) -> None:
            raise Denied("logs:CreateLogStream is not allowed", reason="denied")

        shipping.sink.faults["routine"] = always(lambda: Missing("no stream", reason="missing"))
        shipping.sink.create = denied  # type: ignore[method-assign]
        shipping.accept("one")
        await asyncio.sleep(60)

        assert shipping.shipper.denied is not None
        assert "CreateLogStream" in shipping.shipper.denied
        assert shipping.sink.puts["routine"] < 25


async def test_a_drain_waits_neither_for_the_pace_nor_for_a_fuller_batch_nor_for_a_backoff() -> None:
    async with lanes(max_puts_per_second=0.01, linger_seconds=60) as shipping:
        shipping.accept("first")
        await asyncio.sleep(1)
        shipping.sink.faults["urgent"] = always(lambda: Denied("no", reason="denied"))
        shipping.accept("denied until now", lane=Lane.URGENT)
        shipping.accept("paced")
        shipping.accept(*["x" * 1000] * 900)
        await asyncio.sleep(20)
        shipping.sink.faults.clear()

        began = now()
        await shipping.shipper.drain()

        assert now() - began < 0.5
        assert shipping.ledger.in_flight == 0


@pytest.mark.parametrize("error", [Denied, Throttled, Unavailable])
@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.URGENT])
async def test_what_fails_during_a_drain_is_tried_again_soon_and_not_in_a_tight_loop(
    error: type[PutError], lane: Lane
) -> None:
    async with lanes(concurrency=20) as shipping:
        streams = [f"team-{number}/{lane}" for number in range(20)]
        for number, stream in enumerate(streams):
            shipping.sink.faults[stream] = always(lambda: error("no", reason="no"))
            shipping.accept("one", lane=lane, namespace=f"team-{number}")
        await asyncio.sleep(120)
        puts_before = shipping.sink.puts.total()

        draining = asyncio.create_task(shipping.shipper.drain())
        await asyncio.sleep(10)
        assert shipping.sink.puts.total() - puts_before <= 100 * len(streams)
        shipping.sink.faults.clear()
        repaired = now()
        await draining

        assert now() - repaired < 3
        assert shipping.ledger.in_flight == 0


async def test_what_comes_while_the_shipper_drains_is_not_paced_either() -> None:
    async with lanes(max_puts_per_second=0.01) as shipping:
        shipping.accept("first")
        await asyncio.sleep(1)
        draining = asyncio.create_task(shipping.shipper.drain())
        for lane in Lane:
            shipping.accept("last", lane=lane)
            await asyncio.sleep(0.2)
        await draining

        assert now() < 3
        assert shipping.ledger.in_flight == 0


async def test_the_books_balance_while_a_slow_disk_writes_dead_letters() -> None:
    async with lanes() as shipping:

        async def rejecting_the_first(messages: list[str]) -> PutReply | None:
            return PutReply(too_old_end=1)

        shipping.sink.faults["routine"] = rejecting_the_first
        shipping.kept.disk.clear()
        for number in range(40):
            shipping.accept(*(f"{number}.{part}" for part in range(3)))
            for _ in range(5):
                await asyncio.sleep(0.02)
                shipping.assert_books_balance()
        await asyncio.sleep(2)
        assert shipping.shipper.counts.shipped[Lane.ROUTINE] >= 40  # the disk stops no lane
        assert shipping.ledger.in_flight >= 1
        shipping.assert_books_balance()

        shipping.kept.disk.set()
        await shipping.shipper.drain()

        assert shipping.ledger.in_flight == 0
        assert shipping.budget.used_bytes == 0
        shipping.assert_books_balance()


@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.URGENT])
async def test_an_event_is_sent_again_under_the_time_of_delivery_only_once(lane: Lane) -> None:
    async with lanes() as shipping:

        async def too_old(messages: list[str]) -> PutReply | None:
            return PutReply(too_old_end=len(messages))

        shipping.sink.faults[str(lane)] = too_old
        shipping.accept(*(f'{{"n":{number},"falcowatch":{{"id":"f:{number}"}}}}' for number in range(5)), lane=lane)
        await shipping.shipper.drain()

        assert shipping.sink.puts[str(lane)] == 2
        assert len(shipping.kept.messages) == 5
        assert {one.reason for one in shipping.kept.dead_letters} == {"too_old"}
        assert shipping.budget.used_bytes == 0
        shipping.assert_books_balance()
