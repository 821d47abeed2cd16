"""One stream of CloudWatch fails, and the other lane must keep its latency.

The urgent lane writes to `node-a/urgent`, the routine lane to `node-a`. A fault hits one of these streams for the whole
scenario. Quick checks look at order only: the other lane is delivered while the fault is still set.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, percentile, variants
from tests.faults.isolation.stage import CHART_LIMIT_BYTES, Stage, stage

URGENT, ROUTINE = "node-a/urgent", "node-a"
MAX_P99_SECONDS = 1.0
MAX_ROUTINE_P99_SECONDS = 2.5
"""A second to linger, and one for the pace."""
ROUTINE_SECONDS = 8
ROUTINE_PER_SECOND = 1_000
CRITICALS = 40
STEPS, MANY_A_STEP = 40, 600
"""24,000 alerts of 1 KB: the default budget holds some 11,000."""
LASTING_FAULTS = ("denied", "hung", "throttled", "unavailable")
MAY_REPEAT = ("hung", "refused")
"""Faults after which nobody knows whether the events were accepted."""

STREAM_FAULTS: dict[str, dict[str, object]] = {
    "denied": {"kind": "denied"},
    "hung": {"kind": "hang"},
    "throttled": {"kind": "throttle"},
    "refused": {"kind": "reset"},
    "invalid": {"kind": "invalid"},
    "token": {"kind": "wrong_token"},
    "unavailable": {"kind": "error", "status": 503},
}


async def a_fault_of_the_urgent_stream_does_not_slow_the_routine_lane(place: Path, fault: str) -> Result:
    """Criticals keep arriving in the log, so that the urgent lane retries with several batches all the time."""
    result = Result()
    async with stage(place) as node, node.running():
        await _lanes_work(node)
        await node.set_faults({**STREAM_FAULTS[fault], "operation": "PutLogEvents", "stream": URGENT})
        written = 0
        for number in range(ROUTINE_SECONDS * 10):
            node.append(*alert_lines([100 + number], priority="Critical"))
            node.append(*alert_lines(range(10_000 + written, 10_000 + written + ROUTINE_PER_SECOND // 10)))
            written += ROUTINE_PER_SECOND // 10
            await asyncio.sleep(0.1)

        async def routine_arrived() -> bool:
            return await node.arrived(ROUTINE) >= 1 + written

        delivered = await node.until(routine_arrived, 10.0)
        arrived = await node.arrived(ROUTINE) - 1
        result.expect(node.is_alive, "the agent ended")
        result.expect(delivered, f"{arrived} of {written} routine alerts arrived while the urgent stream had the fault")
        await node.set_faults()
        await node.until_settled()
    found = await arrivals(place)
    routine, criticals = range(10_000, 10_000 + written), range(100, 100 + ROUTINE_SECONDS * 10)
    if fault == "invalid":
        # Whatever CloudWatch calls invalid is dead-lettered, but a brake must keep most of the lane from this.
        kept = len(found.missing(criticals))
        result.measured["dead_letters"] = kept
        result.expect(kept < len(criticals) / 2, f"{kept} of {len(criticals)} good Criticals became dead letters")
        found.expect_all(result, routine)
    else:
        found.expect_all(result, [*routine, *criticals])
    p99 = percentile([found.seconds[number] for number in routine if number in found.seconds], 99)
    result.measured["p99"] = p99
    result.expect_fast(p99 <= MAX_ROUTINE_P99_SECONDS, f"p99 of routine alerts is {p99:.1f} s")
    found.expect_no_gap(result)
    return result


async def an_urgent_stream_that_accepts_nothing_leaves_the_memory_to_routine_alerts(place: Path, fault: str) -> Result:
    return await _one_stream_accepts_nothing(place, fault, URGENT)


async def a_routine_stream_that_accepts_nothing_leaves_the_memory_to_criticals(place: Path, fault: str) -> Result:
    return await _one_stream_accepts_nothing(place, fault, ROUTINE)


async def with_exact_resume_a_stream_that_accepts_nothing_leaves_the_memory_to_others(
    place: Path, stream: str
) -> Result:
    return await _one_stream_accepts_nothing(place, "denied", stream, resume="exact")


async def an_urgent_stream_that_accepts_nothing_moves_to_disk_while_nothing_else_is_sent(place: Path) -> Result:
    """A control event to the routine stream shows that CloudWatch answers. Then a routine alert is read and shipped."""
    result = Result()
    numbers = range(100_000, 100_000 + STEPS * MANY_A_STEP)
    async with stage(place) as node, node.running(limit_bytes=CHART_LIMIT_BYTES):
        await _lanes_work(node)
        before = await node.arrived(ROUTINE)
        await node.set_faults({**STREAM_FAULTS["denied"], "operation": "PutLogEvents", "stream": URGENT})
        node.append(*alert_lines(numbers, priority="Critical", filler=700), *alert_lines([100]))

        async def control_event_and_alert_arrived() -> bool:
            return await node.arrived(ROUTINE) >= before + 2

        delivered = await node.until(control_event_and_alert_arrived, 40.0)
        result.expect(delivered, "the routine alert behind the urgent ones did not arrive within 40 s")
        await node.set_faults()
        result.expect(await node.until_settled(90.0), "not settled after the fault")
    found = await arrivals(place)
    found.expect_all(result, [100, *numbers])
    found.expect_no_gap(result)
    return result


async def a_kill_while_alerts_wait_on_disk_loses_none(place: Path, resume: str) -> Result:
    """The files of the spilled alerts are gone with the process; the log files still have the alerts.

    With exact resume, the routine alerts that were shipped behind the spilled ones are not sent again.
    """
    result = Result()
    numbers = range(100_000, 100_000 + STEPS * MANY_A_STEP)
    routine = range(1_000, 3_000)
    async with stage(place) as node:
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, cloudwatch__resume=resume) as agent:
            await _lanes_work(node)
            await node.set_faults({**STREAM_FAULTS["denied"], "operation": "PutLogEvents", "stream": URGENT})
            node.append(*alert_lines(numbers, priority="Critical", filler=700))

            async def many_wait_on_disk() -> bool:
                return (await node.metrics())["records_spilled"] > len(numbers) / 2

            result.expect(await node.until(many_wait_on_disk, 30.0), "the alerts did not move to disk")
            before = await node.arrived(ROUTINE)
            node.append(*alert_lines(routine))

            async def routine_arrived() -> bool:
                return await node.arrived(ROUTINE) >= before + len(routine)

            result.expect(await node.until(routine_arrived, 30.0), "the routine alerts did not arrive")
            agent.process.kill()
            await agent.process.wait()
        result.expect(not _spill_files(place), "the killed agent has left files of spilled alerts")
        await node.set_faults()
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, cloudwatch__resume=resume):
            result.expect(await node.until_settled(90.0), "not settled after the restart")
    found = await arrivals(place)
    found.expect_all(result, [*routine, *numbers])
    twice = sum(count - 1 for count in found.counts.values())
    result.measured["duplicates"] = twice
    result.expect(resume != "exact" or not twice, f"{twice} alerts arrived twice in spite of exact resume")
    found.expect_no_gap(result)
    return result


def _spill_files(place: Path) -> list[Path]:
    return [path for path in (place / "state").iterdir() if path.is_file() and path.stat().st_size > 2**20]


async def _one_stream_accepts_nothing(place: Path, fault: str, stream: str, *, resume: str = "at_least_once") -> Result:
    """Its alerts are twice as many as the memory budget holds, so they wait on disk."""
    result = Result()
    is_urgent = stream == URGENT
    many, few = ("Critical", "Notice") if is_urgent else ("Notice", "Critical")
    other = ROUTINE if is_urgent else URGENT
    async with stage(place) as node, node.running(limit_bytes=CHART_LIMIT_BYTES, cloudwatch__resume=resume):
        await _lanes_work(node)
        await node.set_faults({**STREAM_FAULTS[fault], "operation": "PutLogEvents", "stream": stream})
        for step in range(STEPS):
            first = 100_000 + step * MANY_A_STEP
            node.append(*alert_lines(range(first, first + MANY_A_STEP), priority=many, filler=700))
            node.append(*alert_lines([100 + step], priority=few))
            await asyncio.sleep(0.25)

        async def others_arrived() -> bool:
            return await node.arrived(other) >= 1 + STEPS

        delivered = await node.until(others_arrived, 10.0)
        spilled = (await node.metrics())["records_spilled"]
        result.measured["spilled"] = spilled
        arrived = await node.arrived(other) - 1
        result.expect(delivered, f"{arrived} of {STEPS} alerts of the other stream arrived during the fault")
        result.expect(spilled > MANY_A_STEP, f"{spilled:.0f} records waited on disk")
        result.expect(node.is_alive, "the agent ended")
        await node.set_faults()
        result.expect(await node.until_settled(90.0), "not settled after the fault")
        result.expect((await node.metrics())["records_spilled"] == 0, "records still wait on disk")
    found = await arrivals(place)
    found.expect_all(result, [*range(100, 100 + STEPS), *range(100_000, 100_000 + STEPS * MANY_A_STEP)])
    twice = sum(count - 1 for count in found.counts.values())
    result.expect(fault in MAY_REPEAT or not twice, f"{twice} alerts arrived twice")
    found.expect_no_gap(result)
    return result


async def a_fault_of_the_routine_stream_does_not_slow_criticals(place: Path, fault: str) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        await _lanes_work(node)
        await node.set_faults({**STREAM_FAULTS[fault], "operation": "PutLogEvents", "stream": ROUTINE})
        node.append(*alert_lines(range(1_000, 6_000)))
        await asyncio.sleep(1.0)
        for number in range(CRITICALS):
            node.append(*alert_lines([100 + number], priority="Critical"))
            await asyncio.sleep(0.1)

        async def urgent_arrived() -> bool:
            return await node.arrived(URGENT) >= 1 + CRITICALS

        delivered = await node.until(urgent_arrived, 20.0)
        result.expect(delivered, f"{await node.arrived(URGENT) - 1} of {CRITICALS} Criticals arrived within 20 s")
        result.expect(node.is_alive, "the agent ended")
        await node.set_faults()
        await node.until_settled()
    await _judge_criticals(place, result)
    return result


async def a_flood_above_the_quota_does_not_slow_criticals(place: Path) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        await _lanes_work(node)
        await node.set_faults({"kind": "throttle", "operation": "PutLogEvents", "per_second": 10})
        for number in range(CRITICALS):
            first = 1_000 + number * 2_000
            node.append(*alert_lines(range(first, first + 2_000)))
            node.append(*alert_lines([100 + number], priority="Critical"))
            await asyncio.sleep(0.25)

        async def urgent_arrived() -> bool:
            return await node.arrived(URGENT) >= 1 + CRITICALS

        result.expect(await node.until(urgent_arrived, 20.0), "not all Criticals arrived within 20 s")
    await _judge_criticals(place, result)
    return result


async def criticals_arrive_within_a_second_when_half_of_their_puts_are_throttled(place: Path) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        await _lanes_work(node)
        await node.set_faults(
            {"kind": "throttle", "operation": "PutLogEvents", "stream": URGENT, "probability": 0.5},
        )
        for number in range(CRITICALS):
            node.append(*alert_lines(range(1_000 + number * 200, 1_200 + number * 200)))
            node.append(*alert_lines([100 + number], priority="Critical"))
            await asyncio.sleep(0.2)

        async def urgent_arrived() -> bool:
            return await node.arrived(URGENT) >= 1 + CRITICALS

        result.expect(await node.until(urgent_arrived, 20.0), "not all Criticals arrived within 20 s")
    await _judge_criticals(place, result)
    return result


async def a_critical_after_hung_requests_arrives_within_a_second(place: Path) -> Result:
    """Every request hangs for some seconds. CloudWatch recovers, but the hung requests still hold their slots."""
    result = Result()
    async with stage(place) as node, node.running():
        await _lanes_work(node)
        await node.set_faults({"kind": "hang", "operation": "PutLogEvents"})
        for number in range(8):
            node.append(*alert_lines([50 + number], priority="Critical"), *alert_lines([900 + number]))
            await asyncio.sleep(0.5)
        await node.set_faults()
        node.append(*alert_lines([100], priority="Critical"))
        before = await node.arrived(URGENT)

        async def another_arrived() -> bool:
            return await node.arrived(URGENT) > before

        await node.until(another_arrived, 40.0)
        await node.until_settled()
    found = await arrivals(place)
    seconds = found.seconds.get(100, float("inf"))
    result.measured["seconds"] = seconds
    result.expect_fast(seconds <= MAX_P99_SECONDS, f"the Critical took {seconds:.1f} s")
    return result


async def _lanes_work(node: Stage) -> None:
    """Both lanes have delivered once, so that groups, streams and connections exist."""
    node.append(*alert_lines([0]), *alert_lines([1], priority="Critical"))

    async def both_arrived() -> bool:
        return await node.arrived(ROUTINE) >= 1 and await node.arrived(URGENT) >= 1

    assert await node.until(both_arrived), node.agent.log_path.read_text()[-2000:]


async def _judge_criticals(place: Path, result: Result) -> None:
    found = await arrivals(place)
    numbers = range(100, 100 + CRITICALS)
    found.expect_all(result, numbers)
    latencies = [found.seconds[number] for number in numbers if number in found.seconds]
    result.measured |= {"p50": percentile(latencies, 50), "p99": percentile(latencies, 99)}
    result.expect_fast(
        percentile(latencies, 99) <= MAX_P99_SECONDS, f"p99 of Criticals is {percentile(latencies, 99):.2f} s"
    )
    found.expect_no_gap(result)


SCENARIOS = (
    *variants(a_fault_of_the_urgent_stream_does_not_slow_the_routine_lane, STREAM_FAULTS),
    *variants(a_fault_of_the_routine_stream_does_not_slow_criticals, STREAM_FAULTS, quick=("denied", "token")),
    *variants(an_urgent_stream_that_accepts_nothing_leaves_the_memory_to_routine_alerts, LASTING_FAULTS),
    *variants(a_routine_stream_that_accepts_nothing_leaves_the_memory_to_criticals, LASTING_FAULTS),
    *variants(with_exact_resume_a_stream_that_accepts_nothing_leaves_the_memory_to_others, (URGENT, ROUTINE)),
    # A seal every two seconds would show that CloudWatch answers.
    IsolationScenario(an_urgent_stream_that_accepts_nothing_moves_to_disk_while_nothing_else_is_sent, sealed=False),
    *variants(a_kill_while_alerts_wait_on_disk_loses_none, ("at_least_once", "exact")),
    IsolationScenario(a_flood_above_the_quota_does_not_slow_criticals),
    IsolationScenario(criticals_arrive_within_a_second_when_half_of_their_puts_are_throttled),
    IsolationScenario(a_critical_after_hung_requests_arrives_within_a_second),
)
