"""The agent under the chart's memory limit, in a memory cgroup where that is permitted: input must not exhaust it.

Every scenario asserts that the agent lives, that its peak stays below 160 MiB, and that all alerts arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.enrich.cluster import NODE, serving, write_kubeconfig
from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result
from tests.faults.isolation.stage import CHART_LIMIT_BYTES, Stage, stage

SETTLE_SECONDS = 60.0


async def pods_of_more_than_a_megabyte_each_fit_into_memory(place: Path) -> Result:
    result = Result()
    place.mkdir(parents=True, exist_ok=True)
    async with serving() as (cluster, url), stage(place) as node:
        for number in range(60):
            await cluster.put(_large_pod(number))
        kubeconfig = write_kubeconfig(place / "kubeconfig", url, place / "token")
        variables = {"KUBECONFIG": str(kubeconfig), "FALCOWATCH_NODE_NAME": NODE}
        node.append(*alert_lines(range(100), pod="web-1"))
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, variables=variables, enrich__mode="api"):
            await _judge(node, result)
    found = await arrivals(place)
    found.expect_all(result, range(100))
    enriched = sum("labels" in entry.get("kubernetes", {}) for entry in found.events)
    result.measured["enriched"] = enriched
    return result


async def rule_names_of_a_megabyte_fit_into_memory(place: Path) -> Result:
    """250 rules of 1 MB each, while /metrics is scraped as Prometheus does."""
    result = Result()
    async with stage(place) as node, node.running(limit_bytes=CHART_LIMIT_BYTES):
        scraping = asyncio.create_task(_scrape(node))
        for number in range(250):
            node.append(*alert_lines([number], rule=f"{number:04d}" + "r" * 1_000_000))
            await asyncio.sleep(0.03)
        await _judge(node, result)
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
    result.expect(len((await arrivals(place)).events) >= 250, "not all events arrived")
    return result


async def a_hundred_thousand_different_words_fit_into_memory(place: Path) -> Result:
    """Rules, priorities, sources and pods that are all different, while /metrics is scraped."""
    result = Result()
    async with stage(place) as node, node.running(limit_bytes=CHART_LIMIT_BYTES):
        scraping = asyncio.create_task(_scrape(node))
        for start in range(0, 100_000, 2_000):
            node.append(*(_wordy(number) for number in range(start, start + 2_000)))
            await asyncio.sleep(0.02)
        await _judge(node, result)
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
        scraped = len((await node.agent.get("/metrics"))[1]) if node.is_alive else 0
        result.measured["scrape_kb"] = scraped / 1e3
        result.expect(scraped < 1_000_000, f"/metrics has {scraped / 1e6:.1f} MB")
    (await arrivals(place)).expect_all(result, range(100_000))
    return result


async def a_record_in_700_000_parts_fits_into_memory(place: Path) -> Result:
    result = Result()
    async with stage(place) as node, node.running(limit_bytes=CHART_LIMIT_BYTES, tail__partial_seconds="5"):
        node.append(*alert_lines(range(10)))
        part = cri(b"xx", tag="P")
        for _ in range(70):
            node.append(part * 10_000)
            await asyncio.sleep(0.02)
        node.append(cri(b"end"), *alert_lines(range(10, 20), priority="Critical"))
        await _judge(node, result)
    found = await arrivals(place)
    found.expect_all(result, range(20))
    return result


async def many_open_records_in_many_files_fit_into_memory(place: Path) -> Result:
    """Every file ends in a record of 900 KB whose last part has not been written."""
    result = Result()
    async with stage(place) as node:
        for number in range(60):
            directory = place / "pods" / f"falco_falco-{number:05d}_0f8fad5b-d9cb-469f-a165-{number:012d}" / "falco"
            directory.mkdir(parents=True)
            part = cri(b"y" * 16_000, tag="P")
            node.append(*alert_lines([number]), part * 56, path=directory / "0.log")
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, tail__partial_seconds="5"):

            async def all_arrived() -> bool:
                return await node.arrived("node-a") >= 60

            result.expect(await node.until(all_arrived, 40.0), "the complete records did not arrive")
            await asyncio.sleep(7.0)
            await _judge(node, result)
    (await arrivals(place)).expect_all(result, range(60))
    return result


async def _judge(node: Stage, result: Result) -> None:
    settled = await node.until_settled(SETTLE_SECONDS)
    code = node.agent.process.returncode
    result.expect(node.is_alive, f"the agent ended with code {code}" + (" (out of memory)" if code == -9 else ""))
    result.expect(settled or not node.is_alive, "not settled")


async def _scrape(node: Stage) -> None:
    while node.is_alive:
        await node.agent.get("/metrics")
        await asyncio.sleep(0.5)


def _wordy(number: int) -> bytes:
    alert = numbered_alert(number, priority=f"Priority {number}", rule=f"Rule number {number}", pod=f"pod-{number}")
    return cri(alert.replace(b'"source":"syscall"', b'"source":"plugin-%d"' % number))


def _large_pod(number: int) -> dict[str, Any]:
    """1.4 MB of annotations, which the API server permits up to its limit for an object."""
    annotations = {f"example.com/a{each}": "v" * 35_000 for each in range(40)}
    return {
        "metadata": {
            "name": f"web-{number}",
            "namespace": "shop",
            "uid": f"0b9d6a7e-1c2d-4e3f-8a9b-{number:012}",
            "labels": {"app": "web"},
            "annotations": annotations,
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"containerStatuses": _statuses([number])},
    }


def _statuses(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {"name": "web", "image": "web:1", "imageID": "", "containerID": f"containerd://{number:012x}{'0' * 52}"}
        for number in numbers
    ]


SCENARIOS = (
    IsolationScenario(pods_of_more_than_a_megabyte_each_fit_into_memory),
    IsolationScenario(rule_names_of_a_megabyte_fit_into_memory),
    IsolationScenario(a_hundred_thousand_different_words_fit_into_memory),
    IsolationScenario(a_record_in_700_000_parts_fits_into_memory),
    IsolationScenario(many_open_records_in_many_files_fit_into_memory),
)
