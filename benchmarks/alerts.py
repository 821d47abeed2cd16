"""The alerts that the benchmarks ship: captured ones, made to have happened in the pods of one node.

Each captured container alert is given the pod's name, namespace and container id where Falco prints them, and a time
of its own. Written as containerd writes them; the list of the pods is in the shape that `enrich.file` reads.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from agent.local.player import captured_alerts, stamped

PODS = 110
"""kubelet's default limit on a node."""

FALCO_POD = "falco_falco-bench{number}_0f8fad5b-d9cb-469f-a165-{number:012d}"
CHUNK_LINES = 20_000
_LONGEST_BYTES = 1_200
_STEP_NANOSECONDS = 50_000
"""20,000 alerts a second: a flood."""


def log_path(root: Path, number: int = 0) -> Path:
    """The live log of the node's Falco pod of that number; its directory is made."""
    directory = root / FALCO_POD.format(number=number) / "falco"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "0.log"


def write_log(path: Path, alerts: int, *, pods: int = PODS) -> int:
    """Writes so many alerts, mostly of 0.7 to 1.2 KB, each of a time of its own within the last hour. Returns bytes."""
    lines = cri_lines(time.time_ns() - 3600 * 10**9, pods=pods)
    written = 0
    with path.open("wb") as file:
        for begun in range(0, alerts, CHUNK_LINES):
            written += file.write(b"".join(itertools.islice(lines, min(CHUNK_LINES, alerts - begun))))
    return written


def cri_lines(first_nanoseconds: int, *, pods: int = PODS) -> Iterator[bytes]:
    """Lines without end, as of a flood."""
    shapes = itertools.cycle(_shapes(pods))
    for nanoseconds in itertools.count(first_nanoseconds, _STEP_NANOSECONDS):
        stamp = stamped(nanoseconds)
        yield b'%b stdout F %b"time":"%b"}\n' % (stamp, next(shapes), stamp)


def cri_line(priority: str, *, number: int = 0) -> bytes:
    """One alert of that priority which happened just now."""
    shape = _SHAPES[number % len(_SHAPES)]
    stamp = stamped(time.time_ns())
    before, _, rest = shape.partition(b'"priority":"')
    after = rest.partition(b'"')[2]
    return b'%b stdout F %b"priority":"%b"%b"time":"%b"}\n' % (stamp, before, priority.encode(), after, stamp)


def pod_list(pods: int = PODS) -> bytes:
    """What `kubectl get pods -A -o json` says of them."""
    return orjson.dumps({"apiVersion": "v1", "kind": "List", "items": [_pod(number) for number in range(pods)]})


def write_metadata(directory: Path) -> None:
    """What an API server says of the first Falco pod, where Fluent Bit's kubernetes filter looks before it asks one."""
    namespace, name, _ = FALCO_POD.format(number=0).split("_")
    pod = _pod(0)
    pod["metadata"] |= {"name": name, "namespace": namespace}
    for container in (*pod["spec"]["containers"], *pod["status"]["containerStatuses"]):
        container["name"] = "falco"
    directory.mkdir(exist_ok=True)
    (directory / f"{namespace}_{name}.meta").write_bytes(orjson.dumps(pod))


def _shapes(pods: int) -> list[bytes]:
    """Every captured alert in some pod, up to its time; as many as make each pod appear in several."""
    captured = [
        alert
        for line in captured_alerts()
        if len(line) <= _LONGEST_BYTES
        and (alert := orjson.loads(line))["source"] != "internal"
        and alert["priority"] != "Critical"
        and alert["output_fields"]["container.id"] != "host"
    ]
    return [
        orjson.dumps(_in_pod(alert, number % pods)).rpartition(b'"time":')[0]
        # Neighbours come from different pods and different rules: no two lines in a row are alike.
        for number, alert in zip(range(4 * max(pods, len(captured))), itertools.cycle(captured), strict=False)
    ]


def _in_pod(alert: dict[str, Any], number: int) -> dict[str, Any]:
    fields = alert["output_fields"]
    short_id, name = _container_id(number)[:12], _pod_name(number)
    output = alert["output"].replace(fields["container.id"], short_id)
    output = output.replace("k8s_pod_name=<NA>", f"k8s_pod_name={name}").replace("k8s_ns_name=<NA>", "k8s_ns_name=shop")
    here = {"container.id": short_id, "container.name": "web", "k8s.ns.name": "shop", "k8s.pod.name": name}
    return alert | {"output": output, "output_fields": {key: here.get(key, value) for key, value in fields.items()}}


def _pod_name(number: int) -> str:
    return f"web-7d4b9c6f5-{number:05}"


def _container_id(number: int) -> str:
    return f"{number * 2654435761 % (1 << 48):012x}" + "0" * 52


def _pod(number: int) -> dict[str, Any]:
    name = _pod_name(number)
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1.27.3"
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"0b9d6a7e-1c2d-4e3f-8a9b-{number:012}",
            "creationTimestamp": "2026-11-01T07:00:00Z",
            "labels": {"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f5", "team": "shop"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d4b9c6f5", "controller": True}],
        },
        "spec": {"nodeName": "node-1", "serviceAccountName": "web", "containers": [{"name": "web", "image": image}]},
        "status": {
            "containerStatuses": [
                {
                    "name": "web",
                    "image": image,
                    "imageID": f"{image.rpartition(':')[0]}@sha256:{'ab' * 32}",
                    "containerID": f"containerd://{_container_id(number)}",
                }
            ]
        },
    }


_SHAPES = _shapes(PODS)
