"""A kubelet of the recorder's own, without an API server: it runs one static pod and rotates the log of its container.

It runs in the namespaces of the containerd that it drives (containerd.py). Folders and kernel settings that it would
change are covered there by others, so nothing of the machine changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.process.driver import PATIENCE_SECONDS
from tests.real.containerd import BUSYBOX, CGROUPS, IMAGE, Runtime, end

NODE: Final = "node-a"
SAID: Final = "kubelet.log"
LOGS: Final = "/var/log/pods"

_ENTER: Final = f"""
set -e
"$0" ip link set lo up
for folder in /var/lib /var/log; do mount -t tmpfs tmpfs $folder; done
mkdir {LOGS}
mount --bind "$1" {LOGS}
shift
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \\
    kernel/keys/root_maxbytes; do
  cover=$(mktemp -p /var/lib)
  cat /proc/sys/$setting >$cover
  mount --bind $cover /proc/sys/$setting
done
exec "$@"
"""


@asynccontextmanager
async def kubelet(
    program: Path, folder: Path, runtime: Runtime, pods: Path, pod: Mapping[str, Any]
) -> AsyncIterator[None]:
    """Runs the pod on the runtime while the context lasts. `pods`: the folder that it knows as /var/log/pods."""
    manifests = folder / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "pod.json").write_text(json.dumps(pod))
    settings = folder / "kubelet.json"
    settings.write_text(json.dumps(configuration(manifests, folder)))
    command = [
        "nsenter", f"--target={runtime.first_process}", "--mount", "--pid", "--net",
        "sh", "-c", _ENTER, str(BUSYBOX), str(pods),
        str(program), f"--config={settings}", f"--container-runtime-endpoint=unix://{runtime.socket}",
        f"--root-dir={folder}/root", f"--cert-dir={folder}/certificates", f"--hostname-override={NODE}",
    ]  # fmt: skip
    with (folder / SAID).open("wb") as said:
        process = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=said, start_new_session=True)
    try:
        yield
    except Exception as failure:
        failure.add_note(f"The last lines of kubelet:\n{(folder / SAID).read_text(errors='replace')[-2000:]}")
        raise
    finally:
        # Without its manifest the pod ends, and kubelet removes it.
        (manifests / "pod.json").unlink()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await runtime.pod_ids(ready=True) and process.returncode is None:
                await asyncio.sleep(0.1)
        await end(process)
        for left in await runtime.pod_ids():
            await runtime.remove_pod(left)
        # The parent of the pods' cgroups. While another containerd has pods there, it cannot be removed.
        for parent in CGROUPS.glob("*/k8s.io"):
            with contextlib.suppress(OSError):
                parent.rmdir()


def configuration(manifests: Path, folder: Path) -> dict[str, Any]:
    """It rotates as soon as it may, and leaves out what it does for other parts of a cluster."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "staticPodPath": str(manifests),
        "fileCheckFrequency": "1s",
        "syncFrequency": "1s",
        "containerLogMaxSize": "4Ki",
        "containerLogMaxFiles": 5,
        "containerLogMonitorInterval": "3s",
        "address": "127.0.0.1",
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "volumePluginDir": str(folder / "plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "enableControllerAttachDetach": False,
        "evictionHard": {"memory.available": "0%"},
        "resolvConf": "",
    }


def pod_that_prints(namespace: str, name: str, container: str, pipes: Path) -> dict[str, Any]:
    """A pod whose container prints what is written to the two pipes, and is started again when it ends."""
    for stream in ("stdout", "stderr"):
        os.mkfifo(pipes / stream)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": container,
                    "image": IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["/busybox", "sh", "-c"],
                    "args": ["/busybox cat /pipes/stderr >&2 & /busybox cat /pipes/stdout; wait"],
                    "volumeMounts": [{"name": "pipes", "mountPath": "/pipes"}],
                }
            ],
            "volumes": [{"name": "pipes", "hostPath": {"path": str(pipes)}}],
        },
    }
