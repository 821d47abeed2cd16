"""Records the log files of a pod that a version of kubelet runs and whose logs it rotates.

    python -m tests.real.record_kubelet FOLDER [FOLDER]

The first FOLDER holds the program kubelet, the second containerd, ctr and containerd-shim-runc-v2; without it, those
on PATH are used. Needs root, runc, busybox-static and nsenter. The files go to tests/data/logs/kubelet-<version>; the
row that is printed belongs into the README.md beside that folder.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.process.driver import POD
from tests.real import session
from tests.real.captures import first_on_path, keep, version_of
from tests.real.containerd import containerd, into
from tests.real.kubelet import kubelet, pod_that_prints
from tests.real.printer import Printer, print_until_the_crash
from tests.real.written import all_lines, rotated_lines, until


async def record(root: Path, work: Path) -> None:
    """Has the kubelet on PATH run the pod whose container prints the session; copies its logs to `root`."""
    pipes, pods = work / "pipes", work / "pods"
    pipes.mkdir(parents=True)
    pods.mkdir()
    namespace, name, _ = POD.split("_")
    pod = pod_that_prints(namespace, name, "falco", pipes)
    program = Path(shutil.which("kubelet") or "kubelet").resolve()
    async with containerd(work / "containerd") as runtime, kubelet(program, work / "kubelet", runtime, pods, pod):
        printer = Printer(await into(pipes / "stdout"), await into(pipes / "stderr"), log := live_log(pods))

        async def rotated() -> None:
            last = all_lines(log)[-1]
            await until(lambda: last in rotated_lines(log) and log.exists())

        await print_until_the_crash(printer, rotated)
        # The container is started again.
        stdout, stderr = await into(pipes / "stdout"), await into(pipes / "stderr")
        await Printer(stdout, stderr, log.with_name("1.log")).prints(*session.RESTARTED)
        # With the pod, kubelet removes its logs.
        shutil.copytree(pods, root)
        stdout.abort()
        stderr.abort()


def live_log(pods: Path) -> Path:
    (log,) = pods.glob("*/falco/0.log")
    return log


def main() -> None:
    if not sys.argv[1:]:
        sys.exit("name the folder that holds kubelet")
    for folder in reversed(sys.argv[1:]):
        first_on_path(Path(folder))
    keep("kubelet", f"{version_of('kubelet')}, with {version_of('containerd')}", record)


if __name__ == "__main__":
    main()
