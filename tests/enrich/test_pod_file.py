from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import orjson
import pytest

from agent.core.values import PodKey
from agent.enrich.enricher import AlertOnly, PodEnricher
from agent.enrich.factory import build_enricher, probe
from agent.errors import KubernetesError
from agent.settings.enrich import Enrich
from agent.settings.model import Settings
from agent.telemetry.metrics import Telemetry
from tests.enrich.objects import pod_object

pytestmark = pytest.mark.looptime

NOW_MS = 1795420000000
WEB, API = PodKey("shop", "web-1", None, None), PodKey("shop", "api-1", None, None)


def write(path: Path, *names: str) -> None:
    path.write_bytes(orjson.dumps({"kind": "List", "items": [pod_object(name) for name in names]}))


def result(enricher: PodEnricher, key: PodKey) -> str | None:
    fragment = enricher.fragment(key, NOW_MS)
    return fragment.result if fragment else None


def build(path: Path) -> PodEnricher:
    made = build_enricher(Settings(enrich=Enrich(file=path)), Telemetry("test"))
    assert isinstance(made, PodEnricher)
    return made


async def test_pods_follow_the_content_of_the_file(tmp_path):
    path = tmp_path / "pods.json"
    write(path, "web-1")
    enricher = build(path)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(enricher.run())
        await enricher.appear([WEB], 1.0)
        first = [result(enricher, key) for key in (WEB, API)]
        write(path, "api-1", "api-2")
        await asyncio.sleep(2.5)
        second = [pod.name for pod in enricher.living()]
        task.cancel()

    assert first == ["hit", "miss"]
    assert second == ["api-1", "api-2"]


async def test_an_unchanged_file_is_not_read_again(tmp_path, caplog):
    path = tmp_path / "pods.json"
    write(path, "web-1")
    enricher = build(path)

    with caplog.at_level(logging.INFO):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(enricher.run())
            await asyncio.sleep(60)
            task.cancel()

    assert [record.message for record in caplog.records] == ["pod file read"]


@pytest.mark.parametrize("content", [None, b"apiVersion: v1\n", b"{}", b""])
async def test_a_missing_or_invalid_file_is_logged_once_and_tried_again(tmp_path, caplog, content):
    path = tmp_path / "pods.json"
    if content is not None:
        path.write_bytes(content)
    enricher = build(path)

    with caplog.at_level(logging.WARNING):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(enricher.run())
            await asyncio.sleep(60)
            assert result(enricher, WEB) == "miss"
            write(path, "web-1")
            os.utime(path, (1, 1))
            await asyncio.sleep(3)
            task.cancel()

    assert result(enricher, WEB) == "hit"
    [record] = caplog.records
    assert str(path) in record.reason
    assert "kubectl get pods" in record.reason


@pytest.mark.parametrize(
    ("enrich", "kind"),
    [
        (Enrich(mode="none"), AlertOnly),
        (Enrich(mode="none", file=Path("pods.json")), AlertOnly),
        (Enrich(mode="auto", file=Path("pods.json")), PodEnricher),
        (Enrich(mode="api"), PodEnricher),
    ],
    ids=str,
)
def test_the_mode_selects_the_source_of_pods(enrich, kind):
    assert type(build_enricher(Settings(enrich=enrich), Telemetry("test"))) is kind


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {},
            {
                "namespace_name": "shop",
                "pod_name": "web-1",
                "pod_id": "web-1-uid",
                "host": "node-1",
                "container_name": "web",
                "container_image": "docker.io/library/nginx:1.27",
                "workload_name": "web",
                "labels": {"app": "web"},
            },
        ),
        (
            {"fields": ["pod_name", "workload_*"], "labels": ["*", "!app"]},
            {
                "pod_name": "web-1",
                "workload_kind": "Deployment",
                "workload_name": "web",
                "labels": {"pod-template-hash": "7d4b9c6f5"},
            },
        ),
    ],
)
async def test_the_settings_decide_what_is_appended_to_an_alert(tmp_path, settings, expected):
    path = tmp_path / "pods.json"
    path.write_bytes(orjson.dumps({"kind": "List", "items": [pod_object("web-1", uid="web-1-uid")]}))
    enricher = build_enricher(Settings(enrich=Enrich(file=path, **settings)), Telemetry("test"))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(enricher.run())
        await enricher.appear([WEB], 1.0)
        fragment = enricher.fragment(WEB, NOW_MS)
        task.cancel()

    assert fragment is not None
    assert orjson.loads(b"{" + fragment.plain[1:] + b"}") == {"kubernetes": expected}


async def test_the_check_names_the_number_of_pods_in_the_file_or_the_error(tmp_path):
    path = tmp_path / "pods.json"
    settings = Settings(enrich=Enrich(file=path))

    with pytest.raises(KubernetesError, match=r"pods\.json: cannot be read .*kubectl get pods"):
        await probe(settings)
    path.write_text("kind: List")
    with pytest.raises(KubernetesError, match=r"pods\.json: expected a list of pods.*kubectl get pods"):
        await probe(settings)
    write(path, "web-1", "web-2")
    assert await probe(settings) == f"{path} lists 2 pods"
    assert (await probe(Settings(enrich=Enrich(mode="none")))).startswith("off")
