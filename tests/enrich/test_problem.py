"""Enrichment that does not work says why: in its problem, and in the metric enrichment_up."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.enrich import factory
from agent.errors import KubernetesError
from agent.settings import Settings
from agent.telemetry.metrics import Telemetry
from tests.enrich.objects import pod_object
from tests.enrich.running import WEB, running

pytestmark = pytest.mark.looptime


async def test_missing_rights_are_a_problem_until_a_list_succeeds(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.allowed = False
        await asyncio.sleep(5)
        problem, up = agent.enricher.problem, agent.telemetry.value("enrichment_up")
        agent.cluster.allowed = True
        await asyncio.sleep(70)
        found = await agent.sees(WEB)

        assert problem is not None
        assert "403" in problem
        assert "grant this service account `list` and `watch` on pods" in problem
        assert up == 0
        assert agent.enricher.problem is None
        assert agent.telemetry.value("enrichment_up") == 1
        assert found["pod_name"] == "web-1"


async def test_after_an_outage_pods_are_known_again_within_ten_seconds(tmp_path):
    async with running(tmp_path) as agent:
        agent.cluster.list_answers = [(503, b"")] * 1000
        await asyncio.sleep(600)
        assert agent.enricher.problem is not None
        agent.cluster.list_answers = []
        await agent.cluster.put(pod_object("web-1"))
        began = asyncio.get_running_loop().time()
        while agent.enricher.problem is not None:
            await asyncio.sleep(0.1)

        assert asyncio.get_running_loop().time() - began < 11
        assert (await agent.sees(WEB))["pod_name"] == "web-1"


async def test_a_pod_file_that_cannot_be_read_is_a_problem(tmp_path):
    telemetry = Telemetry("test")
    settings = Settings.model_validate({"enrich": {"file": tmp_path / "pods.json"}})
    enricher = factory.build_enricher(settings, telemetry)
    task = asyncio.create_task(enricher.run())
    await asyncio.sleep(0.1)
    task.cancel()

    assert enricher.problem is not None
    assert "pods.json: cannot be read" in enricher.problem
    assert telemetry.value("enrichment_up") == 0


@pytest.mark.parametrize(
    ("mode", "in_a_pod", "up"), [("auto", True, 0), ("auto", False, 1), ("none", True, 1), ("none", False, 1)]
)
async def test_a_pod_without_a_token_is_a_problem_unless_enrichment_is_off(monkeypatch, mode, in_a_pod, up):
    monkeypatch.setattr(factory, "SERVICE_ACCOUNT_TOKEN", Path("/nowhere/token"))
    monkeypatch.delenv(factory.SERVICE_HOST_VARIABLE, raising=False)
    if in_a_pod:
        monkeypatch.setenv(factory.SERVICE_HOST_VARIABLE, "10.0.0.1")
    telemetry = Telemetry("test")

    enricher = factory.build_enricher(Settings.model_validate({"enrich": {"mode": mode}}), telemetry)

    with contextlib.nullcontext() if up else pytest.raises(KubernetesError, match="no service account token"):
        assert (await factory.probe(Settings.model_validate({"enrich": {"mode": mode}}))).startswith("off")
    assert (enricher.problem is None) == bool(up)
    assert telemetry.value("enrichment_up") == up
