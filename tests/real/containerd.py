"""A containerd of the test's own, and the calls of CRI v1 that kubelet makes for a pod with one container.

It runs in namespaces of its own: of its network nothing leads out, its mounts are seen by nobody else, and with the
first process of its process namespace every shim and container ends. What it keeps is below one folder. Whatever
a machine lacks for that makes the test skip, with what was missing or what containerd said.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import tarfile
import time
import uuid
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.process.driver import PATIENCE_SECONDS

grpc: Any = pytest.importorskip("grpc", reason="CRI is spoken over gRPC: pip install grpcio")

IMAGE: Final = "localhost/falcowatch-busybox:test"
BUSYBOX: Final = Path("/bin/busybox")
CGROUPS: Final = Path("/sys/fs/cgroup")
SAID: Final = "containerd.log"
ON_THE_NODE: Final = 2
"""NamespaceMode.NODE: the pod shares containerd's own network, so no CNI is needed."""

CONFIGURATION: Final = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
disable_apparmor = true  # it would load a profile into the machine's kernel
restrict_oom_score_adj = true  # a sandbox asks for -998, which root inside a container may not have
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"  # copies files: overlayfs does not go on every file system
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{folder}/cni"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
"""

Fields = Mapping[int, "str | int | Fields | list[str | Fields]"]
"""A protobuf message by field number, as k8s.io/cri-api's api.proto numbers them (v1, read 2026-11)."""


def encoded(fields: Fields) -> bytes:
    """Protobuf's wire format, as far as CRI's requests need it: texts, messages, lists of these, and numbers."""
    wire = b""
    for number, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int):
                wire += varint(number << 3) + varint(item)
            else:
                data = item.encode() if isinstance(item, str) else encoded(item)
                wire += varint(number << 3 | 2) + varint(len(data)) + data
    return wire


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def id_in(answer: bytes) -> str:
    """The id that is all of an answer: field 1, a text of fewer than 128 bytes."""
    assert answer[:1] == b"\x0a", answer
    return answer[2 : 2 + answer[1]].decode()


class Runtime:
    """containerd, as kubelet sees it."""

    def __init__(self, channel: Any, socket: Path, first_process: int) -> None:
        self._channel = channel
        self.socket = socket
        self.first_process = first_process
        """Of its namespaces."""

    async def call(self, method: str, request: Fields) -> bytes:
        # Without serializers a call takes and gives bytes.
        call = self._channel.unary_unary(f"/runtime.v1.{method}")
        answer: bytes = await call(encoded(request), timeout=PATIENCE_SECONDS, wait_for_ready=True)
        return answer

    async def has_image(self) -> bool:
        # The image is the only field of the answer, and a message without fields is empty.
        return await self.call("ImageService/ImageStatus", {1: {1: IMAGE}}) != b""

    async def run_pod(self, pod: Fields) -> str:
        return id_in(await self.call("RuntimeService/RunPodSandbox", {1: pod}))

    async def start_container(self, pod_id: str, container: Fields, pod: Fields) -> str:
        created = await self.call("RuntimeService/CreateContainer", {1: pod_id, 2: container, 3: pod})
        await self.call("RuntimeService/StartContainer", {1: id_in(created)})
        return id_in(created)

    async def reopen_log(self, container_id: str) -> None:
        await self.call("RuntimeService/ReopenContainerLog", {1: container_id})

    async def pod_ids(self, *, ready: bool = False) -> list[str]:
        """Of all pods, or of those that run."""
        filters: Fields = {1: {2: {1: 0}}} if ready else {}
        answer = await self.call("RuntimeService/ListPodSandbox", filters)
        # An id has 64 characters, and is the first field of each pod.
        return [found.decode() for found in re.findall(rb"\x0a\x40([0-9a-f]{64})", answer)]

    async def remove_pod(self, pod_id: str) -> None:
        await self.call("RuntimeService/StopPodSandbox", {1: pod_id})
        await self.call("RuntimeService/RemovePodSandbox", {1: pod_id})


@dataclass(frozen=True, slots=True)
class Container:
    """A container that prints what is written to these two."""

    stdout: asyncio.WriteTransport
    stderr: asyncio.WriteTransport
    runtime: Runtime
    id: str

    async def rotate(self, log: Path, *, at: float) -> Path:
        """As kubelet does it: the log is renamed, then the runtime asked to open it anew."""
        rotated = log.with_name(f"{log.name}.{time.strftime('%Y%m%d-%H%M%S', time.gmtime(at))}")
        log.rename(rotated)
        await self.runtime.reopen_log(self.id)
        return rotated

    def abort(self) -> None:
        for pipe in (self.stdout, self.stderr):
            if not pipe.is_closing():
                pipe.abort()


@dataclass(frozen=True, slots=True)
class Pod:
    """A running sandbox, in which one container runs at a time."""

    runtime: Runtime
    id: str
    configuration: Fields
    pipes: Path

    @asynccontextmanager
    async def container(self, log: Path, restarts: int = 0) -> AsyncIterator[Container]:
        """A container whose output containerd writes to `log`; after `restarts` of them before."""
        pipes = self.pipes / str(restarts)
        pipes.mkdir(parents=True)
        for stream in ("stdout", "stderr"):
            os.mkfifo(pipes / stream)
        configuration: Fields = {
            1: {1: log.parent.name, 2: restarts},
            2: {1: IMAGE},
            3: ["/busybox", "sh", "-c", "/busybox cat /pipes/stderr >&2 & /busybox cat /pipes/stdout; wait"],
            7: [{1: "/pipes", 2: str(pipes)}],
            11: f"{log.parent.name}/{log.name}",
            15: {2: {3: {1: ON_THE_NODE}}},
        }
        with skipping():
            container_id = await self.runtime.start_container(self.id, configuration, self.configuration)
        running = Container(await into(pipes / "stdout"), await into(pipes / "stderr"), self.runtime, container_id)
        try:
            yield running
        finally:
            running.abort()


