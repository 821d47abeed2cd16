"""The bytes that enrichment appends to an alert: `,"kubernetes":{…}`, and the same bytes escaped for a JSON string.

The field names are those of Fluent Bit's kubernetes filter, so that saved CloudWatch Logs Insights queries keep
working. `workload_kind`, `workload_name` and `service_account` are additions. Pure.
"""

from __future__ import annotations

from typing import Final

import orjson

from agent.core.values import Fragment, PodKey
from agent.enrich.pod import Container, Pod

HOST: Final = Fragment(b"", b"", "host")
"""The alert has `container.id: host`: it is about the node, so there is no pod to describe."""

NO_POD_NAMED: Final = Fragment(b"", b"", "miss")
"""The alert names no pod and no container."""


def pod_fragment(pod: Pod, container: Container | None, container_id: str | None) -> Fragment:
    """The metadata of a known pod. `container_id` is the full id when the alert names one of this container's ids."""
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
            # A tag can move to another image, so the digest is certain only for the container that the alert names.
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
    """An unknown pod: the pod fields of the alert itself, marked with `status: unknown`."""
    fields = _fields_of_alert(key)
    return encode({"status": "unknown", **fields}, result) if fields else Fragment(b"", b"", result)


def alert_fragment(key: PodKey) -> Fragment:
    """With enrichment off: the pod fields of the alert itself; nothing when the alert names no pod."""
    if key.container_id == "host":
        return HOST
    if key.name is None and key.uid is None:
        return NO_POD_NAMED
    return encode(_fields_of_alert(key), "hit")


def encode(fields: dict[str, object], result: str) -> Fragment:
    plain = b',"kubernetes":' + orjson.dumps(fields)
    return Fragment(plain, orjson.dumps(plain.decode())[1:-1], result)


def _fields_of_alert(key: PodKey) -> dict[str, object]:
    fields = {"namespace_name": key.namespace, "pod_name": key.name, "pod_id": key.uid, "docker_id": key.container_id}
    return {name: value for name, value in fields.items() if value}
