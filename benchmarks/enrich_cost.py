"""The cost of enrichment: microseconds for each look-up with 110 pods on the node, and resident memory.

Run it as `python -m benchmarks.enrich_cost`. Memory is measured in a separate process against a server on loopback:
first the modules of an agent without enrichment are imported, then enrichment is switched on. Run it twice, or compile
with `python -m compileall` first, because compiling bytecode adds about 30 MB of memory.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from agent.core.processing.alert import decode_alert
from agent.core.values import PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.pod import Pod, Selection
from agent.enrich.pod_file import PodFile
from agent.enrich.responses import PodListReader
from agent.telemetry.metrics import Telemetry

PODS = 110
ALL = Selection(["*"], [])
MIB = 1024 * 1024


def main() -> None:
    listed = orjson.dumps({"metadata": {"resourceVersion": "100"}, "items": [pod(number) for number in range(PODS)]})
    print(f"{PODS} pods, a list of {len(listed):,} bytes, Python {sys.version.split()[0]}")
    measure_look_ups(listed)
    measure_decoding(listed)
    for label, value in measure_memory(listed).items():
        print(f"{label:55} {value / MIB:8.1f} MB")


def measure_look_ups(listed: bytes) -> None:
    enricher = PodEnricher(PodFile(Path("unused"), ALL), 3600, Telemetry("benchmark"))
    pods = decode_list(listed)
    for found in pods:
        enricher.pod_changed(found)
    enricher.pods_listed([found.uid for found in pods])
    enricher.source_works(reports_new_pods=False)
    now_ms = int(time.time() * 1000)
    lines = [alert(number % PODS) for number in range(50_000)]
    # Keys come from decoded alerts, so that each key has its own strings, as in the agent.
    keys = [fields.key() for line in lines if (fields := decode_alert(line).output_fields)]
    by_container = [PodKey(None, None, None, key.container_id) for key in keys]
    unknown = [PodKey("shop", f"gone-{number % 200}", None, None) for number in range(len(keys))]
    hosts = [PodKey(None, None, None, "host") for _ in keys]
    for label, asked in (
        ("hit by name and container", keys),
        ("hit by container alone", by_container),
        ("miss", unknown),
        ("host", hosts),
    ):
        print(f"{label:55} {best_of(5, partial(look_up, enricher, asked, now_ms)) / len(asked) * 1e6:8.3f} µs")

    def after_a_change() -> None:
        for _ in range(100):
            enricher.source_works(reports_new_pods=True)
            enricher.source_works(reports_new_pods=False)
            look_up(enricher, keys[:PODS], now_ms)

    print(f"{'first hit after any pod has changed':55} {best_of(5, after_a_change) / (100 * PODS) * 1e6:8.3f} µs")


def look_up(enricher: PodEnricher, keys: list[PodKey], time_ms: int) -> None:
    fragment = enricher.fragment
    for key in keys:
        fragment(key, time_ms)


def measure_decoding(listed: bytes) -> None:
    seconds = best_of(20, lambda: decode_list(listed))
    print(f"{'decode and cut down the list':55} {seconds * 1e3:8.3f} ms")


def decode_list(listed: bytes) -> list[Pod]:
    return list(PodListReader(ALL).feed(listed))


def measure_memory(listed: bytes) -> dict[str, int]:
    """Measure in new processes: one for the server, one for the agent's part."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(listed, theirs))
    server.start()
    try:
        url = ours.recv()
        agent = context.Process(target=enrich_and_weigh, args=(url, theirs))
        agent.start()
        found: dict[str, int] = ours.recv()
        agent.join()
        return found
    finally:
        server.terminate()
        server.join()


def serve(listed: bytes, pipe: Connection) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.Response(body=listed, content_type="application/json")
        response = web.StreamResponse()
        await response.prepare(request)
        for version in range(101, 1_101):
            changed = pod(version % PODS)
            changed["metadata"]["labels"]["version"] = str(version)
            changed["metadata"]["resourceVersion"] = str(version)
            await response.write(orjson.dumps({"type": "MODIFIED", "object": changed}) + b"\n")
        await asyncio.sleep(600)
        return response

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/pods", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.sleep(3600)

    asyncio.run(run())


