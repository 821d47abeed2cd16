"""The cache: which pod an alert is about, among living pods, deleted pods and pods of the same name."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.values import PodKey
from agent.enrich import cache as cache_module
from agent.enrich.cache import CLOCK_SLACK_MS, MOST_CONTAINER_IDS, MOST_PODS, Found, PodCache
from agent.enrich.pod import Pod, Selection, decode_pod
from tests.enrich.objects import container_id, pod_object

HOUR_MS = 3_600_000
T0 = 1795417200000
"""2026-11-23T07:00:00Z, when the pods of pod_object are made."""

OLD, NEW = container_id("old"), container_id("new")


def pod(name: str = "db-0", *, uid: str = "u1", made: str = "07:00:00", **more: Any) -> Pod:
    found = pod_object(name, uid=uid, created=f"2026-11-23T{made}Z", **more)
    return decode_pod(orjson.dumps(found), Selection(["*"], []))


def cache(*pods: Pod) -> PodCache:
    made = PodCache(HOUR_MS)
    for each in pods:
        made.put(each, T0)
    made.keep_only([each.uid for each in pods], T0)
    return made


def named(name: str = "db-0", *, uid: str | None = None, container: str | None = None) -> PodKey:
    return PodKey("shop", name, uid, container)


def uid_of(found: Found | None) -> str | None:
    return found.pod.uid if found else None


def replaced() -> PodCache:
    """db-0 was deleted ten minutes after it was made; its successor was made two seconds later."""
    pods = cache(pod(uid="old", containers={"db": OLD}))
    pods.delete("old", T0 + 600_000)
    pods.put(pod(uid="new", made="07:10:02", containers={"db": NEW}), T0 + 602_000)
    return pods


@pytest.mark.parametrize(
    "key",
    [
        PodKey("shop", "db-0", None, None),
        PodKey(None, None, "u1", None),
        PodKey(None, None, None, OLD),
        PodKey(None, None, None, OLD[:12]),
        PodKey("shop", None, None, OLD),
        PodKey("shop", "db-0", "u1", OLD[:12]),
    ],
)
def test_a_pod_is_found_by_name_by_uid_or_by_container(key):
    assert uid_of(cache(pod(containers={"db": OLD})).find(key, T0)) == "u1"


@pytest.mark.parametrize(
    "key",
    [
        PodKey("bank", "db-0", None, None),
        PodKey("shop", "db-1", None, None),
        PodKey("shop", None, None, None),
        PodKey(None, "db-0", None, None),
        PodKey(None, None, "u2", None),
        PodKey("shop", "db-0", "u2", None),
        PodKey(None, None, None, OLD[:11]),
        PodKey(None, None, None, OLD[:12] + "f" * 52),
        PodKey("bank", "db-0", None, OLD),
    ],
    ids=str,
)
def test_the_container_id_must_agree_with_namespace_and_name(key):
    assert cache(pod(containers={"db": OLD})).find(key, T0) is None


@pytest.mark.parametrize(
    ("seconds", "uid"),
    [(1, "old"), (599, "old"), (600, "old"), (602, "new"), (5000, "new"), (-9, "old"), (-11, None)],
)
def test_a_name_means_the_pod_that_had_it_at_the_time_of_the_alert(seconds, uid):
    assert uid_of(replaced().find(named(), T0 + seconds * 1000)) == uid


@given(st.integers(-20, 700), st.integers(-20, 700))
def test_an_answer_is_the_same_for_its_whole_interval(first, second):
    pods = replaced()
    time_ms = T0 + second * 1000
    found = pods.find(named(), T0 + first * 1000)

    if found and found.from_ms <= time_ms <= found.until_ms:
        assert uid_of(pods.find(named(), time_ms)) == found.pod.uid


@pytest.mark.parametrize("seconds", [-100, 1, 601, 5000])
def test_a_uid_or_a_container_id_means_one_pod_at_any_time(seconds):
    pods = replaced()

    assert uid_of(pods.find(named(uid="old"), T0 + seconds * 1000)) == "old"
    assert uid_of(pods.find(named(container=NEW[:12]), T0 + seconds * 1000)) == "new"


def test_after_a_deletion_a_name_alone_is_unknown_until_a_new_pod_has_it():
    pods = cache(pod(uid="old"))
    pods.delete("old", T0 + 600_000)

    assert pods.find(named(), T0 + 600_001) is None
    assert pods.find(named(uid="old"), T0 + 600_001) is not None


def test_an_alert_from_before_the_pod_was_created_is_about_another_pod():
    assert cache(pod()).find(named(), T0 - CLOCK_SLACK_MS - 1) is None


def test_the_container_is_the_one_that_the_alert_names():
    pods = cache(pod(containers={"db": OLD, "proxy": NEW}, init_containers={"setup": container_id("init")}))

    found = pods.find(named(container=container_id("init")[:12]), T0)

    assert found is not None
    assert found.container is not None
    assert (found.container.name, found.container_id) == ("setup", container_id("init"))


def test_of_several_containers_none_is_guessed():
    found = cache(pod(containers={"db": OLD, "proxy": NEW})).find(named(container="c" * 12), T0)

    assert found is not None
    assert (found.container, found.container_id) == (None, None)


def test_the_only_container_of_a_pod_is_named_without_an_id():
    found = cache(pod(containers={"db": OLD})).find(named(container="c" * 12), T0)

    assert found is not None
    assert found.container is not None
    assert (found.container.name, found.container_id) == ("db", None)


def test_containers_before_the_last_restart_stay_known():
    ids = [container_id(f"restart {number}") for number in range(MOST_CONTAINER_IDS + 10)]
    pods = cache()
    for before, identity in pairwise(ids):
        pods.put(pod(containers={"db": identity}, before={"db": before}), T0)

    assert uid_of(pods.find(PodKey(None, None, None, ids[-9][:12]), T0)) == "u1"
    assert pods.find(PodKey(None, None, None, ids[0][:12]), T0) is None
    assert len(pods._by_container) == MOST_CONTAINER_IDS


def test_a_static_pod_is_found_by_either_uid():
    pods = cache(pod(uid="mirror", annotations={"kubernetes.io/config.mirror": "static"}))

    assert uid_of(pods.find(named(uid="static"), T0)) == "mirror"
    assert uid_of(pods.find(named(uid="mirror"), T0)) == "mirror"


def test_pods_missing_from_a_new_list_are_deleted():
    pods = cache(pod("db-0", uid="u1"), pod("db-1", uid="u2"))

    pods.put(pod("db-1", uid="u2"), T0 + 1000)
    pods.keep_only(["u2"], T0 + 1000)

    assert [each.uid for each in pods.living()] == ["u2"]
    assert uid_of(pods.find(named("db-0"), T0 + 500)) == "u1"


def test_a_deleted_pod_is_dropped_after_the_configured_time():
    pods = cache(pod(containers={"db": OLD}, annotations={"kubernetes.io/config.mirror": "static"}))
    pods.delete("u1", T0)

    pods.forget_old(T0 + HOUR_MS - 1)
    assert len(pods) == 1

    pods.forget_old(T0 + HOUR_MS)
    assert len(pods) == 0
    assert not pods._by_name
    assert not pods._by_container
    assert not pods._by_static_uid


def test_only_a_visible_change_counts_as_a_change():
    pods = cache(pod())

    assert not pods.put(pod(), T0)
    assert pods.put(pod(labels={"app": "other"}), T0)


def test_a_deleted_pod_that_is_listed_again_is_living():
    pods = cache(pod())
    pods.delete("u1", T0)

    assert pods.put(pod(), T0)
    assert [each.uid for each in pods.living()] == ["u1"]


def test_the_pod_deleted_first_is_dropped_first():
    pods = cache(*(pod(f"db-{number}", uid=f"u{number}") for number in range(MOST_PODS)))
    pods.delete("u5", T0)
    pods.delete("u3", T0 + 1)

    pods.put(pod("one-more", uid="one-more"), T0 + 2)

    assert len(pods) == MOST_PODS
    assert uid_of(pods.find(named("one-more"), T0)) == "one-more"
    assert pods.find(named("db-5"), T0) is None
    assert uid_of(pods.find(named("db-3"), T0)) == "u3"


def test_a_living_pod_beyond_the_bound_is_not_cached():
    pods = cache(*(pod(f"db-{number}", uid=f"u{number}") for number in range(MOST_PODS)))

    assert not pods.put(pod("one-more", uid="one-more"), T0)
    assert len(pods) == MOST_PODS


CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "forget", "replace"]), st.integers(0, 5), st.integers(0, 20)),
    max_size=40,
)


@given(CHANGES)
def test_the_indices_agree_with_the_pods_after_any_changes(changes):
    pods = PodCache(keep_deleted_ms=5000)
    now_ms = T0
    for kind, number, step in changes:
        now_ms += step * 1000
        each = pod(f"db-{number % 2}", uid=f"u{number}", containers={"db": container_id(f"{number}-{step}")})
        if kind == "put":
            pods.put(each, now_ms)
        elif kind == "delete":
            pods.delete(each.uid, now_ms)
        elif kind == "replace":
            pods.put(each, now_ms)
            pods.keep_only([each.uid], now_ms)
        else:
            pods.forget_old(now_ms)

    known = pods._pods
    assert {uid for uids in pods._by_name.values() for uid in uids} == known.keys()
    assert pods._deleted.keys() <= known.keys()
    for short, (uid, _) in pods._by_container.items():
        assert any(identity.startswith(short) for each in known[uid].containers for identity in each.ids)
    for each in known.values():
        assert uid_of(pods.find(PodKey(None, None, None, each.containers[0].ids[0]), now_ms)) == each.uid


def test_the_cache_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(cache_module, "LARGEST_CACHE_BYTES", 100_000)
    pods = PodCache(HOUR_MS)
    for number in range(500):
        pods.put(pod(f"web-{number}", uid=f"u{number}", annotations={}, labels={"a": "x" * 1000}), T0)
    kept = len(pods)
    pods.delete("u0", T0 + 1)
    pods.put(pod("late", uid="u-late", labels={"a": "x" * 1000}), T0 + 2)

    assert 20 < kept < 100
    assert sum(each.cost_bytes for each in pods.living()) <= 100_000
    assert pods.find(PodKey(None, None, "u-late", None), T0) is not None
    assert pods.find(PodKey(None, None, "u0", None), T0) is None


def test_a_pod_that_grows_beyond_the_bound_keeps_its_old_state(monkeypatch):
    monkeypatch.setattr(cache_module, "LARGEST_CACHE_BYTES", 5_000)
    pods = PodCache(HOUR_MS)
    pods.put(pod("web-1", uid="u1", labels={"a": "b"}), T0)

    assert not pods.put(pod("web-1", uid="u1", labels={"a": "x" * 4_000}), T0)
    assert [each.labels for each in pods.living()] == [{"a": "b"}]
