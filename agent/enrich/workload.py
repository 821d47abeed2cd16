"""Derives the workload of a pod from the pod alone, so that the agent needs no further request and no further right.

A pod's ownerReferences name its controller (a ReplicaSet, a Job), but not the controller's owner (a Deployment, a
CronJob). The owner's name follows from the controller's name, because owners name their children by fixed rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

TEMPLATE_HASH_LABELS = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
"""Label set by a ReplicaSet's owner → kind of that owner. The ReplicaSet's name is `<owner>-<value of the label>`."""

_CRON_JOB = re.compile(r"(.+)-(\d{8}|\d{10})")
"""Name of a CronJob's Job: `<name>-<scheduled time in minutes since 1970>`; in seconds before Kubernetes 1.21."""

_LONGEST_DELAY_SECONDS = 31 * 86400
"""Longest time from a Job's scheduled time to the creation of its pod; a pod may be created again later."""


class Owner(NamedTuple):
    """The controller of a pod, from its ownerReferences."""

    kind: str
    name: str


class Workload(NamedTuple):
    """The object that an operator knows: a Deployment, a DaemonSet, a CronJob …"""

    kind: str
    name: str


def workload_of(pod_name: str, owner: Owner | None, labels: Mapping[str, str], created_ms: int) -> Workload:
    """The workload of a pod. A pod without an owner is its own workload, and so is a static pod (owned by its Node)."""
    if owner is None or owner.kind == "Node":
        return Workload("Pod", pod_name)
    if owner.kind == "ReplicaSet":
        return _above_replica_set(owner, labels)
    if owner.kind == "Job":
        return _above_job(owner, created_ms)
    return Workload(owner.kind, owner.name)


def _above_replica_set(owner: Owner, labels: Mapping[str, str]) -> Workload:
    for label, kind in TEMPLATE_HASH_LABELS.items():
        suffix = f"-{labels.get(label, '')}"
        if len(suffix) > 1 and owner.name.endswith(suffix) and len(owner.name) > len(suffix):
            return Workload(kind, owner.name[: -len(suffix)])
    return Workload(owner.kind, owner.name)


def _above_job(owner: Owner, created_ms: int) -> Workload:
    """The CronJob, if the number in the Job's name is a time near the pod's creation: `backup-20240101` is a Job."""
    match = _CRON_JOB.fullmatch(owner.name)
    if match is None:
        return Workload(owner.kind, owner.name)
    name, digits = match.groups()
    scheduled_seconds = int(digits) * (60 if len(digits) == 8 else 1)
    if abs(created_ms / 1000 - scheduled_seconds) > _LONGEST_DELAY_SECONDS:
        return Workload(owner.kind, owner.name)
    return Workload("CronJob", name)
