"""Real helm lints and renders the chart. Kubernetes accepts the objects, and the agent accepts the configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.settings.load import load_settings
from tests.deploy.conftest import Runner, documents, validate_strictly
from tools.chart.generate import CHART, GENERATED
from tools.chart.render import RELEASE, golden_renders

CASES = sorted((CHART / "ci").glob("*-values.yaml"), key=lambda path: path.name)
every_case = pytest.mark.parametrize("values", CASES, ids=lambda path: path.name.removesuffix("-values.yaml"))

MEBIBYTE = 1024 * 1024


def render(helm: Runner, *arguments: str | Path) -> list[dict[str, Any]]:
    done = helm("template", RELEASE[0], CHART, *RELEASE[1:], *arguments)
    assert done.stderr == ""
    return documents(done.stdout)


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def pod_spec(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = only(objects, "DaemonSet")["spec"]["template"]["spec"]
    return spec


def config_of(objects: list[dict[str, Any]]) -> str:
    (text,) = [item["data"]["config.yaml"] for item in objects if "config.yaml" in item.get("data", {})]
    assert isinstance(text, str)
    return text


@every_case
def test_helm_lint_finds_nothing(helm, values):
    done = helm("lint", "--strict", CHART, "--values", values)

    assert done.returncode == 0, done.stdout


@every_case
def test_every_object_is_valid_in_the_oldest_and_newest_kubernetes(helm, values):
    validate_strictly(render(helm, "--values", values))


@every_case
def test_the_agent_accepts_the_configuration(helm, values, tmp_path):
    objects = render(helm, "--values", values)
    container = pod_spec(objects)["containers"][0]
    config = tmp_path / "config.yaml"
    config.write_text(config_of(objects))
    environ = {each["name"]: each.get("value", "node-1") for each in container["env"]}

    settings = load_settings(environ, config).settings

    mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
    assert settings.node_name == "node-1"
    assert [settings.http.port] == [port["containerPort"] for port in container["ports"]]
    assert mounts[str(settings.state_dir)] is False
    assert mounts[str(settings.tail.root)] is True
    assert all(mounts[str(path)] is True for path in settings.tail.follow_links_into)
    assert settings.drain_seconds < pod_spec(objects)["terminationGracePeriodSeconds"]


@every_case
def test_only_the_state_directory_is_writable(helm, values):
    objects = render(helm, "--values", values)

    container = pod_spec(objects)["containers"][0]
    writable = [each["name"] for each in container["volumeMounts"] if not each.get("readOnly")]
    assert writable == ["state"]


def test_the_golden_renders_are_up_to_date(helm):
    for path, expected in golden_renders().items():
        assert path.exists(), f"{path}: make render-manifests"
        assert path.read_text() == expected, f"{path} is out of date: look at the difference, make render-manifests"


def test_every_golden_render_has_its_values_file(helm):
    expected = golden_renders()

    assert sorted(next(iter(expected)).parent.iterdir()) == sorted(expected)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path):
    assert path.read_text() == GENERATED[path](), f"{path} is out of date: make render-manifests"


def test_the_container_has_no_privilege_by_default(helm):
    spec = pod_spec(render(helm))

    assert spec["containers"][0]["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert {spec[key] for key in ("hostNetwork", "hostPID", "hostIPC", "enableServiceLinks")} == {False}


def test_the_memory_limit_is_derived_from_the_budget_unless_it_is_set(helm):
    def limit(*arguments: str) -> str:
        resources = pod_spec(render(helm, *arguments))["containers"][0]["resources"]
        assert "cpu" not in resources["limits"]
        memory: str = resources["limits"]["memory"]
        return memory

    assert limit() == "192Mi"
    assert limit("--set", f"config.memory_budget_bytes={64 * MEBIBYTE}") == "384Mi"
    assert limit("--set", f"config.memory_budget_bytes={2 * MEBIBYTE + 1}") == "137Mi"
    for size in ("64MiB", "64Mi", "0.0625 GiB", "67108864B"):
        assert limit("--set-string", f"config.memory_budget_bytes={size}") == "384Mi"
    assert limit("--set", "resources.limits.memory=1Gi") == "1Gi"


def test_probes_use_the_health_endpoints(helm):
    container = pod_spec(render(helm))["containers"][0]

    paths = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


@pytest.mark.parametrize("mode", ["auto", "api", "none"])
def test_only_enrichment_gets_access_to_the_api_server(helm, mode):
    objects = render(helm, "--set", f"config.enrich.mode={mode}")

    kinds = {item["kind"] for item in objects}
    wanted = mode != "none"
    assert pod_spec(objects)["automountServiceAccountToken"] is wanted
    assert ("ClusterRole" in kinds) is wanted
    assert ("ClusterRoleBinding" in kinds) is wanted


def test_the_role_can_only_list_and_watch_pods(helm):
    role = only(render(helm), "ClusterRole")

    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]


def test_a_change_of_the_configuration_restarts_the_pods(helm):
    def checksum(*arguments: str) -> str:
        template = only(render(helm, *arguments), "DaemonSet")["spec"]["template"]
        value: str = template["metadata"]["annotations"]["checksum/config"]
        return value

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "config.drain_seconds=31")


@every_case
def test_an_init_container_gives_the_state_directory_to_the_user_of_the_agent(helm, values):
    spec = pod_spec(render(helm, "--values", values))

    init, *_ = spec["initContainers"]
    user = spec["containers"][0]["securityContext"]
    assert init["command"][-2:] == [str(user["runAsUser"]), str(user["runAsGroup"])]
    assert init["securityContext"]["runAsUser"] == 0
    assert init["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert [mount["name"] for mount in init["volumeMounts"]] == ["state"]


ONLY_CHOWN = ["setpriv", "--bounding-set=-all,+chown", "--inh-caps=-all,+chown"]
"""Runs a program as the init container runs: with uid 0 and no capability except CHOWN."""


@pytest.mark.skipif(os.geteuid() != 0, reason="the test must create files of several users")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) is not installed")
@pytest.mark.parametrize(
    ("before", "after"), [(0, 9801), (9801, 0), (9801, 9802), (9801, 9801)], ids=lambda uid: f"uid {uid}"
)
def test_the_owner_of_the_state_directory_is_repaired_in_every_direction(helm, tmp_path, before, after):
    init = pod_spec(render(helm))["initContainers"][0]
    state = tmp_path / "state"
    (state / "dead").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    for path in (state / "checkpoint.json", state / "dead" / "1.jsonl", elsewhere):
        path.touch(mode=0o600)
    (state / "link").symlink_to(elsewhere)
    for path in (state / "checkpoint.json", state / "dead" / "1.jsonl", state / "dead"):
        os.chown(path, before, 0)
    (state / "dead").chmod(0o700)
    tmp_path.chmod(0o755)

    program = init["command"][2]
    subprocess.run([*ONLY_CHOWN, sys.executable, "-I", "-c", program, state, str(after), "0"], check=True)

    owned = (state, state / "checkpoint.json", state / "dead", state / "dead" / "1.jsonl", state / "link")
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in owned} == {(after, 0)}
    assert (state / "dead" / "1.jsonl").stat().st_mode & 0o777 == 0o600
    assert elsewhere.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the test must create files of several users")
def test_a_state_directory_that_was_repaired_halfway_is_repaired_at_the_next_start(helm, tmp_path):
    program = pod_spec(render(helm))["initContainers"][0]["command"][2]
    state = tmp_path / "state"
    (state / "dead").mkdir(parents=True)
    (state / "dead" / "1.jsonl").touch(mode=0o600)
    os.chown(state / "dead" / "1.jsonl", 9801, 0)  # the directories are already taken for root

    subprocess.run([sys.executable, "-I", "-c", program, state, "9801", "0"], check=True)

    assert {path.stat().st_uid for path in (state, *state.rglob("*"))} == {9801}


def test_one_value_sets_the_namespace_of_falco_everywhere(helm):
    objects = render(helm, "--set", "falco.namespace=default,falcoRules.enabled=true")

    config = yaml.safe_load(config_of(objects))
    (rules,) = [each for each in objects if each["kind"] == "ConfigMap" and _name(each).endswith("falco-rules")]
    assert config["tail"]["namespace"] == "default"
    assert only(objects, "Pod")["metadata"]["namespace"] == "default"
    assert rules["metadata"]["namespace"] == "default"


def test_the_link_to_the_runbook_can_be_changed(helm):
    objects = render(
        helm, "--set", "prometheusRule.enabled=true", "--set", "prometheusRule.runbookUrl=https://wiki.example/runbook"
    )

    groups = only(objects, "PrometheusRule")["spec"]["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert {url.partition("#")[0] for url in urls} == {"https://wiki.example/runbook"}


@pytest.mark.parametrize(
    ("toggle", "kind", "key", "file"),
    [
        ("dashboard", "ConfigMap", "falcowatch.json", "dashboard.json"),
        ("falcoRules", "ConfigMap", "falcowatch-rules.yaml", "falco-self-noise-rules.yaml"),
    ],
)
def test_an_included_file_is_unchanged_in_the_config_map(helm, toggle, kind, key, file):
    objects = render(helm, "--set", f"{toggle}.enabled=true")

    (data,) = [item["data"][key] for item in objects if item["kind"] == kind and key in item["data"]]
    assert data.strip() == (CHART / "files" / file).read_text().strip()


def test_the_falco_rules_exempt_this_namespace_and_image(helm):
    arguments = [
        "-n",
        "alerts",
        "--set",
        "falcoRules.enabled=true",
        "--set",
        "image.repository=registry:5000/a/shipper",
    ]
    done = helm("template", RELEASE[0], CHART, *arguments)

    (text,) = [each["data"]["falcowatch-rules.yaml"] for each in documents(done.stdout) if "-rules" in _name(each)]
    rules = {next(iter(rule)): rule for rule in yaml.safe_load(text)}
    assert rules["list"]["items"] == ["alerts"]
    agents = [rule["condition"] for rule in yaml.safe_load(text) if rule.get("macro") == "falcowatch_agent"]
    assert [condition.rstrip(")").rpartition(" ")[2] for condition in agents] == ['"shipper"']


def _name(item: dict[str, Any]) -> str:
    name: str = item["metadata"]["name"]
    return name


def test_the_prometheus_rule_contains_the_tested_rules(helm):
    objects = render(helm, "--set", "prometheusRule.enabled=true")

    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    assert only(objects, "PrometheusRule")["spec"] == rules


@pytest.mark.parametrize(
    ("monitor", "endpoints"), [("serviceMonitor", "endpoints"), ("podMonitor", "podMetricsEndpoints")]
)
def test_both_monitors_scrape_the_port_under_the_same_job_name(helm, monitor, endpoints):
    objects = render(helm, "--set", f"{monitor}.enabled=true")

    found = only(objects, monitor[0].upper() + monitor[1:])["spec"]
    pod = only(objects, "DaemonSet")["spec"]["template"]
    assert [(each["port"], each["path"]) for each in found[endpoints]] == [("metrics", "/metrics")]
    assert found["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["labels"][found["jobLabel"]] == "falcowatch"


def test_irsa_is_an_annotation_and_pod_identity_needs_none(helm):
    role = "arn:aws:iam::123456789012:role/falcowatch"

    with_irsa = only(render(helm, "--set", f"serviceAccount.roleArn={role}"), "ServiceAccount")
    without = only(render(helm), "ServiceAccount")

    assert with_irsa["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    assert "annotations" not in without["metadata"]


def test_the_notes_contain_the_next_steps(helm):
    done = helm("install", RELEASE[0], CHART, *RELEASE[1:], "--dry-run=client", "--set", "clusterName=prod")
    if "cluster unreachable" in done.stderr:
        pytest.skip("Helm 3 shows the notes only where there is a cluster")

    assert done.returncode == 0, done.stderr
    for advice in ("rollout status", "falcowatch check", "helm -n falcowatch test falcowatch", "/falco/prod"):
        assert advice in done.stdout


def test_the_schema_forbids_unknown_keys_at_every_level():
    schema = json.loads((CHART / "values.schema.json").read_text())

    open_objects = sorted(_open_objects(schema, ""))

    kubernetes_own = {"securityContext", "podSecurityContext", "affinity", "global", "tolerations[]"}
    kubernetes_own |= {"extraVolumes[]", "extraVolumeMounts[]", "env[].valueFrom", "envFrom[]", "lifecycle"}
    kubernetes_own |= {"extraInitContainers[]", "extraContainers[]", "dnsConfig", "hostAliases[]"}
    kubernetes_own |= {
        f"{one}Monitor.{each}[]" for one in ("pod", "service") for each in ("relabelings", "metricRelabelings")
    }
    kubernetes_own |= {f"audit.{each}[]" for each in ("tolerations", "extraVolumes", "extraVolumeMounts")}
    kubernetes_own |= {"audit.env[].valueFrom"}
    kubernetes_own |= {"networkPolicy.metricsFrom[]", "networkPolicy.extraEgress[]"}
    assert set(open_objects) == kubernetes_own


def test_chart_image_and_package_have_the_same_version():
    root = CHART.parents[1]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"ARG VERSION={version}\n" in (root / "Dockerfile").read_text()
    assert f"IMAGE ?= falcowatch/falcowatch:{version}\n" in (root / "Makefile").read_text()


def test_package_and_chart_name_the_same_home():
    root = CHART.parents[1]
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]

    assert urls["Homepage"] == yaml.safe_load((CHART / "Chart.yaml").read_text())["home"]
    assert {"Documentation", "Changelog", "Issues"} <= urls.keys()


def _open_objects(node: dict[str, Any], path: str) -> list[str]:
    found = [path] if node.get("type") == "object" and "additionalProperties" not in node else []
    for name, inner in node.get("properties", {}).items():
        found += _open_objects(inner, f"{path}.{name}".lstrip("."))
    if "items" in node:
        found += _open_objects(node["items"], f"{path}[]")
    return found
