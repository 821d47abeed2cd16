"""The alerts that the benchmarks ship: captured alerts, moved into the pods of one node.

Each captured container alert gets the name, namespace and container id of a pod in the fields where Falco prints them,
and a unique time. The lines have the format of containerd; the list of pods has the format that `enrich.file` reads.
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
"""kubelet's default limit of pods on a node."""

FALCO_POD = "falco_falco-bench{number}_0f8fad5b-d9cb-469f-a165-{number:012d}"
CHUNK_LINES = 20_000
_LONGEST_BYTES = 1_200
STEP_NANOSECONDS = 50_000
"""Time between two alerts: 20,000 alerts a second."""


def log_path(root: Path, number: int = 0) -> Path:
    """The live log of the Falco pod with this number. Creates the directory."""
    directory = root / FALCO_POD.format(number=number) / "falco"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "0.log"


def write_log(path: Path, alerts: int, *, pods: int = PODS) -> int:
    """Write alerts, mostly of 0.7 to 1.2 KB, with unique times within the last hour. Returns the bytes written."""
    lines = cri_lines(time.time_ns() - 3600 * 10**9, pods=pods)
    written = 0
    with path.open("wb") as file:
        for start in range(0, alerts, CHUNK_LINES):
            written += file.write(b"".join(itertools.islice(lines, min(CHUNK_LINES, alerts - start))))
    return written


def cri_lines(first_nanoseconds: int, *, pods: int = PODS) -> Iterator[bytes]:
    """An endless sequence of log lines."""
    shapes = itertools.cycle(_shapes(pods))
    for nanoseconds in itertools.count(first_nanoseconds, STEP_NANOSECONDS):
        stamp = stamped(nanoseconds)
        yield b'%b stdout F %b"time":"%b"}\n' % (stamp, next(shapes), stamp)


def cri_line(priority: str, *, number: int = 0) -> bytes:
    """One log line with an alert of this priority and the current time."""
    shape = _SHAPES[number % len(_SHAPES)]
    stamp = stamped(time.time_ns())
    before, _, rest = shape.partition(b'"priority":"')
    after = rest.partition(b'"')[2]
    return b'%b stdout F %b"priority":"%b"%b"time":"%b"}\n' % (stamp, before, priority.encode(), after, stamp)


def pod_list(pods: int = PODS) -> bytes:
    """The pods as `kubectl get pods -A -o json` prints them."""
    return orjson.dumps({"apiVersion": "v1", "kind": "List", "items": [_pod(number) for number in range(pods)]})


def write_metadata(directory: Path) -> None:
    """Write the first Falco pod's metadata into the cache directory of Fluent Bit's kubernetes filter."""
    namespace, name, _ = FALCO_POD.format(number=0).split("_")
    pod = _pod(0)
    pod["metadata"] |= {"name": name, "namespace": namespace}
    for container in (*pod["spec"]["containers"], *pod["status"]["containerStatuses"]):
        container["name"] = "falco"
    directory.mkdir(exist_ok=True)
    (directory / f"{namespace}_{name}.meta").write_bytes(orjson.dumps(pod))


def _shapes(pods: int) -> list[bytes]:
    """Captured alerts, each moved into a pod and cut off before its time; each pod appears in several of them."""
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
        # Two consecutive lines have different pods and different rules.
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
