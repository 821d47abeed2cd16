from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrich.workload import Owner, Workload, workload_of

CREATED_MS = calendar.timegm((2026, 11, 23, 7, 0, 0)) * 1000
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True)
HASHES = st.from_regex(r"[bcdfghjklmnpqrstvwxz2456789]{5,10}", fullmatch=True)


@given(NAMES, HASHES)
def test_a_replica_set_with_its_template_hash_is_its_deployment(name, digest):
    owner = Owner("ReplicaSet", f"{name}-{digest}")

    assert workload_of("pod", owner, {"pod-template-hash": digest}, CREATED_MS) == Workload("Deployment", name)


@given(NAMES, HASHES)
def test_a_replica_set_without_a_template_hash_is_its_own_workload(name, digest):
    owner = Owner("ReplicaSet", f"{name}-{digest}")

    assert workload_of("pod", owner, {}, CREATED_MS) == Workload(*owner)


def test_a_rollouts_replica_set_is_its_rollout():
    labels = {"rollouts-pod-template-hash": "6b7d8"}

    assert workload_of("pod", Owner("ReplicaSet", "api-6b7d8"), labels, CREATED_MS) == Workload("Rollout", "api")


@given(NAMES, st.integers(0, 30 * 24 * 60))
def test_a_job_named_after_a_schedule_is_its_cron_job(name, delay_minutes):
    minutes = CREATED_MS // 60_000 - delay_minutes

    assert workload_of("pod", Owner("Job", f"{name}-{minutes}"), {}, CREATED_MS) == Workload("CronJob", name)


@pytest.mark.parametrize(
    ("job", "cron_job"),
    [
        (f"backup-{CREATED_MS // 1000}", "backup"),
        ("backup-20261123", None),
        ("backup-2026112307", None),
        ("backup-1", None),
        ("backup", None),
        ("28000000", None),
    ],
    ids=["seconds, before 1.21", "a date", "a date and hour", "a number", "no number", "nothing but a number"],
)
def test_only_a_number_near_the_creation_time_means_a_cron_job(job, cron_job):
    expected = Workload("CronJob", cron_job) if cron_job else Workload("Job", job)

    assert workload_of("pod", Owner("Job", job), {}, CREATED_MS) == expected


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "SomethingOfTheirOwn"])
def test_other_owners_are_the_workload(kind):
    assert workload_of("db-0", Owner(kind, "db"), {}, CREATED_MS) == Workload(kind, "db")


@pytest.mark.parametrize("owner", [None, Owner("Node", "node-1")], ids=["bare", "static"])
def test_a_pod_without_a_workload_is_its_own(owner):
    assert workload_of("etcd-node-1", owner, {}, CREATED_MS) == Workload("Pod", "etcd-node-1")
