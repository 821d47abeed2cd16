"""Renders the chart: `python -m helm.scripts.render` rewrites the golden renders and manifests/agent.

A golden render is the chart under one of ci/*-values.yaml, with stubs for the files it includes whole. manifests/agent
is the render of the default values as a kustomize base: split by file, without Helm's own labels, its config.yaml a
file for kustomize's generator, so that an edit of it rolls the pods. Tests refuse drift of both.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from helm.scripts.binaries import ROOT, MissingTool, find, helm_environment
from helm.scripts.generate import CHART

GOLDEN = ROOT / "tests" / "deploy" / "golden"
MANIFESTS = ROOT / "manifests" / "agent"
RELEASE = ("falcowatch", "--namespace", "falcowatch")

STUBS = {
    "rules.yaml": "groups: [] # files/rules.yaml stands here\n",
    "dashboard.json": '{"stub": "files/dashboard.json stands here"}\n',
    "falco-self-noise-rules.yaml": "[] # files/falco-self-noise-rules.yaml stands here\n",
}

_APPLY = "kubectl apply -k manifests/agent"
_HEADERS = {
    "serviceaccount.yaml": "The agent's identity: annotate it for IRSA, or associate a role with it (Pod Identity).",
    "clusterrole.yaml": "What the agent may ask the API server, to add a pod's metadata to its alerts: list and watch.",
    "daemonset.yaml": "One agent on every node.",
    "service.yaml": "The metrics of the agent on the caller's own node, for Prometheus and for a person.",
}
_NAMESPACE = """apiVersion: v1
kind: Namespace
metadata:
  name: falcowatch
  labels:
    pod-security.kubernetes.io/enforce: privileged
"""
_KUSTOMIZATION = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: falcowatch
resources:
  - namespace.yaml
{resources}
configMapGenerator:
  # The name ends in a hash of the file: an edit of config.yaml rolls the pods.
  - name: falcowatch
    files: [config.yaml]
images:
  # Where you pushed the image of this project's Dockerfile.
  - name: falcowatch/falcowatch
    newName: falcowatch/falcowatch
    newTag: "{version}"
"""
_CONFIG = """# The agent's configuration, docs/configuration.md lists every key. Apply: {apply}
# Such as:
#   cluster_name: eks-managed-cluster # alerts go to the log group /falco/eks-managed-cluster instead of falco
#   cloudwatch: {{region: ap-south-1, retention_days: 90}}
{config}"""


def golden_renders() -> dict[Path, str]:
    """Raises MissingTool, or CalledProcessError when helm refuses."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "falcowatch"
        shutil.copytree(CHART, chart)
        for name, text in STUBS.items():
            (chart / "files" / name).write_text(text)
        return {
            GOLDEN / values.name.replace("-values", ""): _dense(_template(chart, "--values", str(values)))
            for values in sorted((CHART / "ci").glob("*-values.yaml"))
        }


def agent_manifests() -> dict[Path, str]:
    """The kustomize base, every file headed by what it is and the command that applies it."""
    render = _template(CHART, "--skip-tests")
    by_file: dict[str, list[str]] = {}
    for name, text in _parts(render):
        by_file.setdefault(name, []).append(text)
    config = _config_in(by_file.pop("configmap.yaml")[0])
    version = re.findall(r"^appVersion: (.+)$", (CHART / "Chart.yaml").read_text(), re.MULTILINE)[0]
    resources = "\n".join(f"  - {name}" for name in by_file)
    return {
        MANIFESTS / "kustomization.yaml": _headed(
            "The agent without Helm, a kustomize base; rendered from helm/falcowatch by `make render-manifests`.",
            _KUSTOMIZATION.format(resources=resources, version=version),
        ),
        MANIFESTS / "namespace.yaml": _headed(
            "The agent's namespace; `privileged` only because the agent mounts host directories.", _NAMESPACE
        ),
        MANIFESTS / "config.yaml": _CONFIG.format(apply=_APPLY, config=config),
        **{MANIFESTS / name: _headed(_HEADERS[name], "---\n".join(texts)) for name, texts in by_file.items()},
    }


def _dense(text: str) -> str:
    """Without blank lines, which Helm 3 and Helm 4 set differently."""
    return re.sub(r"\n\s*\n", "\n", text).strip() + "\n"


def _template(chart: Path, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        command = [str(find("helm")), "template", *RELEASE[:1], str(chart), *RELEASE[1:], *arguments]
        environment = helm_environment(Path(home))
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def _parts(render: str) -> Iterator[tuple[str, str]]:
    """Each object as (its template's file name, its text without Helm's labels)."""
    for text in re.split(r"^---\n", render, flags=re.MULTILINE)[1:]:
        source, _, body = text.partition("\n")
        kept = re.sub(r"^ *(helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: Helm)\n", "", body, flags=re.MULTILINE)
        yield source.rpartition("/")[2], _without_checksum(kept).strip("\n") + "\n"


def _without_checksum(text: str) -> str:
    """The hash in the ConfigMap's name does its work here."""
    return re.sub(r"^ *annotations:\n *# .*\n *checksum/config: .*\n", "", text, flags=re.MULTILINE)


def _config_in(configmap: str) -> str:
    _, _, indented = configmap.partition("config.yaml: |\n")
    return re.sub(r"^ {4}", "", indented, flags=re.MULTILINE)


def _headed(what: str, text: str) -> str:
    return f"# {what} Apply: {_APPLY}\n{text}"


def main() -> None:
    try:
        for path, text in (golden_renders() | agent_manifests()).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    except MissingTool as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)


if __name__ == "__main__":
    main()
