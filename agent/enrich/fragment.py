"""The bytes that enrichment appends to an alert: `,"kubernetes":{…}` and its twin inside a string.

Names are those of Fluent Bit's kubernetes filter, so that saved CloudWatch Insights queries keep
working; the three of our own are workload_kind, workload_name and service_account. Pure.
"""

from __future__ import annotations

from typing import Final

import orjson

from agent.core.values import Fragment, PodKey
from agent.enrich.pod import Container, Pod

HOST: Final = Fragment(b"", b"", "host")
"""Falco says `container.id: host`: no pod, so nothing is said of one. The node stands in the `falcowatch` key."""

NOTHING_SAID: Final = Fragment(b"", b"", "miss")
"""The alert names no pod and no container."""


def pod_fragment(pod: Pod, container: Container | None, container_id: str | None) -> Fragment:
    """A pod that is known; `container_id` is the whole id when the alert's id is one of that container's."""
    fields: dict[str, object] = {
        "namespace_name": pod.namespace,
        "pod_name": pod.name,
        "pod_id": pod.uid,
        "host": pod.node,
    }
    if container:
        fields["container_name"] = container.name
        fields["container_image"] = container.image
        if container_id:
            # Which image ran under the tag is certain only for the very container that the alert names.
            fields["container_hash"] = container.image_digest
            fields["docker_id"] = container_id
    fields |= {
        "workload_kind": pod.workload.kind,
        "workload_name": pod.workload.name,
        "service_account": pod.service_account,
        "labels": pod.labels,
        "annotations": pod.annotations,
        "labels_dropped": pod.labels_dropped,
        "annotations_dropped": pod.annotations_dropped,
    }
    return encode({name: value for name, value in fields.items() if value}, "hit")


def unknown_fragment(key: PodKey, result: str) -> Fragment:
    """A pod that is not known: what the alert itself says of it, marked as such."""
    said = _said(key)
    return encode({"status": "unknown", **said}, result) if said else Fragment(b"", b"", result)


def alert_fragment(key: PodKey) -> Fragment:
    """With enrichment off: the alert's own words under the usual names, and nothing where it names no pod."""
    if key.container_id == "host":
        return HOST
    if key.name is None and key.uid is None:
        return NOTHING_SAID
    return encode(_said(key), "hit")


def encode(fields: dict[str, object], result: str) -> Fragment:
    plain = b',"kubernetes":' + orjson.dumps(fields)
    return Fragment(plain, orjson.dumps(plain.decode())[1:-1], result)


def _said(key: PodKey) -> dict[str, object]:
    said = {"namespace_name": key.namespace, "pod_name": key.name, "pod_id": key.uid, "docker_id": key.container_id}
    return {name: value for name, value in said.items() if value}
