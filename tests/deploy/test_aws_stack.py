"""cfn-lint and moto accept the stack, and its metric filters match the right events."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import orjson
import pytest
from moto.server import ThreadedMotoServer

from agent.local.emulator.patterns import matcher
from tests.deploy.cloudformation import Stack

ROOT = Path(__file__).parents[2]
STACK = ROOT / "manifests/aws/stack.yaml"

ALERT = {"priority": "Critical", "rule": "Drop and execute new binary in container", "source": "syscall", "output": "…"}
MKDIR = {"priority": "Error", "rule": "Mkdir binary dirs", "source": "syscall", "output": "…"}
DROP = {"priority": "Debug", "rule": "Falco internal: syscall event drop", "source": "internal", "output": "…"}
SNAPSHOT = {
    "priority": "Informational",
    "rule": "Falco internal: metrics snapshot",
    "source": "internal",
    "output": "…",
}
BANNER = {"log": "Falco initialized with configuration files:", "stream": "stderr"}


def own(rule: str, priority: str = "Informational", output: str = "") -> dict[str, str]:
    """Returns an event that the agent reports about itself."""
    return {"priority": priority, "rule": f"Falcowatch: {rule}", "source": "falcowatch", "output": output}


HEARTBEAT = own("heartbeat", output="read 12, shipped 12, filtered 0, rejected 0, in flight 0")
OLDER_HEARTBEAT = own("heartbeat", output="read 12, shipped 12, in flight 0")
HEARTBEAT_WITH_REJECTS = own("heartbeat", output="read 32, shipped 12, filtered 0, rejected 20, in flight 0")


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack(STACK, AgentIdentity="none", Email="security@example.com")


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """A function that returns a client of an AWS service. The clients talk to a local moto server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    session = botocore.session.get_session()

    def client(service: str) -> Any:
        return session.create_client(
            service,
            region_name="ap-south-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="made-up",
        )

    yield client
    server.stop()


def metrics_of(stack: Stack, event: dict[str, str]) -> set[str]:
    """Returns the metrics that count an event, evaluated by the filter patterns of the embedded CloudWatch."""
    found = set()
    for properties in stack.of_type("AWS::Logs::MetricFilter").values():
        matches = matcher(properties["FilterPattern"])
        if matches is None or matches(orjson.dumps(event)):
            found.add(properties["MetricTransformations"][0]["MetricName"])
    return found


def test_cfn_lint_finds_nothing():
    tool = Path(sys.executable).with_name("cfn-lint")
    if not tool.exists() and not shutil.which("cfn-lint"):
        pytest.skip("cfn-lint is not installed: pip install cfn-lint")
    command = [tool if tool.exists() else "cfn-lint", "--regions", "ap-south-1", "us-east-1", "eu-west-1", "--", STACK]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ALERT, {"Critical", "Urgent", "AnyAlert"}),
        (MKDIR, {"Error", "AnyAlert"}),
        (DROP, {"Debug", "SyscallDrop"}),
        (SNAPSHOT, {"Informational"}),
        (BANNER, set()),
        (HEARTBEAT, {"Heartbeat"}),
        (OLDER_HEARTBEAT, {"Heartbeat"}),
        (HEARTBEAT_WITH_REJECTS, {"Heartbeat", "HeartbeatWithRejects"}),
        (own("gap", "Critical"), {"Gap"}),
        (own("Falco is silent", "Critical"), {"FalcoSilent"}),
        (own("Falco vanished", "Critical"), {"FalcoSilent"}),
        (own("Falco is back", "Notice"), set()),
    ],
    ids=lambda value: value.get("rule", "banner") if isinstance(value, dict) else "",
)
def test_each_event_counts_in_the_right_metrics(stack: Stack, event: dict[str, str], expected: set[str]):
    assert metrics_of(stack, event) == expected


def test_there_is_a_metric_for_every_priority(stack: Stack):
    from agent.settings.model import PRIORITIES

    names = {one["MetricTransformations"][0]["MetricName"] for one in stack.of_type("AWS::Logs::MetricFilter").values()}

    assert {priority.capitalize() for priority in PRIORITIES} <= names


def test_every_alarm_uses_an_existing_metric_and_notifies_the_topic(stack: Stack):
    made = {
        (one["MetricTransformations"][0]["MetricNamespace"], one["MetricTransformations"][0]["MetricName"])
        for one in stack.of_type("AWS::Logs::MetricFilter").values()
    }

    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        assert (alarm["Namespace"], alarm["MetricName"]) in made, name
        assert alarm["AlarmActions"] == ["arn:aws:made-up:ap-south-1:123456789012:Topic"], name


def test_the_alarm_of_the_walk_sums_over_five_minutes_with_threshold_one(stack: Stack):
    alarm = stack.resources["AnyAlertAlarm"]

    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Sum", 1, 300, 1)


def test_the_alarm_of_the_walk_can_count_all_log_events():
    stack = Stack(STACK, AgentIdentity="none", AnyAlertCounts="log-events")

    alarm = stack.resources["AnyEventAlarm"]

    assert "AnyAlertAlarm" not in stack.resources
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Logs", "IncomingLogEvents")
    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Sum", 1, 300, 1)


def test_only_the_heartbeat_alarm_fires_without_data(stack: Stack):
    alarms = stack.of_type("AWS::CloudWatch::Alarm")

    breaching = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}

    assert breaching == {"AgentSilentAlarm"}


