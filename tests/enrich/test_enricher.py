"""The enricher: how long a record waits for its pod, and the fragment it gets otherwise; in fake time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import orjson
import pytest

from agent.core.values import PodKey
from agent.enrich.enricher import FRESH_MS, LATE_SECONDS, NO_SECOND_WAIT_SECONDS, AlertOnly, PodEnricher
from agent.enrich.fragment_cache import LARGEST_CACHE_BYTES, MOST_ENTRIES
from agent.enrich.pod import Pod, Selection, decode_pod
from agent.enrich.pod_file import PodFile
from agent.telemetry.metrics import Telemetry
from tests.enrich.objects import pod_object

pytestmark = pytest.mark.looptime

ALL = Selection(["*"], [])
WEB = PodKey("shop", "web-1", None, None)
OTHER = PodKey("shop", "web-2", None, None)


def pod(name: str, uid: str = "", *, created: str = "2026-11-23T07:00:00Z", **labels: str) -> Pod:
    return decode_pod(orjson.dumps(pod_object(name, uid=uid, labels=labels, created=created)), ALL)


def now_ms() -> int:
    return int(time.time() * 1000)


def enricher() -> PodEnricher:
    """Its source is driven by hand."""
    return PodEnricher(PodFile(Path("unused"), ALL), 3600, Telemetry("test"))


def listed(*pods: Pod) -> PodEnricher:
    made = enricher()
    for each in pods:
        made.pod_changed(each)
    made.pods_listed([each.uid for each in pods])
    return made


def result(made: PodEnricher, key: PodKey, time_ms: int | None = None) -> str | None:
    fragment = made.fragment(key, now_ms() if time_ms is None else time_ms)
    return fragment.result if fragment else None


async def test_the_same_fragment_is_returned_until_the_pod_changes():
    made = listed(pod("web-1", tier="old"))
    first = made.fragment(WEB, now_ms())
    made.pod_changed(pod("web-1", tier="old"))

    assert made.fragment(WEB, now_ms()) is first

    made.pod_changed(pod("web-1", tier="new"))

    changed = made.fragment(WEB, now_ms())
    assert changed is not None
    assert b'"tier":"new"' in changed.plain


async def test_a_wait_ends_as_soon_as_all_pods_have_appeared():
    made = listed()
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, made.pod_changed, pod("web-1"))
    loop.call_later(0.3, made.pod_changed, pod("web-2"))
    began = loop.time()

    await made.appear([WEB, OTHER], 1.0)

    assert loop.time() - began == pytest.approx(0.3)
    assert result(made, WEB) == result(made, OTHER) == "hit"


async def test_a_pod_that_does_not_appear_is_waited_for_once():
    made = listed()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert result(made, WEB) is None

    await made.appear([WEB], 1.0)

    assert loop.time() - began == pytest.approx(1.0)
    assert result(made, WEB) == "late"

    await asyncio.sleep(LATE_SECONDS)
    assert result(made, WEB) == "miss"

    await asyncio.sleep(NO_SECOND_WAIT_SECONDS)
    assert result(made, WEB) is None


async def test_a_pod_that_appears_after_the_wait_is_found_at_once():
    made = listed()
    await made.appear([WEB], 1.0)

    made.pod_changed(pod("web-1"))

    assert result(made, WEB) == "hit"


async def test_nobody_waits_for_the_pod_of_an_old_alert():
    made = listed()

    assert result(made, WEB, now_ms() - FRESH_MS - 1000) == "miss"


async def test_before_the_first_list_even_an_old_alert_waits():
    made = enricher()
    assert result(made, WEB, 0) is None

    await made.appear([WEB], 1.0)

    assert result(made, WEB, 0) is None


async def test_nobody_waits_while_the_source_fails():
    made = listed()
    loop = asyncio.get_running_loop()
    loop.call_later(0.1, made.source_failed, "the API server did not answer")
    began = loop.time()

    await made.appear([WEB], 5.0)

    assert loop.time() - began == pytest.approx(0.1)
    assert result(made, WEB) == "miss"
    assert made.problem == "the API server did not answer"

    made.source_works(reports_new_pods=True)
    assert result(made, WEB) is None
    assert made.problem is None


async def test_waiting_can_be_cancelled():
    made = listed()
    task = asyncio.create_task(made.appear([WEB], 5.0))
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert result(made, WEB) is None


async def test_a_new_pod_of_the_same_name_is_waited_for():
    made = listed(pod("web-1", "old"))
    made.pod_deleted(pod("web-1", "old"))
    await asyncio.sleep(0)
    deleted_ms = now_ms()
    assert result(made, WEB, deleted_ms - 1000) == "hit"
    assert result(made, WEB, deleted_ms + 1000) is None


async def test_a_pod_first_reported_by_its_deletion_is_known_for_earlier_alerts():
    made = listed()
    made.pod_deleted(pod("web-1"))

    assert result(made, WEB, now_ms() - 1000) == "hit"


async def test_every_table_of_the_enricher_is_bounded():
    made = listed(pod("web-1"))
    keys = [PodKey("shop", f"unknown-{number}", None, None) for number in range(MOST_ENTRIES * 2)]
    for key in keys:
        made.fragment(PodKey("shop", "web-1", None, key.name), now_ms())
        made.unknown(key, "miss")
    await made.appear(keys, 0.1)

    assert len(made._answers) <= MOST_ENTRIES
    assert len(made._unknown) <= MOST_ENTRIES
    assert len(made._no_second_wait) <= MOST_ENTRIES
    assert result(made, keys[-1]) == "late"


async def test_without_enrichment_no_record_waits_and_the_cache_is_bounded():
    made = AlertOnly(Telemetry("test"))
    for number in range(MOST_ENTRIES + 1):
        fragment = made.fragment(PodKey("shop", f"web-{number}", None, None), 0)
        assert fragment is not None

    await made.appear([WEB], 10)

    assert asyncio.get_running_loop().time() == 0
    assert len(made._answers) <= MOST_ENTRIES
    assert made.unknown(WEB, "late").result == "late"


async def test_a_deleted_pod_is_dropped_at_the_next_answer_after_the_configured_time():
    made = PodEnricher(PodFile(Path("unused"), ALL), 0.0, Telemetry("test"))
    made.pods_listed(["u1"])
    key = PodKey(None, None, "u1", None)
    made.pod_changed(pod("web-1", "u1", tier="new"))
    assert result(made, key) == "hit"

    made.pods_listed([])
    made.source_works(reports_new_pods=True)

    assert result(made, key) is None


async def test_cached_fragments_and_keys_are_bounded_in_bytes():
    labels = {f"label-{number}": "x" * 60 for number in range(50)}
    made = listed(*(pod(f"web-{number}", f"u{number}", **labels) for number in range(600)))

    for number in range(600):
        for container in range(4):
            made.fragment(PodKey("shop", f"web-{number}", f"u{number}", f"{container}" * 12), now_ms())
        made.unknown(PodKey("shop", f"{number}" + "x" * 100_000, None, None), "miss")

    for cache in (made._answers, made._unknown):
        assert 0 <= cache._bytes <= LARGEST_CACHE_BYTES


async def test_a_name_that_kubernetes_does_not_allow_is_not_waited_for():
    made = listed()

    assert result(made, PodKey("shop", "x" * 300, None, None)) == "miss"
