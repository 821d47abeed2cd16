"""`helm template` fails for wrong values, and the message names the key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.conftest import Runner
from tools.chart.generate import CHART


def error_of(helm: Runner, tmp_path: Path, values: str) -> str:
    path = tmp_path / "values.yaml"
    path.write_text(values)
    done = helm("template", "falcowatch", CHART, "--values", path)
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ("clustername: prod", "clustername"),
        ("image: {repo: mine}", "repo"),
        ("config: {tail: {namespce: falco}}", "namespce"),
        ("config: {cloud_watch: {}}", "cloud_watch"),
        ("config: {node_name: mine}", "node_name"),
        ("serviceMonitor: {enable: true}", "enable"),
        ("probes: {liveness: {httpGet: {}}}", "httpGet"),
    ],
)
def test_an_unknown_key_is_named(helm, tmp_path, values, key):
    message = error_of(helm, tmp_path, values)

    # Helm 4: additional properties 'x' not allowed; Helm 3: Additional property x is not allowed.
    assert re.search(rf"additional propert(ies '{key}'|y {key} is) not allowed", message, re.IGNORECASE)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ("config: {drain_seconds: soon}", "/config/drain_seconds"),
        ("config: {memory_budget_bytes: 16 pounds}", "/config/memory_budget_bytes"),
        ("config: {http: {port: 98010}}", "/config/http/port"),
        ("config: {memory_budget_bytes: 16M}", "/config/memory_budget_bytes"),
        ("config: {memory_budget_bytes: 1024}", "/config/memory_budget_bytes"),
        ("config: {tail: {paths: /var/log/falco.log}}", "/config/tail/paths"),
        ("config: {falco: {minimum_priority: severe}}", "/config/falco/minimum_priority"),
        ("config: {cloudwatch: {retention_days: 31}}", "/config/cloudwatch/retention_days"),
        ('config: {cloudwatch: {log_group: "/falco/{pod}"}}', "/config/cloudwatch/log_group"),
        ("config: {cloudwatch: {create: 'yes'}}", "/config/cloudwatch/create"),
        ("config: {cloudwatch: {endpoint_url: localhost}}", "/config/cloudwatch/endpoint_url"),
        ("image: {digest: latest}", "/image/digest"),
        ("serviceAccount: {roleArn: falcowatch}", "/serviceAccount/roleArn"),
        ("terminationGracePeriodSeconds: 1m", "/terminationGracePeriodSeconds"),
        ("updateStrategy: {rollingUpdate: {maxSurge: 1}}", "/updateStrategy/rollingUpdate/maxSurge"),
        ("region: Mumbai", "/region"),
        ("test: {priority: Severe}", "/test/priority"),
        ("falco: {namespace: Falco_1}", "/falco/namespace"),
    ],
)
def test_a_wrong_type_or_range_is_reported_with_the_path_of_the_key(helm, tmp_path, values, path):
    message = error_of(helm, tmp_path, values)

    # Helm 4: at '/config/http/port': …; Helm 3: config.http.port: …
    assert f"at '{path}': " in message or f"- {path.strip('/').replace('/', '.')}: " in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            "config: {drain_seconds: 60}",
            "config.drain_seconds (60) must be less than terminationGracePeriod",
        ),
        ("config: {drain_seconds: 0h1m}", "config.drain_seconds (0h1m) must be less than terminationGracePeriod"),
        ("terminationGracePeriodSeconds: 20", "config.drain_seconds (30) must be less than"),
        ("{clusterName: a, config: {cluster_name: b}}", "clusterName (a) and config.cluster_name (b) differ"),
        (
            "{region: eu-west-1, config: {cloudwatch: {region: eu-west-2}}}",
            "region (eu-west-1) and config.cloudwatch.region (eu-west-2) differ",
        ),
        ('config: {cloudwatch: {log_group: "/x/{cluster}"}}', "config.cloudwatch.log_group contains {cluster}"),
        ("config: {http: {port: 0}}", "config.http.port (0)"),
        ("config: {http: {host: 127.0.0.1}}", "config.http.host (127.0.0.1)"),
        (
            "env: [{name: FALCOWATCH_DRAIN_SECONDS, value: '90'}]",
            "set config.drain_seconds instead of FALCOWATCH_DRAIN_SECONDS",
        ),
        ("env: [{name: FALCOWATCH_HTTP__PORT, value: '1'}]", "set config.http.port instead of FALCOWATCH_HTTP__PORT"),
        ("{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "would scrape each agent twice"),
        (
            "{serviceMonitor: {enabled: true}, service: {enabled: false}}",
            "requires service.enabled",
        ),
        ("serviceAccount: {create: false}", "serviceAccount.name must name an existing service account"),
        (
            'config: {tail: {namespace: "falco-*"}}',
            'test.namespace: no valid name can be derived from the glob "falco-*"',
        ),
        ("test: {podName: probe}", "test.podName (probe) does not match the glob falco-*"),
        ("test: {namespace: default}", "test.namespace (default) does not match the glob falco"),
        (
            "{config: {falco: {minimum_priority: error}}, test: {priority: Notice}}",
            "test.priority (Notice) is below config.falco.minimum_priority (error)",
        ),
        (
            "{falco: {namespace: default}, config: {tail: {namespace: security}}}",
            "falco.namespace (default) and config.tail.namespace (security) differ",
        ),
        (
            '{falco: {namespace: "falco-*"}, test: {enabled: false}, falcoRules: {enabled: true}}',
            'falcoRules.namespace: the glob "falco-*" names no namespace',
        ),
        (
            "env: [{name: FALCOWATCH_TAIL__NAMESPACE, value: default}]",
            "set config.tail.namespace instead of FALCOWATCH_TAIL__NAMESPACE",
        ),
    ],
)
def test_contradicting_values_are_reported_with_the_fix(helm, tmp_path, values, words):
    assert words in error_of(helm, tmp_path, values)


def test_a_namespace_glob_needs_no_test_namespace_if_the_test_is_disabled(helm, tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text('{config: {tail: {namespace: "falco-*"}}, test: {enabled: false}}')

    assert helm("template", "falcowatch", CHART, "--values", path).returncode == 0


def test_a_cluster_name_from_the_environment_is_enough_for_a_template(helm, tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text(
        '{config: {cloudwatch: {log_group: "/x/{cluster}"}}, env: [{name: FALCOWATCH_CLUSTER_NAME, value: prod}]}'
    )

    assert helm("template", "falcowatch", CHART, "--values", path).returncode == 0