@asynccontextmanager
async def pod_of_containerd(folder: Path, log_directory: Path) -> AsyncIterator[Pod]:
    """A pod that containerd runs below `folder`; `log_directory` is named as kubelet names it."""
    async with containerd(folder) as runtime, pod(runtime, log_directory) as (pod_id, configuration):
        yield Pod(runtime, pod_id, configuration, folder / "pipes")


@asynccontextmanager
async def container_of_containerd(folder: Path, log: Path) -> AsyncIterator[Container]:
    """A pod with one container, which containerd runs below `folder` and whose output it writes to `log`."""
    async with pod_of_containerd(folder, log.parent.parent) as its_pod, its_pod.container(log) as running:
        yield running


@asynccontextmanager
async def containerd(folder: Path) -> AsyncIterator[Runtime]:
    """Runs it with all that it keeps below `folder`, and `IMAGE` in its store."""
    for tool in ("containerd", "ctr", "runc", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not here: on Debian, apt-get install containerd runc util-linux")
    folder.mkdir()
    socket = folder / "cri.sock"
    settings = folder / "config.toml"
    settings.write_text(CONFIGURATION.format(folder=folder, socket=socket, image=IMAGE))
    namespaces = ["--fork", "--kill-child", "--pid", "--mount-proc", "--mount", "--net"]
    # Shims have their sockets below /run/containerd whatever is configured, so /run is its own as well.
    start = ["sh", "-c", 'mount -t tmpfs run /run && exec containerd --config "$0"', str(settings)]
    with (folder / SAID).open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            "unshare", *namespaces, *start, stdout=said, stderr=said, start_new_session=True
        )
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not socket.exists():
            if process.returncode is not None or time.monotonic() > until:
                pytest.skip(f"containerd does not come up here: {last_words(folder)}")
            await asyncio.sleep(0.02)
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            runtime = Runtime(channel, socket, int(children.split()[0]))
            with skipping():
                await import_image(runtime, socket, folder / "image.tar")
            yield runtime
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """unshare waits for containerd, whatever it is sent itself; killed, it takes containerd along."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def pod(runtime: Runtime, log_directory: Path) -> AsyncIterator[tuple[str, Fields]]:
    """A sandbox that shares containerd's network; `log_directory` is named as kubelet names it."""
    namespace, name, uid = log_directory.name.split("_")
    # As kubelet does, it is given a cgroup of its own, and that is removed after it.
    cgroup = f"falcowatch-{uuid.uuid4().hex[:12]}"
    configuration: Fields = {
        1: {1: name, 2: uid, 3: namespace},
        3: str(log_directory),
        8: {1: f"/{cgroup}", 2: {1: {1: ON_THE_NODE}}},
    }
    try:
        with skipping():
            pod_id = await runtime.run_pod(configuration)
        try:
            yield pod_id, configuration
        finally:
            await runtime.remove_pod(pod_id)
    finally:
        for left in [CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")]:
            if left.exists():
                left.rmdir()


async def import_image(runtime: Runtime, socket: Path, archive: Path) -> None:
    """Gives containerd an image of a static busybox and nothing else."""
    if not BUSYBOX.exists():
        pytest.skip(f"{BUSYBOX} is not here: on Debian, apt-get install busybox-static")
    archive.write_bytes(image_archive())
    ctr = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", "--no-unpack", str(archive)]
    importing = await asyncio.create_subprocess_exec(*ctr, stdout=PIPE, stderr=STDOUT)
    said, _ = await importing.communicate()
    if importing.returncode:
        pytest.skip(f"ctr cannot import an image here: {said.decode(errors='replace')}")
    # CRI learns of it by an event.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await runtime.has_image():
            await asyncio.sleep(0.02)


def image_archive() -> bytes:
    """An image as `docker save` writes it: one layer with one file."""
    layer = tar({"busybox": (BUSYBOX.read_bytes(), 0o755)})
    configuration = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        # What the sandbox runs; a container brings its own command.
        "config": {"Cmd": ["/busybox", "sleep", "86400"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    return tar(
        {
            "layer.tar": (layer, 0o644),
            "config.json": (json.dumps(configuration).encode(), 0o644),
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
        }
    )


def tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            writer.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


async def into(pipe: Path) -> asyncio.WriteTransport:
    """The writing end of a named pipe, as soon as the container reads from it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                raise
        await asyncio.sleep(0.02)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(descriptor, "wb", buffering=0))
    return transport


@contextmanager
def skipping() -> Iterator[None]:
    """What goes wrong before a container runs is the machine's; after that it is ours."""
    try:
        yield
    except grpc.RpcError as error:
        pytest.skip(f"containerd starts no container here: {error.details()}")


def last_words(folder: Path) -> str:
    return (folder / SAID).read_text(errors="replace").strip()[-500:]
