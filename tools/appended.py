"""Generates docs/appended.md: what the agent appends to an alert, and what each appended key costs.

The bytes are those of an example pod, encoded by the agent's own code. The text around the table is in appended.md.in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from agent.core.pod_metadata import DEFAULT_FIELDS, DEFAULT_LABELS, FIELDS, selected
from agent.enrich.fragment import pod_fragment
from agent.enrich.pod import Selection, decode_pod

DOLLARS_PER_GB: Final = 0.50
"""Ingestion into the class STANDARD in us-east-1, as published in June 2026."""

SECONDS_PER_MONTH: Final = 30 * 86_400
RATES: Final = (1, 10, 100)

CONTAINER_ID: Final = "0c31f2223d5b" + "0123456789abcdef" * 3 + "0123"
IMAGE: Final = "public.ecr.aws/nginx/nginx"
POD: Final = {
    "metadata": {
        "namespace": "default",
        "name": "nginx2-7844999d9c-wdpz8",
        "uid": "7d1f0c2e-1c2d-4e3f-8a9b-000000000001",
        "labels": {"app": "nginx2", "team": "shop", "pod-template-hash": "7844999d9c"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "nginx2-7844999d9c", "controller": True}],
    },
    "spec": {
        "nodeName": "ip-10-0-1-7.ec2.internal",
        "serviceAccountName": "nginx2",
        "containers": [{"name": "nginx2", "image": f"{IMAGE}:1.27"}],
    },
    "status": {
        "containerStatuses": [
            {
                "name": "nginx2",
                "image": f"{IMAGE}:1.27",
                "imageID": f"{IMAGE}@sha256:{'5f' * 32}",
                "containerID": f"containerd://{CONTAINER_ID}",
            }
        ]
    },
}
FALCOWATCH: Final = {
    "id": "4e1f9a0b7c2d3e5f:5053457",
    "node": "ip-10-0-1-7.ec2.internal",
    "cluster": "eks-managed-cluster",
}

WHY: Final = {
    "namespace_name": "the namespace of the pod",
    "pod_name": "the pod; Falco knows it only when it is connected to the container runtime",
    "pod_id": "the pod's uid, which identifies it after a pod of the same name has replaced it",
    "host": "the node, under the name that queries for Fluent Bit use",
    "container_name": "the container in the pod",
    "container_image": "the image and its tag",
    "container_hash": "the digest of the image: a tag can move to another image",
    "docker_id": "the container's full id; `output_fields` holds its first 12 characters",
    "workload_kind": "Deployment, DaemonSet, CronJob, …",
    "workload_name": "the workload that owns the pod, which stays the same when its pods change",
    "service_account": "the identity of the pod at the API server, and at AWS with IRSA or Pod Identity",
}


class Row(NamedTuple):
    key: str
    value: str
    why: str
    bytes: int
    by_default: bool


def appended() -> str:
    """The text of docs/appended.md."""
    text = (Path(__file__).parent / "appended.md.in").read_text(encoding="utf-8")
    labels = "\n".join(f'    - "{glob}"' for glob in DEFAULT_LABELS)
    return text.replace("@TABLE@", _table([*appended_keys()])).replace("@LABELS@", labels)


def _table(rows: Sequence[Row]) -> str:
    lines = ["| key | example | why | bytes |" + "".join(f" {rate}/s |" for rate in RATES), f"|{'---|' * 7}"]
    for row in rows:
        key = row.key if row.by_default else f"{row.key}, not by default"
        lines.append(f"| {key} | {row.value} | {row.why} | {row.bytes} |{_dollars(row.bytes)}")
    default, every = sum(row.bytes for row in rows if row.by_default), sum(row.bytes for row in rows)
    lines.append(f"| **by default** | | | **{default}** |{_dollars(default)}")
    lines.append(f"| **with all fields and labels** | | | **{every}** |{_dollars(every)}")
    return "\n".join(lines)


def appended_keys() -> Iterator[Row]:
    """What the agent appends to an alert about the example pod."""
    by_default = selected(FIELDS, DEFAULT_FIELDS)
    pod = decode_pod(orjson.dumps(POD), Selection(["*"], []))
    fragment = pod_fragment(pod, pod.containers[0], CONTAINER_ID).plain
    fields = orjson.loads(fragment.partition(b":")[2])
    yield Row("`kubernetes`", "", "the name of the object", len(b',"kubernetes":{}') - 1, True)
    for name in FIELDS:
        yield Row(f"`kubernetes.{name}`", f"`{fields[name]}`", WHY[name], _size(name, fields[name]), name in by_default)
    kept, all_labels = Selection(DEFAULT_LABELS, []).labels(fields["labels"]), fields["labels"]
    shown = ", ".join(f"`{name}: {value}`" for name, value in kept.items())
    size = _size("labels", kept)
    yield Row("`kubernetes.labels`", shown, "the labels that people set: application, team, version", size, True)
    left_out = {name: value for name, value in all_labels.items() if name not in kept}
    shown = ", ".join(f"`{name}: {value}`" for name, value in left_out.items())
    size = _size("labels", all_labels) - size
    yield Row("labels that a controller sets", shown, "see [below](#choose-fields-and-labels)", size, False)
    yield Row("`falcowatch`", "", "the name of the object", len(b',"falcowatch":{}') - 1, True)
    reasons = {
        "id": "the same in every copy of the event: duplicates are found by it, and the proof of completeness names it",
        "node": "the node, in the agent's own events too: heartbeats, alarms and the proof use it",
        "cluster": "the cluster, when `cluster_name` is set",
    }
    for name, why in reasons.items():
        yield Row(f"`falcowatch.{name}`", f"`{FALCOWATCH[name]}`", why, _size(name, FALCOWATCH[name]), True)


def _size(name: str, value: object) -> int:
    """The bytes of a key with its value and the comma before or behind it."""
    return len(orjson.dumps({name: value})) - len("{}") + len(",")


def _dollars(size: int) -> str:
    return "".join(f" {size * rate * SECONDS_PER_MONTH / 1e9 * DOLLARS_PER_GB:.2f} |" for rate in RATES)
