"""Hostile answers of CloudWatch and of the API server: the agent survives them, in bounded memory, and believes none.

CloudWatch's hostile answers come from the embedded CloudWatch; those of the API server from a small server here, which
sends the same bodies and others that only a list of pods can have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
from aiohttp import web

from agent.local.emulator.adversary import HOSTILE_KINDS, HostileAnswer, hostile_answer
from tests.enrich.cluster import write_kubeconfig
from tests.faults.isolation.arrivals import alert_lines, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import CHART_LIMIT_BYTES, stage

ALERTS = 200
FAULT_SECONDS = 4.0

API_ANSWERS: dict[str, bytes] = {
    "items of a wrong type": orjson.dumps({"metadata": 5, "items": {"a": 1}}),
    "items that are numbers": orjson.dumps({"metadata": {"resourceVersion": "1"}, "items": [1, None, "x", []]}),
    "pods without members": orjson.dumps({"metadata": {"resourceVersion": "1"}, "items": [{}] * 1_000}),
    "members of wrong types": orjson.dumps(
        {
            "metadata": {"resourceVersion": "1"},
            "items": [{"metadata": {"name": 5, "labels": [1]}, "spec": "x", "status": {"containerStatuses": {"a": 1}}}],
        }
    ),
}
API_KINDS = (*API_ANSWERS, "redirect", "huge_error", "html", "endless", "slow_body", "deep_json")


async def a_hostile_answer_of_cloudwatch_neither_loses_alerts_nor_costs_memory(place: Path, kind: str) -> Result:
    result = Result()
    stolen: list[str] = []
    async with (
        _catcher(stolen) as elsewhere,
        stage(place) as node,
        node.running(limit_bytes=CHART_LIMIT_BYTES, cloudwatch__timeout_seconds="3"),
    ):
        node.append(*alert_lines([0]), *alert_lines([1], priority="Critical"))

        async def both_arrived() -> bool:
            return await node.all_arrived() >= 2

        await node.until(both_arrived)
        await node.set_faults({"kind": kind, "operation": "PutLogEvents", "location": elsewhere})
        node.append(*alert_lines(range(10, 10 + ALERTS)))
        await asyncio.sleep(FAULT_SECONDS)
        result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-300:]}")
        if node.is_alive:
            shipped = (await node.metrics())["records_shipped_total"]
            stored = await node.all_arrived()
            result.measured |= {"shipped": shipped, "stored": stored}
            result.expect(shipped <= stored, f"{shipped:.0f} records count as shipped, {stored} are stored")
        await node.set_faults()
        result.expect(await node.until_settled(40.0), "not settled after the fault")
        rejected = (await node.metrics()).get("records_rejected_total", 0) if node.is_alive else 0
    found = await arrivals(place)
    missing = len(found.missing(range(10, 10 + ALERTS)))
    result.measured |= {"missing": missing, "rejected": rejected}
    result.expect(missing <= rejected, f"{missing} alerts are missing, {rejected:.0f} count as rejected")
    if not kind.startswith("rejected"):
        result.expect(not missing, f"{missing} alerts were given up because of an answer that is not CloudWatch's")
    result.expect(not stolen, f"requests went to the target of the redirect: {stolen[:3]}")
    return result


async def a_hostile_answer_of_the_api_server_neither_stops_alerts_nor_costs_memory(place: Path, kind: str) -> Result:
    result = Result()
    place.mkdir(parents=True, exist_ok=True)
    answer = HostileAnswer(200, lambda: iter([API_ANSWERS[kind]])) if kind in API_ANSWERS else hostile_answer(kind)
    async with _api_server(answer) as url, stage(place) as node:
        kubeconfig = write_kubeconfig(place / "kubeconfig", url, place / "token")
        variables = {"KUBECONFIG": str(kubeconfig), "FALCOWATCH_NODE_NAME": "node-1"}
        async with node.running(limit_bytes=CHART_LIMIT_BYTES, variables=variables, enrich__mode="api"):
            for batch in range(8):
                node.append(*alert_lines(range(batch * 10, batch * 10 + 10), pod=f"web-{batch}"))
                await asyncio.sleep(0.5)

            async def all_arrived() -> bool:
                return await node.all_arrived() >= 80

            await node.until(all_arrived, 15.0)
            result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-300:]}")
    (await arrivals(place)).expect_all(result, range(80))
    return result


@asynccontextmanager
async def _serving(handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _catcher(requests: list[str]) -> AsyncIterator[str]:
    """A server that must get no request."""

    async def handler(request: web.Request) -> web.Response:
        requests.append(f"{request.method} with {', '.join(sorted(request.headers))}")
        return web.Response(body=b'{"nextSequenceToken":"1"}')

    async with _serving(handler) as url:
        yield url


@asynccontextmanager
async def _api_server(answer: HostileAnswer) -> AsyncIterator[str]:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        with suppress(ConnectionError):
            await response.prepare(request)
            for chunk in answer.chunks():
                await asyncio.sleep(answer.pause_seconds)
                await response.write(chunk)
            await response.write_eof()
        return response

    async with _serving(handler) as url:
        yield url


SCENARIOS: tuple[IsolationScenario, ...] = (
    *variants(a_hostile_answer_of_cloudwatch_neither_loses_alerts_nor_costs_memory, HOSTILE_KINDS),
    *variants(a_hostile_answer_of_the_api_server_neither_stops_alerts_nor_costs_memory, API_KINDS),
)
