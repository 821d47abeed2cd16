"""The whole way on a real cluster: `make e2e KUBECONFIG=… IMAGE=…`, on kind, EKS or any other.

Installs the embedded CloudWatch and the agent by the chart, runs `helm test`, lets a pod in Falco's place print
captured alerts until kubelet rotates its log, restarts the DaemonSet meanwhile, and proves from what arrived and from
the agents' books that nothing was lost. Prints what it saw, removes what it made, exits 0 only if the proof holds.
The nodes must be able to pull IMAGE (`kind load docker-image`). Refuses a cluster that has a namespace `falco` already.
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

from tests.e2e.proof import Books, Verdict, books_in, judge, stored_messages
from tools.binaries import MissingTool, find, helm_environment
from tools.chart.generate import CHART

HERE = Path(__file__).parent
NAMESPACE, FALCO = "falcowatch-e2e", "falco"
RELEASE = "falcowatch"
GROUP = "/falco/e2e"
MARK = "falcowatch/e2e"

ALERTS = 60_000
ALERTS_PER_SECOND = 1_500
"""40 seconds and 65 MB: kubelet looks every 10 seconds whether a log has passed 10 MiB, so it rotates three times."""
RESTART_AFTER_SECONDS = 15
PATIENCE_SECONDS = 300


class Failed(Exception):
    """A step that did not do what it must; the message says which, and what the tool said."""


class Cluster:
    """kubectl and helm against the user's cluster."""

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
        """The URL under which `target` of our namespace answers on this machine."""
        command = [str(self._kubectl), "-n", NAMESPACE, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment) as forwarding:
            assert forwarding.stdout is not None
            try:
                said = forwarding.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 4586
                if "127.0.0.1:" not in said:
                    raise Failed(f"kubectl port-forward {target} said {said!r}")
                yield "http://127.0.0.1:" + said.split("127.0.0.1:")[1].split()[0]
            finally:
                forwarding.terminate()


def manifest(name: str, **names: str) -> str:
    """A file beside this one with its $NAMES filled in; each is a YAML scalar already where it needs quotes."""
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
    refuse_a_foreign_falco(cluster)
    say("installing the embedded CloudWatch")
    cluster.kubectl("apply", "-f", "-", stdin=manifest("cluster.yaml", IMAGE=image))
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/cloudwatch", "--timeout=180s")
    say("installing the agent by the chart")
    repository, _, tag = image.rpartition(":")
    cluster.helm(
        "upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "--values", str(HERE / "values.yaml"),
        "--set", f"image.repository={repository}", "--set-string", f"image.tag={tag}",
    )  # fmt: skip
    await_agents(cluster)
    say("helm test: one synthetic alert")
    cluster.helm("test", RELEASE, "-n", NAMESPACE, "--timeout", "200s")

    say(f"{ALERTS} captured alerts, {ALERTS_PER_SECOND} a second")
    first_ns = time.time_ns()
    cluster.kubectl("apply", "-f", "-", stdin=falco_pod(image, first_ns, ALERTS, ALERTS_PER_SECOND))
    time.sleep(RESTART_AFTER_SECONDS)
    say("restarting the DaemonSet meanwhile")
    cluster.kubectl("-n", NAMESPACE, "rollout", "restart", f"daemonset/{RELEASE}")
    await_agents(cluster)

    verdict = await_arrival(cluster, first_ns)
    books = {pod: books_of(cluster, pod) for pod in agent_pods(cluster)}
    report(verdict, books)
    return verdict.holds and all(each.balance for each in books.values())


def refuse_a_foreign_falco(cluster: Cluster) -> None:
    """Alerts of a real Falco would be shipped into the embedded CloudWatch, and its namespace removed at the end."""
    listed = json.loads(cluster.kubectl("get", "namespaces", "-o", "json"))
    for item in listed["items"]:
        metadata = item["metadata"]
        if metadata["name"] in (FALCO, NAMESPACE) and MARK not in metadata.get("labels", {}):
            raise Failed(f"namespace {metadata['name']} is not of an end-to-end run: use a cluster without it")


def await_agents(cluster: Cluster) -> None:
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"daemonset/{RELEASE}", f"--timeout={PATIENCE_SECONDS}s")


def await_arrival(cluster: Cluster, first_ns: int) -> Verdict:
    """Looks until everything is there, or patience ends; then what is missing is missing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with cluster.forwarded("service/cloudwatch", 4586) as url:
        while True:
            verdict = judge(first_ns, ALERTS, asyncio.run(messages(url)))
            say(f"{verdict.arrived} of {verdict.written} have arrived")
            if verdict.lost == 0 or time.monotonic() > deadline:
                return verdict
            time.sleep(5)


async def messages(url: str) -> list[bytes]:
    return [message async for message in stored_messages(url, GROUP)]


def agent_pods(cluster: Cluster) -> list[str]:
    selector = f"app.kubernetes.io/name=falcowatch,app.kubernetes.io/instance={RELEASE}"
    names = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "name")
    return [name.removeprefix("pod/") for name in names.split()]


def books_of(cluster: Cluster, pod: str) -> Books:
    return books_in(cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9801/proxy/metrics"))


def report(verdict: Verdict, books: dict[str, Books]) -> None:
    say(
        f"written {verdict.written}, arrived {verdict.arrived}, lost {verdict.lost}, "
        f"resent {verdict.resent}, of these under another id {verdict.strangers}"
    )
    for pod, each in books.items():
        say(
            f"{pod} since its start: read {each.read} = shipped {each.shipped} + filtered {each.filtered} + "
            f"rejected {each.rejected} + in flight {each.in_flight}; gap bytes {each.gap_bytes}"
            + ("" if each.balance else "  <- does not hold")
        )


def remove(cluster: Cluster) -> None:
    cluster.helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", "-l", MARK, "--ignore-not-found")


def say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make e2e", description="The whole way on the cluster of KUBECONFIG.")
    parser.add_argument("--image", required=True, help="repository:tag, which the nodes can pull or have")
    parser.add_argument("--keep", action="store_true", help="leave everything in the cluster to look at")
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as home:
            cluster = Cluster(Path(home))
            try:
                holds = prove(cluster, given.image)
            finally:
                if not given.keep:
                    say("removing what was made; each node keeps /var/lib/falcowatch-e2e")
                    remove(cluster)
    except (Failed, MissingTool) as error:
        say(f"failed: {error}")
        return 1
    say("the proof holds" if holds else "THE PROOF DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
