"""Which workload a pod belongs to, told from the pod alone: no further request, no further right.

The pod's controller is named in its ownerReferences; the owner of that controller (a Deployment, a
CronJob) is not, but both give their children names by rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

TEMPLATE_HASH_LABELS = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
"""The label that a ReplicaSet's owner sets → the kind of that owner; the ReplicaSet is `<owner>-<label's value>`."""

_CRON_JOB = re.compile(r"(.+)-(\d{8}|\d{10})")
"""A CronJob's Job: `<name>-<minutes since 1970 of its schedule>`, seconds before Kubernetes 1.21."""

_LONGEST_DELAY_SECONDS = 31 * 86400
"""A Job's pod may be made, or made again, long after the schedule it stands for."""


class Owner(NamedTuple):
    """The controller among a pod's ownerReferences."""

    kind: str
    name: str


class Workload(NamedTuple):
    """What a person would name as the thing that runs."""

    kind: str
    name: str


def workload_of(pod_name: str, owner: Owner | None, labels: Mapping[str, str], created_ms: int) -> Workload:
    """A pod without an owner is its own workload, and so is a static pod, which its Node owns."""
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
    """A Job called `backup-20240101` by hand is no child of a CronJob: the number must be a time near its making."""
    match = _CRON_JOB.fullmatch(owner.name)
    if match is None:
        return Workload(owner.kind, owner.name)
    name, digits = match.groups()
    scheduled_seconds = int(digits) * (60 if len(digits) == 8 else 1)
    if abs(created_ms / 1000 - scheduled_seconds) > _LONGEST_DELAY_SECONDS:
        return Workload(owner.kind, owner.name)
    return Workload("CronJob", name)
