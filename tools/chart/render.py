"""Renders the chart with helm: `python -m tools.chart.render` writes the golden renders and manifests/agent.

A golden render is the chart with one of the ci/*-values.yaml files. Stubs replace the files that the chart includes as
a whole, so that a change of the dashboard does not change the golden render.

manifests/agent is the chart with its default values as a kustomize base, one file per template and without Helm's
labels. kustomize generates the ConfigMap from config.yaml, so an edit of config.yaml restarts the pods.

Tests fail when a written file is out of date.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import ROOT
from tools.binaries import MissingTool, find, helm_environment
from tools.chart.generate import CHART

GOLDEN = ROOT / "tests" / "deploy" / "golden"
MANIFESTS = ROOT / "manifests" / "agent"
RELEASE = ("falcowatch", "--namespace", "falcowatch")

STUBS = {
    "rules.yaml": "groups: [] # stub for files/rules.yaml\n",
    "dashboard.json": '{"stub": "for files/dashboard.json"}\n',
    "falco-self-noise-rules.yaml": "[] # stub for files/falco-self-noise-rules.yaml\n",
}

_APPLY = "kubectl apply -k manifests/agent"
_HEADERS = {
    "serviceaccount.yaml": "The agent's service account. IRSA needs an annotation here, Pod Identity an association.",
    "clusterrole.yaml": "The agent lists and watches pods to add their metadata to alerts.",
    "daemonset.yaml": "Runs one agent on every node.",
    "service.yaml": "Serves the metrics and the status page of the agent on the caller's node.",
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
  # kustomize appends a hash of the file to the name, so an edit of config.yaml restarts the pods.
  - name: falcowatch
    files: [config.yaml]
images:
  # The repository to which you pushed the image, and its tag.
  - name: falcowatch/falcowatch
    newName: falcowatch/falcowatch
    newTag: "{version}"
"""
_CONFIG = """# The agent's configuration. docs/configuration.md lists every key. Apply: {apply}
# Example:
#   cluster_name: eks-managed-cluster # the log group is then /falco/eks-managed-cluster instead of falco
#   cloudwatch: {{region: ap-south-1, retention_days: 90}}
{config}"""


def golden_renders() -> dict[Path, str]:
    """Returns the text of each golden render by path. Raises MissingTool, or CalledProcessError when helm fails."""
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
    """Returns the text of each file of the kustomize base by path. A file begins with its purpose and its command."""
    render = _template(CHART, "--skip-tests", "--set", "image.repository=falcowatch/falcowatch")
    by_file: dict[str, list[str]] = {}
    for name, text in _parts(render):
        by_file.setdefault(name, []).append(text)
    config = _config_in(by_file.pop("configmap.yaml")[0])
    version = re.findall(r"^appVersion: (.+)$", (CHART / "Chart.yaml").read_text(), re.MULTILINE)[0]
    resources = "\n".join(f"  - {name}" for name in by_file)
    return {
        MANIFESTS / "kustomization.yaml": _headed(
            "The agent as a kustomize base (without Helm). Generated from helm/falcowatch by `make render-manifests`.",
            _KUSTOMIZATION.format(resources=resources, version=version),
        ),
        MANIFESTS / "namespace.yaml": _headed(
            "The agent's namespace. It is `privileged` only because the agent mounts host directories.", _NAMESPACE
        ),
        MANIFESTS / "config.yaml": _CONFIG.format(apply=_APPLY, config=config),
        **{MANIFESTS / name: _headed(_HEADERS[name], "---\n".join(texts)) for name, texts in by_file.items()},
    }


def _dense(text: str) -> str:
    """Removes blank lines, because Helm 3 and Helm 4 place them differently."""
    return re.sub(r"\n\s*\n", "\n", text).strip() + "\n"


def _template(chart: Path, *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        command = [str(find("helm")), "template", *RELEASE[:1], str(chart), *RELEASE[1:], *arguments]
        environment = helm_environment(Path(home))
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def _parts(render: str) -> Iterator[tuple[str, str]]:
    """Yields each object: the file name of its template, and its text without Helm's labels."""
    for text in re.split(r"^---\n", render, flags=re.MULTILINE)[1:]:
        source, _, body = text.partition("\n")
        kept = re.sub(r"^ *(helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: Helm)\n", "", body, flags=re.MULTILINE)
        yield source.rpartition("/")[2], _without_checksum(kept).strip("\n") + "\n"


def _without_checksum(text: str) -> str:
    """kustomize needs no checksum annotation: the name of the ConfigMap contains a hash."""
    return re.sub(r"^ *annotations:\n *checksum/config: .*\n", "", text, flags=re.MULTILINE)


def _config_in(configmap: str) -> str:
    _, _, indented = configmap.partition("config.yaml: |\n")
    return re.sub(r"^ {4}", "", indented, flags=re.MULTILINE)


def _headed(purpose: str, text: str) -> str:
    return f"# {purpose} Apply: {_APPLY}\n{text}"


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
