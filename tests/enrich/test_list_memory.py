"""Reading the pods of a node takes little memory, however many and however large they are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.enrich.objects import container_id, pod_object

MIB = 1024 * 1024

PROGRAM = """
import asyncio, sys
from functools import partial
from pathlib import Path

from agent.core.values import PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.kube_api import connect
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Selection
from agent.telemetry.metrics import Telemetry


async def main(kubeconfig: Path, pods: int) -> None:
    telemetry = Telemetry("test")
    watch = PodWatch(partial(connect, "node-1", kubeconfig), Selection(["*"], ["*"]), telemetry)
    enricher = PodEnricher(watch, 3600, telemetry)
    task = asyncio.create_task(enricher.run())
    await enricher.appear([PodKey("shop", f"web-{pods - 1}", None, None)], 120)
    await asyncio.sleep(0.5)
    task.cancel()
    assert telemetry.value("kube_pods") == pods, telemetry.value("kube_pods")
    # ru_maxrss would count the memory that the parent had before exec.
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(int(peak.split()[1]) * 1024)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def big_pod(number: int) -> bytes:
    """A pod of 1.4 MB: half of it annotations, half of it environment variables in many small objects."""
    pod = pod_object(
        f"web-{number}", uid=f"u{number}", annotations={f"chunk-{part}": "x" * 1000 for part in range(700)}
    )
    pod["spec"]["containers"][0]["env"] = [{"name": f"V{part}", "value": "y" * 100} for part in range(5600)]
    return orjson.dumps(pod)


def small_pod(number: int) -> bytes:
    labels = {"app": "web", "pod-template-hash": f"{number:x}", "tier": "front", "team": "blue"}
    containers: dict[str, str | None] = {"web": container_id(f"web-{number}"), "proxy": container_id(f"proxy-{number}")}
    return orjson.dumps(pod_object(f"web-{number}", uid=f"u{number}", labels=labels, containers=containers))


async def peak_bytes(tmp_path: Path, make: object, pods: int, *, streams: bool) -> int:
    """The peak memory of a process that reads these pods from a real HTTP server and keeps what it needs."""
    assert callable(make)

    async def answer(request: web.Request) -> web.StreamResponse:
        watch = "watch" in request.query
        initial = "sendInitialEvents" in request.query
        if initial and not streams:
            return web.json_response({"kind": "Status", "code": 422}, status=422)
        response = web.StreamResponse()
        await response.prepare(request)
        if not watch:
            await response.write(b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[')
        for number in range(pods if initial or not watch else 0):
            body = make(number)
            await response.write(
                b'{"type":"ADDED","object":' + body + b"}\n" if watch else (b"," if number else b"") + body
            )
        if not watch:
            await response.write(b"]}")
            return response
        metadata = {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}
        await response.write(orjson.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}) + b"\n")
        await asyncio.sleep(30)
        return response

    app = web.Application()
    app.router.add_get("/api/v1/pods", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        '{"apiVersion":"v1","kind":"Config","current-context":"t","users":[{"name":"t","user":{}}],'
        f'"clusters":[{{"name":"t","cluster":{{"server":"http://127.0.0.1:{runner.addresses[0][1]}"}}}}],'
        '"contexts":[{"name":"t","context":{"cluster":"t","user":"t"}}]}'
    )
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(kubeconfig), str(pods),
            cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    finally:
        await runner.cleanup()
    assert process.returncode == 0, err.decode()
    return int(out)


@pytest.mark.parametrize("streams", [True, False], ids=["initial events", "list"])
async def test_the_list_takes_at_most_8_mib_above_a_list_of_one_pod(tmp_path, streams):
    empty = await peak_bytes(tmp_path, small_pod, 1, streams=streams)
    big = await peak_bytes(tmp_path, big_pod, 60, streams=streams)
    many = await peak_bytes(tmp_path, small_pod, 2000, streams=streams)

    assert big - empty <= 8 * MIB
    assert many - empty <= 8 * MIB