def test_the_infrequent_access_class_replaces_metric_filters_by_incoming_events():
    stack = Stack(STACK, AgentIdentity="none", LogClass="INFREQUENT_ACCESS")

    assert stack.of_type("AWS::Logs::MetricFilter") == {}
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    assert {(one["Namespace"], one["MetricName"]) for one in alarms.values()} == {("AWS/Logs", "IncomingLogEvents")}
    assert alarms["AnyEventAlarm"]["Dimensions"] == [{"Name": "LogGroupName", "Value": "/falco/eks-managed-cluster"}]


def test_the_default_log_group_is_the_default_of_the_agent(stack: Stack):
    from agent.settings import Settings

    template = Settings(cluster_name="eks-managed-cluster").log_group_template

    assert stack.resources["LogGroup"]["LogGroupName"] == template.format(cluster="eks-managed-cluster")


def test_only_retentions_that_cloudwatch_offers_can_be_chosen(stack: Stack):
    from agent.settings.model import RETENTION_DAYS

    assert tuple(stack.template["Parameters"]["RetentionDays"]["AllowedValues"]) == RETENTION_DAYS


def test_both_queries_of_the_walk_are_saved_and_on_the_dashboard(stack: Stack):
    saved = {one["Name"]: one["QueryString"] for one in stack.of_type("AWS::Logs::QueryDefinition").values()}
    body = json.loads(stack.resources["Dashboard"]["DashboardBody"])
    widgets = {one["properties"]["title"]: one for one in body["widgets"]}

    assert stack.resources["Dashboard"]["DashboardName"] == "Falco"
    assert body["start"] == "-PT3H"
    for rule in ("Mkdir binary dirs", "Read sensitive file untrusted"):
        assert f'rule = "{rule}"' in saved[f"Falco/eks-managed-cluster/{rule}"]
        assert widgets[rule]["type"] == "log"
        assert "SOURCE '/falco/eks-managed-cluster'" in widgets[rule]["properties"]["query"]


def test_widgets_of_the_dashboard_do_not_overlap_and_fit_the_grid(stack: Stack):
    cells: set[tuple[int, int]] = set()
    for widget in json.loads(stack.resources["Dashboard"]["DashboardBody"])["widgets"]:
        mine = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not mine & cells, widget["properties"]["title"]
        assert widget["x"] + widget["width"] <= 24
        cells |= mine


@pytest.mark.filterwarnings(
    "ignore:Tried to parse AWS:UserWarning"
)  # moto warns about resources that it does not support
@pytest.mark.parametrize("identity", ["none", "irsa", "pod-identity"])
def test_moto_deploys_the_stack(aws: Any, identity: str):
    # moto does not support NoValue in a list, hence AllowExactResume. It ignores filters, alarms and queries.
    parameters = {
        "ClusterName": f"cluster-{identity}",
        "AgentIdentity": identity,
        "AllowExactResume": "true",
        "OidcProvider": "oidc.eks.ap-south-1.amazonaws.com/id/ABC123",
    }
    cloudformation = aws("cloudformation")

    cloudformation.create_stack(
        StackName=f"falcowatch-{identity}",
        TemplateBody=STACK.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    described = cloudformation.describe_stacks(StackName=f"falcowatch-{identity}")["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    assert outputs["LogGroupName"] == f"/falco/cluster-{identity}"
    groups = aws("logs").describe_log_groups(logGroupNamePrefix=outputs["LogGroupName"])["logGroups"]
    assert groups[0]["retentionInDays"] == 90
    assert ("AgentRoleArn" in outputs) == (identity == "irsa")


def test_moto_accepts_every_filter_alarm_subscription_and_the_dashboard(aws: Any, stack: Stack):
    logs, cloudwatch, sns = aws("logs"), aws("cloudwatch"), aws("sns")
    group = stack.resources["LogGroup"]["LogGroupName"]
    logs.create_log_group(logGroupName=group)
    topic = sns.create_topic(Name="falcowatch")["TopicArn"]

    for properties in stack.of_type("AWS::Logs::MetricFilter").values():
        logs.put_metric_filter(
            logGroupName=properties["LogGroupName"],
            filterName=properties["FilterName"],
            filterPattern=properties["FilterPattern"],
            metricTransformations=[
                {key[0].lower() + key[1:]: value for key, value in one.items()}
                for one in properties["MetricTransformations"]
            ],
        )
    for name, properties in stack.of_type("AWS::CloudWatch::Alarm").items():
        actions = {key: [topic] for key in ("AlarmActions", "OKActions") if key in properties}
        cloudwatch.put_metric_alarm(
            **{**properties, **actions, "Threshold": float(properties["Threshold"])}, AlarmName=name
        )
    subscription = stack.resources["EmailSubscription"]
    sns.subscribe(TopicArn=topic, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
    cloudwatch.put_dashboard(**stack.resources["Dashboard"])

    filters = logs.describe_metric_filters(logGroupName=group, limit=50)["metricFilters"]
    assert len(filters) == len(stack.of_type("AWS::Logs::MetricFilter")) == 15
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == len(stack.of_type("AWS::CloudWatch::Alarm")) == 7
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["Endpoint"] == "security@example.com"
    assert cloudwatch.list_dashboards()["DashboardEntries"][0]["DashboardName"] == "Falco"
