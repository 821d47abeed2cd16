"""The chart passes values through to Kubernetes as its peers do, and explains null values and duplicate labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Runner, documents
from tools.chart.generate import CHART
from tools.chart.render import RELEASE

ROOT = CHART.parents[1]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
LABELLED = ("serviceMonitor", "podMonitor", "prometheusRule", "dashboard", "falcoRules")
PANIC = re.compile(r"nil pointer|error calling|interface conversion|can't evaluate|wrong type|YAML parse error")
"""What Helm prints when a template does not expect a value."""


def rendered(helm: Runner, name: str) -> list[dict[str, Any]]:
    done = helm("template", RELEASE[0], CHART, *RELEASE[1:], "--values", CHART / "ci" / f"{name}-values.yaml")
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def refused(helm: Runner, *settings: str) -> str:
    done = helm("template", RELEASE[0], CHART, *(each for setting in settings for each in ("--set", setting)))
    assert done.returncode != 0
    return done.stderr


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def paths(values: dict[str, Any], *prefix: str) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, *prefix, key)


def with_null(path: tuple[str, ...]) -> dict[str, Any]:
    """Values that create every object, with a null at the path."""
    values: dict[str, Any] = {"image": {"repository": "registry.example/falcowatch"}}
    for section in ("podMonitor", "prometheusRule", "dashboard", "falcoRules", "networkPolicy", "audit"):
        values[section] = {"enabled": True}
    values["openshift"] = {"securityContextConstraints": True}
    *parents, last = path
    inner = values
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = None
    return values


@pytest.fixture(scope="module")
def extras(helm: Runner) -> list[dict[str, Any]]:
    return rendered(helm, "extras")


def test_labels_of_the_values_are_on_every_object_and_its_pods(extras: list[dict[str, Any]]):
    ours = [item for item in extras if "helm.sh/chart" in item["metadata"].get("labels", {})]
    pods = only(extras, "DaemonSet")["spec"]["template"]["metadata"]["labels"]

    assert {item["kind"] for item in ours} >= {"DaemonSet", "ServiceAccount", "ClusterRole", "Service", "PodMonitor"}
    assert {item["metadata"]["labels"]["team"] for item in (*ours, only(extras, "Pod"))} == {"security"}
    assert (pods["team"], pods["cost-center"]) == ("security", "4711")
    assert set(only(extras, "DaemonSet")["spec"]["selector"]["matchLabels"]) == {
        "app.kubernetes.io/name", "app.kubernetes.io/instance",
    }  # fmt: skip


def test_the_pod_has_what_the_values_pass_through(extras: list[dict[str, Any]]):
    daemonset = only(extras, "DaemonSet")
    pod = daemonset["spec"]["template"]["spec"]
    agent, sidecar = pod["containers"]

    assert daemonset["metadata"]["annotations"] == {"reloader.stakater.com/auto": "true"}
    assert [each["name"] for each in pod["initContainers"]] == ["own-state-dir", "wait-for-network"]
    assert (agent["name"], sidecar["name"]) == ("falcowatch", "metrics-proxy")
    assert agent["envFrom"] == [{"secretRef": {"name": "proxy"}}]
    assert agent["lifecycle"]["preStop"]["exec"]["command"][0] == "python"
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert pod["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}
    assert pod["hostAliases"] == [{"ip": "10.0.0.9", "hostnames": ["logs.eu-west-1.amazonaws.com"]}]
    assert agent["image"] == "mirror.example:5000/security/falcowatch:0.1.0-debian"


def test_an_existing_config_map_replaces_that_of_the_chart(extras: list[dict[str, Any]]):
    pod = only(extras, "DaemonSet")["spec"]["template"]
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}

    assert volumes["config"] == {"name": "config", "configMap": {"name": "agent-config"}}
    assert "annotations" not in pod["metadata"]
    names = {item["metadata"]["name"] for item in extras if item["kind"] == "ConfigMap"}
    assert names == {"agent-config", "falcowatch-notes"}, "both are extraObjects, one of them with a template"


def test_relabelings_follow_the_one_that_sets_the_node(extras: list[dict[str, Any]]):
    (endpoint,) = only(extras, "PodMonitor")["spec"]["podMetricsEndpoints"]

    assert [each["targetLabel"] for each in endpoint["relabelings"]] == ["node", "cluster"]
    assert [each["action"] for each in endpoint["metricRelabelings"]] == ["drop"]


def test_the_security_context_constraints_allow_what_the_pods_need_and_no_more(helm: Runner):
    objects = rendered(helm, "openshift")
    pod = only(objects, "DaemonSet")["spec"]["template"]["spec"]
    allowed = only(objects, "SecurityContextConstraints")
    containers = [*pod["initContainers"], *pod["containers"]]

    assert allowed["users"] == ["system:serviceaccount:falcowatch:falcowatch"]
    assert {next(key for key in volume if key != "name") for volume in pod["volumes"]} <= set(allowed["volumes"])
    added = {name for each in containers for name in each["securityContext"]["capabilities"].get("add", [])}
    assert added == set(allowed["allowedCapabilities"])
    assert allowed["allowHostDirVolumePlugin"]
    assert not any(
        allowed[key]
        for key in ("allowHostNetwork", "allowHostPorts", "allowHostPID", "allowHostIPC", "allowPrivilegedContainer")
    )
    assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in containers)
    assert pod["securityContext"]["seLinuxOptions"]["type"] == "spc_t"


def test_without_the_value_there_are_no_security_context_constraints(extras: list[dict[str, Any]]):
    assert "SecurityContextConstraints" not in {item["kind"] for item in extras}


def test_the_repository_of_the_image_is_required(helm: Runner):
    assert "image.repository is empty; set it to the repository to which you pushed" in refused(
        helm, "image.repository="
    )


@pytest.mark.parametrize("directory", ["", "falcowatch"])
def test_a_state_directory_that_is_no_absolute_path_is_refused(helm: Runner, directory: str):
    assert "state_dir" in refused(helm, f"config.state_dir={directory}")


@pytest.mark.parametrize("path", [*paths(VALUES), ("config", "tail"), ("config", "cloudwatch")], ids=".".join)
def test_a_null_removes_a_default_or_is_explained(helm: Runner, tmp_path: Path, path: tuple[str, ...]):
    file = tmp_path / "null-values.yaml"
    file.write_text(yaml.safe_dump(with_null(path)) + "# repository: not to be set by the runner")

    done = helm("template", RELEASE[0], CHART, *RELEASE[1:], "--values", file)

    assert not PANIC.search(done.stderr), done.stderr
    assert done.returncode == 0 or path[-1] in done.stderr


@pytest.mark.parametrize("path", ["commonLabels", "podLabels", *(f"{name}.labels" for name in LABELLED)])
def test_a_label_that_the_chart_sets_is_refused_with_its_name(helm: Runner, path: str):
    switches = [f"{name}.enabled=true" for name in LABELLED if path.startswith(name)]
    message = refused(helm, rf"{path}.app\.kubernetes\.io/name=mine", *switches)

    assert f"{path} contains app.kubernetes.io/name, which the chart sets itself; remove it" in message


def test_an_annotation_that_the_chart_sets_is_refused_with_its_name(helm: Runner):
    assert "podAnnotations contains checksum/config, which the chart sets itself" in refused(
        helm, "podAnnotations.checksum/config=x"
    )


def test_the_chart_tells_artifact_hub_who_makes_it_and_where():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["home"] in chart["sources"]
    assert chart["maintainers"]
    assert (ROOT / Path(chart["icon"].partition("/main/")[2])).is_file()
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    links = yaml.safe_load(chart["annotations"]["artifacthub.io/links"])
    assert all(link["url"].startswith(chart["home"]) for link in links)
