"""The end-to-end test on a real cluster (kind, EKS or any other): `make e2e KUBECONFIG=… IMAGE=…`.

It installs the embedded CloudWatch, installs the agent with the chart, and runs `helm test`. Then a pod that replaces
Falco prints captured alerts until kubelet has rotated its log several times. During this time, the test restarts the
DaemonSet. At the end it compares the events in CloudWatch with the printed alerts, and reads the agents' metrics. It
exits 0 only if no alert was lost and every record is accounted for. It removes the objects that it created.

The nodes must be able to pull IMAGE, or have it already (`kind load docker-image`). The test stops if the cluster has a
namespace `falco`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from tests.e2e.proof import Accounting, Verdict, accounting_in, judge, stored_messages
from tools.binaries import MissingTool, find, helm_environment
from tools.chart.generate import CHART

HERE = Path(__file__).parent
NAMESPACE, FALCO = "falcowatch-e2e", "falco"
RELEASE = "falcowatch"
GROUP = "/falco/e2e"
MARK = "falcowatch/e2e"

ALERTS = 60_000
ALERTS_PER_SECOND = 1_500
"""40 seconds and 65 MB. kubelet checks every 10 seconds if a log exceeds 10 MiB, so it rotates the log three times."""
RESTART_AFTER_SECONDS = 15
TIMEOUT_SECONDS = 300


class Failed(Exception):
    """A step failed. The message contains the command and its error output."""


class Cluster:
    """Runs kubectl and helm with the user's cluster."""

    def __init__(self, home: Path) -> None:
        self._kubectl, self._helm = find("kubectl"), find("helm")
        self._environment = helm_environment(home)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self._run(self._kubectl, arguments, stdin)

    def helm(self, *arguments: str) -> str:
        return self._run(self._helm, arguments, None)

    def _run(self, tool: Path, arguments: tuple[str, ...], stdin: str | None) -> str:
        done = subprocess.run(
            [tool, *arguments], capture_output=True, text=True, check=False, input=stdin, env=self._environment
        )
        if done.returncode:
            raise Failed(f"{tool.name} {' '.join(arguments[:4])} …: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """Forwards a local port to `target` in our namespace, and returns the local URL."""
        command = [str(self._kubectl), "-n", NAMESPACE, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment) as forwarding:
            assert forwarding.stdout is not None
            try:
                line = forwarding.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 4586
                if "127.0.0.1:" not in line:
                    raise Failed(f"kubectl port-forward {target} printed {line!r}")
                yield "http://127.0.0.1:" + line.split("127.0.0.1:")[1].split()[0]
            finally:
                forwarding.terminate()


def manifest(name: str, **names: str) -> str:
    """Reads a file of this directory and fills in its $NAMES. Values that need quotes must already have them."""
    return Template((HERE / name).read_text()).safe_substitute(names)


def falco_pod(image: str, first_ns: int, alerts: int, rate: int) -> str:
    program = json.dumps((HERE / "play.py").read_text())  # a JSON string is a YAML scalar
    return manifest(
        "falco.yaml",
        IMAGE=image,
        PROGRAM=program,
        FIRST_NS=str(first_ns),
        ALERTS=str(alerts),
        ALERTS_PER_SECOND=str(rate),
    )


def prove(cluster: Cluster, image: str) -> bool:
    fail_if_falco_exists(cluster)
    say("installing the embedded CloudWatch")
    cluster.kubectl("apply", "-f", "-", stdin=manifest("cluster.yaml", IMAGE=image))
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/cloudwatch", "--timeout=180s")
    say("installing the agent with the chart")
    repository, _, tag = image.rpartition(":")
    cluster.helm(
        "upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "--values", str(HERE / "values.yaml"),
        "--set", f"image.repository={repository}", "--set-string", f"image.tag={tag}",
    )  # fmt: skip
    await_agents(cluster)
    say("helm test: one test alert")
    cluster.helm("test", RELEASE, "-n", NAMESPACE, "--timeout", "200s")

    say(f"printing {ALERTS} captured alerts, {ALERTS_PER_SECOND} per second")
    first_ns = time.time_ns()
    cluster.kubectl("apply", "-f", "-", stdin=falco_pod(image, first_ns, ALERTS, ALERTS_PER_SECOND))
    time.sleep(RESTART_AFTER_SECONDS)
    say("restarting the DaemonSet")
    cluster.kubectl("-n", NAMESPACE, "rollout", "restart", f"daemonset/{RELEASE}")
    await_agents(cluster)

    verdict = await_arrival(cluster, first_ns)
    accounting = {pod: accounting_of(cluster, pod) for pod in agent_pods(cluster)}
    report(verdict, accounting)
    return verdict.holds and all(each.complete for each in accounting.values())


def fail_if_falco_exists(cluster: Cluster) -> None:
    """The test would ship the alerts of a real Falco to the embedded CloudWatch, and would remove its namespace."""
    listed = json.loads(cluster.kubectl("get", "namespaces", "-o", "json"))
    for item in listed["items"]:
        metadata = item["metadata"]
        if metadata["name"] in (FALCO, NAMESPACE) and MARK not in metadata.get("labels", {}):
            raise Failed(f"namespace {metadata['name']} does not belong to an end-to-end test; use another cluster")


def await_agents(cluster: Cluster) -> None:
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"daemonset/{RELEASE}", f"--timeout={TIMEOUT_SECONDS}s")


def await_arrival(cluster: Cluster, first_ns: int) -> Verdict:
    """Waits until every alert has arrived, or until the timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with cluster.forwarded("service/cloudwatch", 4586) as url:
        while True:
            verdict = judge(first_ns, ALERTS, asyncio.run(messages(url)))
            say(f"{verdict.arrived} of {verdict.written} alerts have arrived")
            if verdict.lost == 0 or time.monotonic() > deadline:
                return verdict
            time.sleep(5)


async def messages(url: str) -> list[bytes]:
    return [message async for message in stored_messages(url, GROUP)]


def agent_pods(cluster: Cluster) -> list[str]:
    selector = f"app.kubernetes.io/name=falcowatch,app.kubernetes.io/instance={RELEASE}"
    names = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "name")
    return [name.removeprefix("pod/") for name in names.split()]


