"""The bytes that enrichment appends to an alert: `,"kubernetes":{…}`, and the same bytes escaped for a JSON string.

The field names are those of Fluent Bit's kubernetes filter, so that saved CloudWatch Logs Insights queries keep
working. `workload_kind`, `workload_name` and `service_account` are additions. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

import orjson

from agent.core.pod_metadata import FIELDS
from agent.core.values import Fragment, PodKey
from agent.enrich.pod import Container, Pod

HOST: Final = Fragment(b"", b"", "host")
"""The alert has `container.id: host`: it is about the node, so there is no pod to describe."""

NO_POD_NAMED: Final = Fragment(b"", b"", "miss")
"""The alert names no pod and no container."""


MAX_BYTES: Final = 4096
"""Default bound on a fragment; see the setting `enrich.max_bytes`."""

DROPPED_RESERVE_BYTES: Final = 256
"""Room kept for the names of what did not fit."""


ALL_FIELDS: Final = frozenset(FIELDS)
_WITH_OWN_SETTINGS: Final = frozenset({"labels", "annotations", "labels_dropped", "annotations_dropped"})


def pod_fragment(
    pod: Pod,
    container: Container | None,
    container_id: str | None,
    max_bytes: int = MAX_BYTES,
    wanted: Set[str] = ALL_FIELDS,
) -> Fragment:
    """The metadata of a known pod. `container_id` is the full id when the alert names one of this container's ids.

    `wanted`: the fields that may be in it; labels and annotations were selected before.
    """
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
    return encode(_fitting(_chosen(fields, wanted | _WITH_OWN_SETTINGS), pod.dropped, max_bytes), "hit")


def unknown_fragment(key: PodKey, result: str, max_bytes: int = MAX_BYTES, wanted: Set[str] = ALL_FIELDS) -> Fragment:
    """An unknown pod: the pod fields of the alert itself, marked with `status: unknown`."""
    fields = _fields_of_alert(key)
    if not fields:
        return Fragment(b"", b"", result)
    return encode(_fitting({"status": "unknown", **_chosen(fields, wanted)}, (), max_bytes), result)


def alert_fragment(key: PodKey, max_bytes: int = MAX_BYTES, wanted: Set[str] = ALL_FIELDS) -> Fragment:
    """With enrichment off: the pod fields of the alert itself; nothing when the alert names no pod."""
    if key.container_id == "host":
        return HOST
    if key.name is None and key.uid is None:
        return NO_POD_NAMED
    return encode(_fitting(_chosen(_fields_of_alert(key), wanted), (), max_bytes), "hit")


def encode(fields: dict[str, object], result: str) -> Fragment:
    if not fields:
        return Fragment(b"", b"", result)
    plain = b',"kubernetes":' + orjson.dumps(fields)
    return Fragment(plain, orjson.dumps(plain.decode())[1:-1], result)


def _fitting(fields: dict[str, object], dropped: tuple[str, ...], max_bytes: int) -> dict[str, object]:
    """The fields that fit into a fragment of `max_bytes`, in their order.

    Labels and annotations are kept or left out one by one. `dropped` names what was left out, as far as there is room;
    `labels_dropped` and `annotations_dropped` count all of it.
    """
    if not dropped and _cost(fields) + len(b',"kubernetes":') <= max_bytes:
        return fields
    counts = {name: _count(fields.get(name)) for name in ("labels_dropped", "annotations_dropped")}
    room = max_bytes - DROPPED_RESERVE_BYTES
    kept: dict[str, object] = {}
    left_out = list(dropped)
    for name, value in fields.items():
        if name in counts:
            continue
        if isinstance(value, Mapping):
            entries: dict[str, object] = {}
            for entry, text in value.items():
                if (cost := _cost({entry: text})) <= room:
                    entries[entry] = text
                    room -= cost
                else:
                    left_out.append(f"{name}.{entry}")
                    counts[f"{name}_dropped"] += 1
            kept |= {name: entries} if entries else {}
        elif (cost := _cost({name: value})) <= room:
            kept[name] = value
            room -= cost
        else:
            left_out.append(name)
    kept |= {name: count for name, count in counts.items() if count}
    return kept | _names_that_fit(left_out, max_bytes - len(b',"kubernetes":') - _cost(kept))


def _chosen(fields: Mapping[str, object], wanted: Set[str]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value and name in wanted}


def _names_that_fit(left_out: list[str], room: int) -> dict[str, object]:
    names: list[str] = []
    for name in left_out:
        if _cost({"dropped": [*names, name]}) <= room:
            names.append(name)
    return {"dropped": names} if names else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _cost(fields: Mapping[str, object]) -> int:
    return len(orjson.dumps(fields))


def _fields_of_alert(key: PodKey) -> dict[str, object]:
    fields = {"namespace_name": key.namespace, "pod_name": key.name, "pod_id": key.uid, "docker_id": key.container_id}
    return _chosen(fields, ALL_FIELDS)
