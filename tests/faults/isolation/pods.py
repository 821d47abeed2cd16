"""Alerts of pods that the agent does not know: waiting for a pod must delay the alert that waits, and no other.

The agent watches a fake API server (tests/enrich/cluster.py) that knows one pod; alerts name others.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.enrich.cluster import serving, write_kubeconfig
from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, percentile
from tests.faults.isolation.stage import CHART_LIMIT_BYTES, stage

SECONDS = 10
PER_SECOND = 1_000


async def a_flood_of_unknown_pods_does_not_slow_criticals(place: Path) -> Result:
    """1,000 alerts a second name pods that do not exist. Criticals are about the host, so they need no pod."""
    result = Result()
    place.mkdir(parents=True, exist_ok=True)
    criticals = range(100, 100 + SECONDS * 10)
    async with serving() as (_, url), stage(place) as node:
        kubeconfig = write_kubeconfig(place / "kubeconfig", url, place / "token")
        variables = {"KUBECONFIG": str(kubeconfig), "FALCOWATCH_NODE_NAME": "node-1"}
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, variables=variables, enrich__mode="api"):
            node.append(*alert_lines([0]), *alert_lines([1], priority="Critical"))

            async def both_arrived() -> bool:
                return await node.all_arrived() >= 2

            await node.until(both_arrived)
            for number in criticals:
                first = 10_000 + (number - 100) * PER_SECOND // 10
                for each in range(first, first + PER_SECOND // 10):
                    node.append(*alert_lines([each], pod=f"gone-{each}"))
                node.append(*alert_lines([number], priority="Critical"))
                await asyncio.sleep(0.1)

            async def all_arrived() -> bool:
                return await node.all_arrived() >= 2 + len(criticals) + SECONDS * PER_SECOND

            result.expect(await node.until(all_arrived, 30.0), f"{await node.all_arrived()} events arrived")
    found = await arrivals(place)
    found.expect_all(result, [*criticals, *range(10_000, 10_000 + SECONDS * PER_SECOND)])
    latencies = [found.seconds[number] for number in criticals if number in found.seconds]
    result.measured |= {"p50": percentile(latencies, 50), "p99": percentile(latencies, 99)}
    result.expect_fast(
        percentile(latencies, 99) <= 1.0, f"p99 of Criticals about the host is {percentile(latencies, 99):.2f} s"
    )
    return result


SCENARIOS = (IsolationScenario(a_flood_of_unknown_pods_does_not_slow_criticals),)
