"""A real Prometheus scrapes a real agent: target, rules and dashboard work, and every record is accounted for."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.deploy.agent_at_work import ALERTS, AtWork, agent_at_work, made_up_credentials
from tests.deploy.test_grafana_dashboard import expressions

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm/falcowatch/files/rules.yaml"
DASHBOARD = ROOT / "helm/falcowatch/files/dashboard.json"
LABELS = {"namespace": "falcowatch", "node": "ip-10-0-1-7"}
"""Of the scraped series, as the ServiceMonitor of the chart sets them."""


@pytest.fixture
async def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AtWork]:
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        yield at_work


class Prometheus:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url, self._http = url, http

    async def get(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"{self._url}/api/v1/{path}", params=parameters) as reply:
            return (await reply.json())["data"]

    async def failures(self, panels: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The panels whose query this Prometheus refuses, with its reason. `panels`: title and query of each."""
        failed = {}
        for title, query in panels:
            async with self._http.get(f"{self._url}/api/v1/query", params={"query": query}) as reply:
                answer = await reply.json()
            if answer["status"] != "success":
                failed[title] = answer["error"]
        return failed

    async def value(self, expression: str) -> float:
        """Waits until the expression has a sample, and returns its value."""
        while True:
            for sample in (await self.get("query", query=expression))["result"]:
                return float(sample["value"][1])
            await asyncio.sleep(0.1)


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Runs a Prometheus process with our rules that scrapes `target` every second."""
    if not (program := shutil.which("prometheus")):
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "prometheus.yaml"
    jobs = [{"job_name": "falcowatch", "static_configs": [{"targets": [target], "labels": LABELS}]}]
    intervals = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config.write_text(yaml.safe_dump({"global": intervals, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    process = await asyncio.create_subprocess_exec(
        *command, f"--web.listen-address={address}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as http:
            while not await _is_ready(http, f"http://{address}/-/ready"):
                assert process.returncode is None, "prometheus ended during its start"
                await asyncio.sleep(0.1)
            yield Prometheus(f"http://{address}", http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as reply:
            return reply.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_prometheus_scrapes_the_agent_and_every_record_is_accounted_for(agent: AtWork, tmp_path: Path):
    async with asyncio.timeout(60), prometheus(tmp_path, agent.url.removeprefix("http://")) as server:
        shipped = await server.value('sum(falcowatch_records_shipped_total{lane="urgent"})')
        difference = await server.value("falcowatch:books_difference:records")
        groups = (await server.get("rules"))["groups"]
        targets = (await server.get("targets"))["activeTargets"]
        alerts = (await server.get("alerts"))["alerts"]
        panels = dict(expressions(json.loads(DASHBOARD.read_text())))
        failures = await server.failures(panels.items())
        (coverage,) = [query for title, query in panels.items() if title.startswith("Coverage")]
        await server.value(f"({coverage}) > 0")
        states = (await server.get("query", query=coverage))["result"]

    assert shipped == ALERTS
    assert difference == 0
    assert [target["health"] for target in targets] == ["up"]
    broken = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"]
    assert broken == []
    assert [alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"] == []
    assert failures == {}
    reading = 1
    assert [(state["metric"], float(state["value"][1])) for state in states] == [({"node": LABELS["node"]}, reading)]


async def test_promtool_accepts_the_metrics(agent: AtWork):
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    async with aiohttp.ClientSession() as http, http.get(f"{agent.url}/metrics") as reply:
        text = await reply.read()

    result = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)

    assert (result.returncode, result.stderr.decode()) == (0, "")
