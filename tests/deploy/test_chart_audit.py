"""The scheduled audit of the chart, and the key of the seals: what the pods get, and which values are refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.audit.arguments import add_arguments, options_of
from tests.deploy.conftest import Runner, documents
from tests.deploy.test_chart_errors import error_of
from tools.chart.generate import CHART
from tools.chart.render import RELEASE

CASE = CHART / "ci" / "audit-values.yaml"


def rendered(helm: Runner, *arguments: str | Path) -> list[dict[str, Any]]:
    done = helm("template", RELEASE[0], CHART, *RELEASE[1:], *arguments)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def job_of(objects: list[dict[str, Any]], name: str = "falcowatch-audit") -> dict[str, Any]:
    spec: dict[str, Any] = named(objects, "CronJob", name)["spec"]["jobTemplate"]["spec"]
    return spec


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = job_of(objects)["template"]["spec"]
    return spec


def arguments_of(objects: list[dict[str, Any]]) -> list[str]:
    words: list[str] = pod_of(objects)["containers"][0]["args"]
    return words


def agents_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == "DaemonSet"]
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def config_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(named(objects, "ConfigMap", "falcowatch")["data"]["config.yaml"])
    return loaded


@pytest.fixture(scope="module")
def case(helm: Runner) -> list[dict[str, Any]]:
    return rendered(helm, "--values", CASE)


def test_there_is_no_audit_unless_it_is_enabled(helm: Runner):
    objects = rendered(helm)

    assert not [one for one in objects if one["kind"] == "CronJob" or "audit" in one["metadata"]["name"]]


def test_the_command_is_one_that_the_program_accepts(case: list[dict[str, Any]]):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    command, *words = arguments_of(case)

    options = options_of(parser.parse_args(words), now_ms=100_000_000)

    assert command == "audit"
    assert options.groups == ("/falco/prod",)
    assert options.from_ms == 100_000_000 - 25 * 3_600_000
    assert (options.key_file, options.prometheus) == (
        Path("/etc/falcowatch-audit/key"), "http://prometheus.monitoring:9090",
    )  # fmt: skip
    assert options.accept_running


@pytest.mark.parametrize(
    ("setting", "group"),
    [
        ("clusterName=prod", "/falco/prod"),
        ("config.drain_seconds=20", "falco"),
        ("config.cloudwatch.log_group=/security/falco", "/security/falco"),
        ("audit.groups={/a,/b}", "/a /b"),
    ],
)
def test_the_group_is_the_one_into_which_the_agents_write(helm: Runner, setting: str, group: str):
    words = arguments_of(rendered(helm, "--set", "audit.enabled=true", "--set", setting))

    assert [word.removeprefix("--group=") for word in words if word.startswith("--group=")] == group.split()


def test_a_failed_audit_fails_the_job_at_once(case: list[dict[str, Any]]):
    job = job_of(case)

    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert pod_of(case)["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_pod_mounts_nothing_of_the_host_and_has_no_privilege(case: list[dict[str, Any]]):
    pod = pod_of(case)
    context = pod["containers"][0]["securityContext"]

    assert not [one for one in pod["volumes"] if "hostPath" in one]
    assert pod["automountServiceAccountToken"] is False
    assert (context["runAsUser"], context["runAsNonRoot"], context["readOnlyRootFilesystem"]) == (9801, True, True)
    assert context["capabilities"] == {"drop": ["ALL"]}
    writable = [one["name"] for one in pod["containers"][0]["volumeMounts"] if not one.get("readOnly")]
    assert writable == ["tmp"]


def test_the_audit_has_a_service_account_and_a_role_of_its_own(case: list[dict[str, Any]]):
    account = named(case, "ServiceAccount", "falcowatch-audit")

    assert pod_of(case)["serviceAccountName"] == "falcowatch-audit"
    assert account["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/falcowatch-audit",
        "eks.amazonaws.com/sts-regional-endpoints": "true",
    }


def test_the_audit_does_not_get_the_configuration_or_the_environment_of_the_agents(helm: Runner):
    objects = rendered(
        helm, "--values", CASE, "--set", "env[0].name=AWS_ACCESS_KEY_ID,env[0].value=of-the-agents",
        "--set", "config.cloudwatch.role_arn=arn:aws:iam::123456789012:role/writer",
    )  # fmt: skip
    pod = pod_of(objects)

    assert not [one for one in pod["volumes"] if one.get("configMap", {}).get("name") == "falcowatch"]
    assert [one["name"] for one in pod["containers"][0]["env"]] == ["FALCOWATCH_CLOUDWATCH__REGION", "HTTPS_PROXY"]


def test_the_pods_of_the_audit_are_not_selected_as_agents(case: list[dict[str, Any]]):
    labels = job_of(case)["template"]["metadata"]["labels"]
    service = named(case, "Service", "falcowatch")["spec"]["selector"]
    policy = named(case, "NetworkPolicy", "falcowatch-audit")["spec"]

    assert not service.items() <= labels.items()
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["ingress"] == []
    assert [rule["ports"][0]["port"] for rule in policy["egress"]] == [53, 443, 80, 9090]


@pytest.mark.parametrize(
    ("url", "port"), [("https://prometheus.example/x", 443), ("http://p.example", 80), ("http://[fd00::1]:9090", 9090)]
)
def test_the_network_policy_opens_the_port_of_prometheus(helm: Runner, url: str, port: int):
    objects = rendered(helm, "--values", CASE, "--set", f"audit.prometheus={url}")

    assert named(objects, "NetworkPolicy", "falcowatch-audit")["spec"]["egress"][-1]["ports"][0]["port"] == port


def test_a_long_name_leaves_room_for_the_names_of_the_jobs(helm: Runner):
    objects = rendered(helm, "--values", CASE, "--set", f"fullnameOverride={'n' * 60}")
    (name,) = [one["metadata"]["name"] for one in objects if one["kind"] == "CronJob"]

    assert len(name) == 52
    assert name.endswith("-audit")
    (rule,) = [one for one in objects if one["kind"] == "PrometheusRule"]
    assert f'job_name=~"{name}-.+"' in json.dumps(rule).replace("\\", "")


def test_the_secret_of_the_seals_is_mounted_where_the_configuration_names_it(case: list[dict[str, Any]]):
    agents = agents_of(case)
    (volume,) = [one["secret"] for one in agents["volumes"] if "secret" in one]
    (mount,) = [one for one in agents["containers"][0]["volumeMounts"] if one["name"] == "seal-key"]

    assert config_of(case)["seal"] == {"key_file": f"{mount['mountPath']}/key"}
    assert volume["secretName"] == "falcowatch-seal"
    assert volume["items"] == [{"key": "key", "path": "key"}]
    assert volume["optional"] is True, "the Secret is to be removed after the first start"
    assert volume["defaultMode"] == 0o440
    assert mount["readOnly"] is True


def test_the_auditors_copy_of_the_key_is_not_on_the_nodes_of_the_agents(case: list[dict[str, Any]]):
    assert "falcowatch-auditor" not in str(agents_of(case))
    assert "falcowatch-seal" not in str(pod_of(case))


def test_a_key_of_kms_is_set_in_the_configuration(helm: Runner):
    objects = rendered(helm, "--set", "seal.kmsKeyId=alias/seals,audit.enabled=true,audit.kmsKeyId=alias/seals")

    assert config_of(objects)["seal"] == {"kms_key_id": "alias/seals"}
    assert not [one for one in agents_of(objects)["volumes"] if "secret" in one]
    assert "--kms=alias/seals" in arguments_of(objects)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("seal: {secretName: a, kmsKeyId: b}", "seal.secretName and seal.kmsKeyId are both set"),
        (
            "{seal: {secretName: a}, config: {seal: {key_file: /x}}}",
            "seal.secretName (a) and config.seal.key_file (/x) are both set",
        ),
        (
            "{seal: {secretName: a}, config: {seal: {kms_key_id: b}}}",
            "seal.secretName (a) and config.seal.kms_key_id (b) are both set",
        ),
        (
            "{seal: {kmsKeyId: a}, config: {seal: {key_file: /x}}}",
            "seal.kmsKeyId (a) and config.seal.key_file (/x) are both set",
        ),
        (
            "{seal: {kmsKeyId: a}, config: {seal: {kms_key_id: b}}}",
            "seal.kmsKeyId (a) and config.seal.kms_key_id (b) differ",
        ),
        ("{seal: {kmsKeyId: a}, config: {seal: {enabled: false}}}", "config.seal.enabled is false"),
        ("{audit: {enabled: true}, config: {seal: {enabled: false}}}", "the agents send no seals"),
        ("{audit: {enabled: true}, config: {heartbeat_seconds: 0}}", "the agents send no seals"),
        (
            "audit: {enabled: true, keySecretName: a, kmsKeyId: b}",
            "audit.keySecretName and audit.kmsKeyId are both set",
        ),
        ("audit: {enabled: true, serviceAccount: {create: false}}", "audit.serviceAccount.name must name an existing"),
        (
            "audit: {enabled: true, serviceAccount: {name: falcowatch}}",
            "audit.serviceAccount.name (falcowatch) is the service account of the agents",
        ),
        ("{audit: {enabled: true}, existingConfigMap: mine}", "set audit.groups"),
        (
            "{audit: {enabled: true}, env: [{name: FALCOWATCH_CLUSTER_NAME, value: prod}]}",
            "env sets FALCOWATCH_CLUSTER_NAME, so the chart does not know the log group; set audit.groups",
        ),
        (
            '{audit: {enabled: true}, config: {cloudwatch: {log_group: "/x/{namespace}"}}}',
            "config.cloudwatch.log_group (/x/{namespace}) names more than one log group; set audit.groups",
        ),
        ("audit: {enabled: true, since: 1 day}", "/audit/since"),
        ("audit: {enabled: true, schedule: nightly}", "/audit/schedule"),
        ("audit: {enabled: true, tmpSize: much}", "/audit/tmpSize"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_the_fix(helm: Runner, tmp_path: Path, values: str, words: str):
    assert words in error_of(helm, tmp_path, values)
