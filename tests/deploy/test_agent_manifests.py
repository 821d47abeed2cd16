"""manifests/agent is the chart with default values. kustomize builds it, and the agent accepts its configuration."""

from __future__ import annotations

import pytest

from agent.settings.load import load_settings
from tests.deploy.conftest import Runner, documents, validate_strictly
from tools.chart.generate import CHART
from tools.chart.render import MANIFESTS, RELEASE, agent_manifests


@pytest.fixture
def built(kubectl: Runner):
    done = kubectl("kustomize", MANIFESTS)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def test_the_files_are_up_to_date(helm):
    expected = agent_manifests()

    assert sorted(path.name for path in MANIFESTS.iterdir()) == sorted(path.name for path in expected)
    for path, text in expected.items():
        assert path.read_text() == text, f"{path} is out of date: make render-manifests"


def test_every_file_begins_with_its_purpose_and_command():
    for path in MANIFESTS.iterdir():
        assert path.read_text().startswith("# ")
        assert "kubectl apply -k manifests/agent" in path.read_text().splitlines()[0]


def test_the_built_objects_are_valid(built):
    validate_strictly(built)


def test_kustomize_builds_the_same_objects_as_helm(built, helm):
    rendered = documents(helm("template", RELEASE[0], CHART, *RELEASE[1:], "--skip-tests").stdout)

    kinds = sorted(item["kind"] for item in rendered)
    assert sorted([*kinds, "Namespace"]) == sorted(item["kind"] for item in built)
    (ours,) = [item for item in built if item["kind"] == "DaemonSet"]
    (theirs,) = [item for item in rendered if item["kind"] == "DaemonSet"]
    assert ours["spec"]["template"]["spec"]["containers"] == theirs["spec"]["template"]["spec"]["containers"]


def test_an_edit_of_the_configuration_restarts_the_pods(built):
    (config_map,) = [item["metadata"]["name"] for item in built if item["kind"] == "ConfigMap"]
    (daemonset,) = [item for item in built if item["kind"] == "DaemonSet"]

    volumes = {each["name"]: each for each in daemonset["spec"]["template"]["spec"]["volumes"]}
    assert config_map.startswith("falcowatch-")
    assert volumes["config"]["configMap"]["name"] == config_map


def test_the_agent_accepts_the_configuration(built, tmp_path):
    (text,) = [item["data"]["config.yaml"] for item in built if item["kind"] == "ConfigMap"]
    config = tmp_path / "config.yaml"
    config.write_text(text)

    settings = load_settings({"FALCOWATCH_NODE_NAME": "node-1"}, config).settings

    assert settings.log_group_template == "falco"