def accounting_of(cluster: Cluster, pod: str) -> Accounting:
    return accounting_in(
        cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9801/proxy/metrics")
    )


def report(verdict: Verdict, accounting: dict[str, Accounting]) -> None:
    say(
        f"written {verdict.written}, arrived {verdict.arrived}, lost {verdict.lost}, "
        f"resent {verdict.resent}, of these with another id {verdict.unrecognised}"
    )
    for pod, each in accounting.items():
        say(
            f"{pod} since its start: read {each.read} = shipped {each.shipped} + filtered {each.filtered} + "
            f"rejected {each.rejected} + in flight {each.in_flight}; gap bytes {each.gap_bytes}"
            + ("" if each.complete else "  <- not every record is accounted for")
        )


def remove(cluster: Cluster) -> None:
    cluster.helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", "-l", MARK, "--ignore-not-found")


def say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make e2e", description="The end-to-end test on the cluster of KUBECONFIG.")
    parser.add_argument("--image", required=True, help="repository:tag of an image that the nodes have or can pull")
    parser.add_argument("--keep", action="store_true", help="do not remove the objects at the end")
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as home:
            cluster = Cluster(Path(home))
            try:
                holds = prove(cluster, given.image)
            finally:
                if not given.keep:
                    say("removing the objects; each node keeps /var/lib/falcowatch-e2e")
                    remove(cluster)
    except (Failed, MissingTool) as error:
        say(f"failed: {error}")
        return 1
    say("passed: no alert was lost" if holds else "FAILED: see above")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
