"""CloudWatch refuses many times: each retry has a backoff, and a refusal neither blocks nor empties its lane."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import stage

MAX_PUTS_A_SECOND = 20
GOOD_ALERTS = 200


async def an_endpoint_that_wants_tokens_is_not_flooded_with_retries(place: Path) -> Result:
    result = Result()
    async with (
        stage(place, options=["--sequence-tokens"]) as node,
        node.running(cloudwatch__sequence_tokens="off"),
    ):
        node.append(*alert_lines(range(10)), *alert_lines(range(10, 20), priority="Critical"))

        async def both_arrived() -> bool:
            return await node.all_arrived() >= 2

        await node.until(both_arrived)
        node.append(*alert_lines(range(20, 30)))
        await asyncio.sleep(8.0)
        puts = sum((await node.statistics())["operations"].get("PutLogEvents", {}).values())
        result.measured["puts"] = puts
        result.expect(puts <= 8 * MAX_PUTS_A_SECOND, f"{puts} puts in 8 s")
        result.expect(node.is_alive, "the agent ended")
    return result


async def one_invalid_event_on_a_new_stream_does_not_block_its_lane(place: Path, concurrency: str) -> Result:
    result = Result()
    async with stage(place) as node:
        # The first put with events to the existing stream is refused, whatever it contains.
        await node.set_faults({"kind": "invalid", "operation": "PutLogEvents", "count": 1, "skip": 1})
        async with node.running(cloudwatch__concurrency=concurrency):
            node.append(*alert_lines([0]))
            await asyncio.sleep(2.0)
            node.append(*alert_lines(range(1, 51)))
            result.expect(await node.until_settled(20.0), "the lane is blocked")
    found = await arrivals(place)
    result.measured["missing"] = len(found.missing(range(51)))
    result.expect(len(found.missing(range(51))) <= 1, f"{len(found.missing(range(51)))} of 51 alerts are missing")
    return result


async def a_lasting_refusal_does_not_turn_a_whole_lane_into_dead_letters(place: Path) -> Result:
    """CloudWatch accepted the lane before, and then calls every put invalid: the fault is not in the events."""
    result = Result()
    async with stage(place) as node, node.running():
        node.append(*alert_lines([0]))

        async def first_arrived() -> bool:
            return await node.all_arrived() >= 1

        await node.until(first_arrived)
        await node.set_faults({"kind": "invalid", "operation": "PutLogEvents"})
        node.append(*alert_lines(range(1, 1 + GOOD_ALERTS)))
        await asyncio.sleep(20.0)
        rejected = (await node.metrics()).get("records_rejected_total", 0.0)
        result.measured["dead_letters"] = rejected
        result.expect(rejected <= 20, f"{rejected:.0f} of {GOOD_ALERTS} good alerts became dead letters in 20 s")
        await node.set_faults()
        result.expect(await node.until_settled(90.0), "not settled after the fault")
        rejected = (await node.metrics()).get("records_rejected_total", 0.0)
    found = await arrivals(place)
    missing = len(found.missing(range(GOOD_ALERTS + 1)))
    result.expect(missing <= rejected, f"{missing} alerts are missing, {rejected:.0f} count as rejected")
    return result


SCENARIOS: tuple[IsolationScenario, ...] = (
    IsolationScenario(an_endpoint_that_wants_tokens_is_not_flooded_with_retries),
    *variants(one_invalid_event_on_a_new_stream_does_not_block_its_lane, ("1", "2", "4"), quick=("2",)),
    IsolationScenario(a_lasting_refusal_does_not_turn_a_whole_lane_into_dead_letters),
)
