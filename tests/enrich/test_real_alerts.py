"""Alerts captured from a real Falco, enriched with matching pods, from the log line to the event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.core.processing.alert import decode_alert
from agent.core.values import Fragment, PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.pod import Selection, decode_pod
from agent.enrich.pod_file import PodFile
from agent.telemetry.metrics import Telemetry
from tests.enrich.objects import pod_object

LINES = (Path(__file__).parents[1] / "data" / "falco" / "pods-and-hosts.jsonl").read_bytes().splitlines()
CAPTURED_MS = 1795419000000
"""Shortly before the first of them."""

FWEB, WBUSY = "46c85a49549b" + "0" * 52, "4a83cf3f0346" + "1" * 52
ALL = Selection(["*"], [])
PODS = [
    pod_object("fweb-7d4b9c6f5-aaaaa", uid="u1", containers={"nginx": FWEB, "proxy": "c" * 64}),
    pod_object("nightly-29923651-bbbbb", uid="u2", owner=("Job", "nightly-29923651"), containers={"busybox": WBUSY}),
]


@pytest.fixture
def enricher():
    made = PodEnricher(PodFile(Path("unused"), ALL), 3600, Telemetry("test"))
    for found in PODS:
        made.pod_changed(decode_pod(orjson.dumps(found), ALL))
    made.pods_listed(["u1", "u2"])
    made.source_works(reports_new_pods=False)
    return made


def enrich(enricher: PodEnricher, line: bytes, **fields: str) -> tuple[Fragment, dict[str, Any]]:
    """The fragment, and the event as it would ship; `fields` stand in for what Falco prints in a cluster."""
    if fields:
        whole = orjson.loads(line)
        whole["output_fields"] |= {name.replace("_", "."): value for name, value in fields.items()}
        line = orjson.dumps(whole)
    alert = decode_alert(line)
    key = alert.output_fields.key() if alert.output_fields else PodKey(None, None, None, None)
    fragment = enricher.fragment(key, CAPTURED_MS)
    assert fragment is not None
    event: dict[str, Any] = orjson.loads(line[:-1] + fragment.plain + b"}")
    assert {**event, "kubernetes": None} == {**orjson.loads(line), "kubernetes": None}
    return fragment, event


@pytest.mark.parametrize("number", [0, 4])
def test_a_container_known_by_its_short_id_alone_brings_its_pod(enricher, number):
    fragment, event = enrich(enricher, LINES[number])

    assert fragment.result == "hit"
    assert event["kubernetes"]["pod_name"] == "fweb-7d4b9c6f5-aaaaa"
    assert event["kubernetes"]["container_name"] == "nginx"
    assert event["kubernetes"]["docker_id"] == FWEB


@pytest.mark.parametrize("number", [1, 2])
def test_a_container_that_falco_has_no_name_for_yet_brings_its_pod(enricher, number):
    fragment, event = enrich(enricher, LINES[number])

    assert fragment.result == "hit"
    assert event["kubernetes"]["workload_kind"] == "CronJob"
    assert event["kubernetes"]["workload_name"] == "nightly"


@pytest.mark.parametrize("number", [3, 5])
def test_an_alert_about_the_host_gets_no_pod(enricher, number):
    fragment, event = enrich(enricher, LINES[number])

    assert fragment.result == "host"
    assert "kubernetes" not in event


@pytest.mark.parametrize("number", [6, 7])
def test_a_line_that_names_no_pod_is_unchanged(enricher, number):
    fragment, event = enrich(enricher, LINES[number])

    assert fragment.result == "miss"
    assert "kubernetes" not in event


def test_a_pod_named_but_not_known_is_not_guessed_from_the_container(enricher):
    fragment, event = enrich(enricher, LINES[0], k8s_ns_name="shop", k8s_pod_name="nobody-knows")

    assert fragment.result == "miss"
    assert event["kubernetes"] == {
        "status": "unknown",
        "namespace_name": "shop",
        "pod_name": "nobody-knows",
        "docker_id": "46c85a49549b",
    }


def test_falcos_placeholder_for_unknown_is_not_a_name(enricher):
    _, event = enrich(enricher, LINES[0], k8s_ns_name="<NA>", k8s_pod_name="<NA>")

    assert event["kubernetes"]["pod_id"] == "u1"
