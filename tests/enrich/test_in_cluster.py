"""The agent's part inside a pod: the mounted token and authority, TLS, `auto`; as a process of its own.

kubelet mounts the token at a fixed place, so the process gets a mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from agent.enrich.factory import SERVICE_ACCOUNT_TOKEN
from tests.enrich.cluster import NODE, TOKEN, Cluster, serving, write_kubeconfig
from tests.enrich.objects import pod_object

PROGRAM = """
import asyncio, sys, time
from agent.core.values import PodKey
from agent.enrich.factory import build_enricher, probe
from agent.settings.enrich import Enrich
from agent.settings.model import Settings
from agent.telemetry.metrics import Telemetry

async def main(mode, node):
    settings = Settings(node_name=node, enrich=Enrich(mode=mode))
    enricher = build_enricher(settings, Telemetry("test"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(enricher.run())
        for name in iter(input, ""):
            key = PodKey("shop", name, None, None)
            await enricher.appear([key], 20)
            fragment = enricher.fragment(key, int(time.time() * 1000))
            print((fragment or enricher.unknown(key, "late")).plain[14:].decode(), flush=True)
            await asyncio.sleep(0)
        task.cancel()
    print(await probe(settings), "kubernetes_asyncio.config" in sys.modules, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

MOUNT = """
mount -t tmpfs tmpfs /run && mkdir -p "$1" && mount --bind "$2" "$1" && shift 2 && exec "$@"
"""
"""/var/run is /run on any present system."""

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The files that kubelet mounts: a token and the authority; the authority's key is beside them."""
    probe = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no mount namespace may be made here: {probe.stderr.decode().strip()}")
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "token").write_text(TOKEN)
    make_authority(directory / "ca.crt")
    return directory


def make_authority(path: Path) -> None:
    """As those of EKS: with no key identifiers."""
    _make_certificate(path, "CN=kubernetes", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")


def _make_certificate(path: Path, subject: str, *extensions: str, signed_by: Path | None = None) -> None:
    authority = ["-CA", str(signed_by), "-CAkey", str(signed_by.with_suffix(".key"))] if signed_by else []
    plain = path.with_suffix(".cnf")
    plain.write_text("[req]\ndistinguished_name = name\n[name]\n")  # The system's adds extensions of its own.
    every = ("subjectKeyIdentifier=none", "authorityKeyIdentifier=none", *extensions)
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
            *["-config", str(plain), "-days", "2", "-subj", f"/{subject}", *authority],
            *[word for extension in every for word in ("-addext", extension)],
            *["-keyout", str(path.with_suffix(".key")), "-out", str(path)],
        ],
        check=True,
        capture_output=True,
    )


@asynccontextmanager
async def api_over_tls(secrets: Path) -> AsyncIterator[tuple[Cluster, dict[str, str]]]:
    """The cluster, and the environment that kubelet sets in a pod."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server = secrets.parent / "server.crt"
    _make_certificate(
        server,
        "CN=kube-apiserver",
        "subjectAltName=IP:127.0.0.1",
        "basicConstraints=CA:FALSE",
        signed_by=secrets / "ca.crt",
    )
    tls.load_cert_chain(server, server.with_suffix(".key"))
    async with serving(tls) as (cluster, url):
        host, port = url.removeprefix("https://").split(":")
        yield cluster, {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


@asynccontextmanager
async def agent(*command: str, mode: str, environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        *[sys.executable, "-c", PROGRAM, mode, NODE],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environ},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(process: asyncio.subprocess.Process, name: str) -> dict[str, str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{name}\n".encode())
    async with asyncio.timeout(60):
        said: dict[str, str] = orjson.loads(await process.stdout.readline())
    return said


async def ending(process: asyncio.subprocess.Process) -> bytes:
    rest, _ = await process.communicate(b"\n")
    assert process.returncode == 0
    return rest.strip()


async def test_in_a_pod_the_mounted_token_and_authority_lead_to_the_api(secrets: Path):
    mounted = ["sh", "-c", MOUNT, "sh", str(SERVICE_ACCOUNT_TOKEN.parent), str(secrets)]
    async with api_over_tls(secrets) as (cluster, environ):
        await cluster.put(pod_object("web-1"))
        async with agent(*UNSHARE, *mounted, mode="auto", environ=environ) as process:
            first = await ask(process, "web-1")

            (secrets / "token").write_text("rotated")
            cluster.token = "rotated"
            await cluster.end_watches()
            await cluster.put(pod_object("web-2"))
            second = await ask(process, "web-2")

            assert await ending(process) == b"the API server lists 2 pods on node node-1 True"

    assert (first["pod_name"], second["pod_name"]) == ("web-1", "web-2")
    assert len(cluster.lists) == 2  # The last by the probe.


async def test_a_server_without_a_certificate_of_the_authority_is_refused(secrets: Path):
    mounted = ["sh", "-c", MOUNT, "sh", str(SERVICE_ACCOUNT_TOKEN.parent), str(secrets)]
    async with api_over_tls(secrets) as (cluster, environ):
        make_authority(secrets / "ca.crt")
        async with agent(*UNSHARE, *mounted, mode="auto", environ=environ) as process:
            said = await ask(process, "web-1")

    assert said["status"] == "unknown"
    assert cluster.requests == []


async def test_outside_a_cluster_api_means_the_kubeconfig(tmp_path: Path):
    async with serving() as (cluster, url):
        await cluster.put(pod_object("web-1"))
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")
        async with agent(mode="api", environ={"KUBECONFIG": str(kubeconfig)}) as process:
            said = await ask(process, "web-1")

    assert said["pod_name"] == "web-1"


@pytest.mark.skipif(SERVICE_ACCOUNT_TOKEN.exists(), reason="these tests run inside a cluster")
async def test_outside_a_cluster_auto_is_off_and_loads_no_sdk():
    async with agent(mode="auto", environ={}) as process:
        said = await ask(process, "web-1")

        assert (await ending(process)).endswith(b"False")

    assert said == {"namespace_name": "shop", "pod_name": "web-1"}
