"""An agent that is killed soon after each start must still make progress."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import stage

LIFE_SECONDS = 3.0
LIVES = 6


async def an_agent_killed_a_few_seconds_after_each_start_makes_progress(place: Path, resume: str) -> Result:
    """With `exact` an agent asks CloudWatch for up to 5 s after a crash; each process here lives 3 s.

    So the second process after each crash ships, because it counts the seconds that the first one has waited.
    """
    result = Result()
    written = 0
    counts: list[int] = []
    async with stage(place) as node:
        # A put that is under way at a kill has not taken effect, so exact resume cannot find its events at once.
        await node.set_faults({"kind": "slow", "operation": "PutLogEvents", "seconds": 0.8})
        for _ in range(LIVES):
            async with node.running(cloudwatch__resume=resume) as agent:
                await agent.url()
                for _ in range(int(LIFE_SECONDS / 0.1)):
                    node.append(*alert_lines(range(written, written + 20)))
                    written += 20
                    await asyncio.sleep(0.1)
            counts.append(await node.all_arrived())
        result.measured["arrived"] = counts[-1]
        lives = 2 if resume == "exact" else 1
        stuck = [first for first, last in zip(counts, counts[lives:], strict=False) if first == last]
        result.expect(not stuck, f"no alert arrived during {lives} processes: {counts}")
        await node.set_faults()
        async with node.running(cloudwatch__resume=resume):
            result.expect(await node.until_settled(), "not settled")
    found = await arrivals(place)
    found.expect_all(result, range(written))
    found.expect_no_gap(result)
    twice = sum(count - 1 for count in found.counts.values())
    result.measured["duplicates"] = twice
    result.expect(resume != "exact" or not twice, f"{twice} alerts arrived twice in spite of exact resume")
    return result


SCENARIOS: tuple[IsolationScenario, ...] = tuple(
    variants(an_agent_killed_a_few_seconds_after_each_start_makes_progress, ("at_least_once", "exact"))
)
