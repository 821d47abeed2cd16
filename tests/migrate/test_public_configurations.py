"""Configurations of the kind that people have, from public sources. Each file names its source."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.migrate.conftest import DATA


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()))
def test_every_example_becomes_a_valid_configuration_with_a_sentence_for_each_option(migrate_example, name):
    result = migrate_example(name)

    assert "does not know the option" not in result.text
    assert max(map(len, result.text.splitlines())) < 160


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()))
def test_every_comment_is_a_whole_sentence(migrate_example, name):
    lines = [*migrate_example(name).text.splitlines(), ""]
    ends = [
        line for line, after in pairwise(lines) if line.startswith(("# - ", "#   ")) and not after.startswith("#   ")
    ]

    assert [line for line in ends if not line.endswith((".", "…"))] == []


def test_the_configuration_of_the_article(migrate_example):
    result = migrate_example("article-configmap.yaml")

    assert result.settings == {
        "cloudwatch.region": "ap-south-1",
        "cloudwatch.log_group": "falco",
        "cloudwatch.log_stream": "alerts",
    }
    assert "fluent-bit.conf:6: the path names no namespace" in result.todo
    assert "fluent-bit.conf:17: decide on cloudwatch.log_stream" in result.todo
    for fact in (
        "DB /var/log/flb_falco.db: The position is saved when a line is read, not when it is delivered",
        "Parser falco: On a node with containerd, a JSON parser does not match",
        "5 seconds after a rotation (the default of Rotate_Wait)",
        "Retry_Limit is 1 by default. After 1 retry, within 10 seconds, a chunk with all its alerts is dropped",
        "An event over 256 KiB is cut",
    ):
        assert fact in result.lost


def test_the_defaults_of_the_chart_aws_for_fluent_bit(migrate_example):
    result = migrate_example("aws-for-fluent-bit.conf")

    assert result.settings == {
        "cloudwatch.region": "us-east-1",
        "cloudwatch.log_group": "/aws/eks/fluentbit-cloudwatch/workload/{namespace}",
        "cloudwatch.log_stream": "fluentbit-{node}",
    }
    assert "gets the logs of all containers" in result.todo
    assert "Anyone who may annotate Falco's pod can silence it" in result.lost
    assert "A pod whose JSON is larger than 32k gets no metadata" in result.lost
    assert "log_group_template takes its place" in result.says("log_group_name /aws/eks/fluentbit-cloudwatch/logs")


def test_container_insights_as_kubectl_prints_it(migrate_example):
    result = migrate_example("container-insights.yaml", CLUSTER_NAME="prod", HOST_NAME="this-machine")

    assert result.settings == {
        "cluster_name": "prod",
        "enrich.labels": [],
        "cloudwatch.log_group": "/aws/containerinsights/{cluster}/application",
    }
    assert "application-log.conf:11: Rotate_Wait 30: 30 seconds after a rotation" in result.lost
    assert "nodes/proxy" in result.says("Use_Kubelet On")
    assert "one stream a node" in result.says("log_stream_prefix ${HOST_NAME}-")
    for other in (
        "application-log.conf:15: [INPUT] tail: its path does not match Falco's files",
        "host-log.conf:1: [INPUT] systemd: it does not read log files of containers",
        "host-log.conf:18: [OUTPUT] cloudwatch_logs: Falco's tag does not match",
    ):
        assert other in result.left


def test_container_insights_without_the_name_of_the_cluster(migrate_example):
    result = migrate_example("container-insights.yaml")

    assert result.settings["cluster_name"] == "name-of-the-cluster"
    assert "Put the name of the cluster in the place of 'name-of-the-cluster'" in result.todo


def test_the_upstream_chart_has_no_output_for_cloudwatch(migrate_example):
    result = migrate_example("upstream-chart.yaml")

    assert result.settings == {}
    assert "the output 'es' gets Falco's alerts, too" in result.todo
    assert "No CloudWatch output gets Falco's alerts" in result.todo
    assert "Without DB, Fluent Bit starts at the end of each file after every restart" in result.lost


def test_a_pipeline_in_the_yaml_format(migrate_example):
    result = migrate_example("pipeline.yaml")

    assert result.settings == {
        "cluster_name": "prod",
        "drain_seconds": 60,
        "tail.namespace": "falco-system",
        "falco.minimum_priority": "warning",
        "falco.drop_rules": ["Contact K8S API Server From Container"],
        "cloudwatch.region": "eu-central-1",
        "cloudwatch.role_arn": "arn:aws:iam::123456789012:role/logs",
        "cloudwatch.external_id": "17",
        "cloudwatch.log_group": "/security/falco",
        "cloudwatch.log_stream": "falco-{node}",
        "cloudwatch.retention_days": 90,
        "cloudwatch.log_class": "INFREQUENT_ACCESS",
        "log.level": "debug",
    }
    assert "Falco's own notices that it lost system calls" in result.lost
    assert result.lost.count("whose parts arrive more than 4 seconds apart") == 1
    assert "external_id •••" in result.text