def enrich_and_weigh(url: str, pipe: Connection) -> None:
    import aiobotocore.session  # noqa: F401  # the agent always imports it
    import aiohttp  # noqa: F401

    gc.collect()
    without = resident_bytes()
    from agent.enrich import kube_api

    gc.collect()
    imported = resident_bytes()

    async def run() -> PodEnricher:
        from agent.enrich.kube_watch import PodWatch

        with tempfile.TemporaryDirectory() as directory:
            kubeconfig = Path(directory) / "kubeconfig"
            kubeconfig.write_bytes(
                orjson.dumps(
                    {
                        "current-context": "b",
                        "clusters": [{"name": "b", "cluster": {"server": url}}],
                        "users": [{"name": "b", "user": {"token": "b"}}],
                        "contexts": [{"name": "b", "context": {"cluster": "b", "user": "b"}}],
                    }
                )
            )
            telemetry = Telemetry("benchmark")
            watch = PodWatch(partial(kube_api.connect, "node-1", kubeconfig), ALL, telemetry)
            enricher = PodEnricher(watch, 3600, telemetry)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(enricher.run())
                while not any(each.labels.get("version") == "1100" for each in enricher.living()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                for number in range(PODS):
                    if fields := decode_alert(alert(number)).output_fields:
                        enricher.fragment(fields.key(), int(time.time() * 1000))
                pipe.send(
                    {
                        "resident without enrichment": without,
                        "+ import of kubernetes-asyncio": imported - without,
                        "+ cache, list and 1,000 events of a watch": resident_bytes() - imported,
                        "peak over the agent without it": peak_bytes() - without,
                    }
                )
                task.cancel()
        return enricher

    asyncio.run(run())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """Peak memory of this process. getrusage would include the parent's memory at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def best_of(times: int, work: Any) -> float:
    """CPU seconds of the fastest run."""
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def alert(number: int) -> bytes:
    fields = {
        "container.id": container_id(number)[:12],
        "evt.time": 1795419140540670197,
        "k8s.ns.name": "shop",
        "k8s.pod.name": f"web-7d4b9c6f5-{number:05}",
        "proc.cmdline": "sh -c whoami",
    }
    return orjson.dumps({"output": "…", "output_fields": fields, "priority": "Notice", "rule": "R", "time": "t"})


def container_id(number: int) -> str:
    return f"{number * 2654435761 % (1 << 48):012x}" + "0" * 52


def pod(number: int) -> dict[str, Any]:
    """A pod of about 9.5 KB, a realistic size; most of it is managedFields, volumes and conditions."""
    name = f"web-7d4b9c6f5-{number:05}"
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1.27.3"
    labels = {"app": "web", "pod-template-hash": "7d4b9c6f5", "app.kubernetes.io/name": "web", "team": "shop"}
    fields: dict[str, Any] = {f"f:field{each}": {"f:type": {}, "f:status": {}, "f:reason": {}} for each in range(110)}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"0b9d6a7e-1c2d-4e3f-8a9b-{number:012}",
            "resourceVersion": "100",
            "creationTimestamp": "2026-11-01T07:00:00Z",
            "labels": labels,
            "annotations": {"checksum/config": "ab" * 32},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d4b9c6f5", "controller": True}],
            "managedFields": [{"manager": "kubelet", "fieldsV1": fields}],
        },
        "spec": {
            "nodeName": "node-1",
            "serviceAccountName": "web",
            "containers": [
                {"name": "web", "image": image, "env": [{"name": f"V{e}", "value": "x"} for e in range(60)]}
            ],
            "volumes": [{"name": f"volume-{each}", "configMap": {"name": "settings"}} for each in range(20)],
        },
        "status": {
            "conditions": [{"type": f"Condition{each}", "status": "True"} for each in range(6)],
            "containerStatuses": [
                {
                    "name": "web",
                    "image": image,
                    "imageID": f"{image.rpartition(':')[0]}@sha256:{'ab' * 32}",
                    "containerID": f"containerd://{container_id(number)}",
                }
            ],
        },
    }


if __name__ == "__main__":
    main()
