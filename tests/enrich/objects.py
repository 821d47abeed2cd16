"""Pod objects as an API server writes them, including the fields that the agent skips."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

DIGEST = "sha256:" + "ab" * 32


def container_id(seed: str) -> str:
    """64 hexadecimal characters, derived from the seed."""
    return sha256(seed.encode()).hexdigest()


def pod_object(
    name: str = "web-7d4b9c6f5-x2x4z",
    *,
    namespace: str = "shop",
    uid: str = "",
    created: str = "2026-11-23T07:00:00Z",
    node: str = "node-1",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    owner: tuple[str, str] | None = ("ReplicaSet", "web-7d4b9c6f5"),
    containers: dict[str, str | None] | None = None,
    init_containers: dict[str, str | None] | None = None,
    ephemeral_containers: dict[str, str | None] | None = None,
    before: dict[str, str] | None = None,
    image: str = "docker.io/library/nginx:1.27",
) -> dict[str, Any]:
    """`containers`: name → id (None: not started). `before`: name → id of the one that ended."""
    groups = {
        "container": {"web": container_id(uid or name)} if containers is None else containers,
        "initContainer": init_containers or {},
        "ephemeralContainer": ephemeral_containers or {},
    }
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-of-{name}",
        "resourceVersion": "1",
        "creationTimestamp": created,
        "labels": {"app": "web", "pod-template-hash": "7d4b9c6f5"} if labels is None else labels,
        "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {"f:x": {}}}}],
    }
    if annotations is not None:
        metadata["annotations"] = annotations
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "u", "controller": True}
        ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {
            "nodeName": node,
            "serviceAccountName": "shop-web",
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420}}],
            **{f"{group}s": [{"name": each, "image": image} for each in members] for group, members in groups.items()},
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            **{
                f"{group}Statuses": [
                    _container_status(each, identity, image, (before or {}).get(each))
                    for each, identity in members.items()
                ]
                for group, members in groups.items()
            },
        },
    }


def _container_status(name: str, identity: str | None, image: str, before: str | None) -> dict[str, Any]:
    status: dict[str, Any] = {"name": name, "image": image, "imageID": "", "ready": False, "lastState": {}}
    if identity:
        repository = image.rpartition(":")[0]
        status |= {"containerID": f"containerd://{identity}", "imageID": f"{repository}@{DIGEST}"}
        status["state"] = {"running": {"startedAt": "2026-11-23T07:00:02Z"}}
    if before:
        status["lastState"] = {"terminated": {"exitCode": 137, "containerID": f"containerd://{before}"}}
    return status
