"""Clocks and times: the node's clock is set back, alerts have forged or scattered times, Falco's clock is wrong.

The node's clock is changed with libfaketime for the agent's process alone; `make test-tools` installs it. The monotonic
clock stays true, as on a real node.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result
from tests.faults.isolation.stage import stage

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
DAY_NS = 86_400 * 10**9
DAYS = 12


async def a_clock_set_back_during_a_record_across_a_rotation_does_not_block_the_next_file(place: Path) -> Result:
    result = Result()
    if FAKETIME is None:
        result.measured["skipped"] = "libfaketime is not installed"
        return result
    place.mkdir(parents=True, exist_ok=True)
    clock = place / "clock"
    clock.write_text("+0")
    variables = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with stage(place) as node, node.running(variables=variables, tail__partial_seconds="3"):
        node.append(*alert_lines(range(5)))

        async def arrived(count: int) -> bool:
            async def reached() -> bool:
                return await node.all_arrived() >= count

            return await node.until(reached, 15.0)

        await arrived(5)
        # The first part of a record, then a rotation: the next file, which has the last part, waits for the first.
        record = numbered_alert(5)
        node.append(cri(record[:60], tag="P"))
        await asyncio.sleep(1.5)
        clock.write_text("-240")  # within the five minutes that a signature is valid
        node.rotate("20261128-000001")
        node.append(cri(record[60:]), *alert_lines(range(6, 16), priority="Critical"))
        began = time.monotonic()
        complete = await arrived(16)
        result.measured["seconds"] = time.monotonic() - began
        result.expect(complete, f"the file after the rotation waits: {await node.all_arrived()} of 16 arrived in 15 s")
    (await arrivals(place)).expect_all(result, range(16))
    return result


async def times_scattered_over_days_do_not_delay_a_critical(place: Path) -> Result:
    """The runtime's stamps are scattered too, as in a backlog of days, so the events cannot share a put."""
    return await _scattered(place, stamps=True)


async def forged_times_of_alerts_do_not_delay_a_critical(place: Path) -> Result:
    """Falco's times are scattered over days, and the runtime's stamps are right."""
    return await _scattered(place, stamps=False)


async def _scattered(place: Path, *, stamps: bool) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        node.append(*alert_lines([0]), *alert_lines([1], priority="Critical"))

        async def both_arrived() -> bool:
            return await node.all_arrived() >= 2

        await node.until(both_arrived)
        puts_before = await _puts(node.statistics)
        now = time.time_ns()
        lines = []
        for number in range(3_000):
            at = now - (number * 7 % DAYS) * DAY_NS - number * 10**6
            lines.append(cri(numbered_alert(1_000 + number, at_ns=at), at_ns=at if stamps else None))
        node.append(*lines)
        for number in range(20):
            node.append(*alert_lines([100 + number], priority="Critical"))
            await asyncio.sleep(0.1)

        async def all_arrived() -> bool:
            return await node.all_arrived() >= 2 + 3_000 + 20

        result.expect(await node.until(all_arrived, 60.0), f"{await node.all_arrived()} of 3,022 events arrived")
        result.measured["puts"] = await _puts(node.statistics) - puts_before
    found = await arrivals(place)
    found.expect_all(result, [*range(100, 120), *range(1_000, 4_000)])
    worst = max((found.seconds.get(number, float("inf")) for number in range(100, 120)), default=0.0)
    result.measured["worst"] = worst
    result.expect_fast(worst <= 1.0, f"the slowest Critical took {worst:.1f} s")
    routine_puts = int(result.measured["puts"]) - 20
    # One put for each day, and as many again for the chunks in which the file was read.
    result.expect(routine_puts <= 4 * DAYS, f"{routine_puts} puts for {DAYS} days of events")
    return result


async def _puts(statistics) -> int:
    return sum((await statistics())["operations"].get("PutLogEvents", {}).values())


async def events_outside_the_window_of_cloudwatch_are_delivered(place: Path) -> Result:
    """An outage of 15 days, or a wrong clock, puts events outside the times that CloudWatch accepts."""
    result = Result()
    async with stage(place) as node, node.running():
        now = time.time_ns()
        for number, days in enumerate((-400, -20, -15, 1, 300)):
            at = now + days * DAY_NS
            node.append(cri(numbered_alert(number, at_ns=at), at_ns=at))
        node.append(*alert_lines(range(10, 20)))

        async def all_arrived() -> bool:
            return await node.all_arrived() >= 15

        await node.until(all_arrived, 10.0)
    (await arrivals(place)).expect_all(result, [*range(5), *range(10, 20)], "not delivered")
    return result


SCENARIOS = (
    IsolationScenario(a_clock_set_back_during_a_record_across_a_rotation_does_not_block_the_next_file),
    IsolationScenario(times_scattered_over_days_do_not_delay_a_critical),
    IsolationScenario(forged_times_of_alerts_do_not_delay_a_critical),
    IsolationScenario(events_outside_the_window_of_cloudwatch_are_delivered),
)
