"""cfn-lint and moto accept the stack, and its metric filters match the right events."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.local.emulator.patterns import matcher
from agent.settings import Settings
from tests.deploy.cloudformation import Stack
from tests.deploy.insights import selects

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
def metrics_stack() -> Stack:
    return Stack(STACK, AgentIdentity="none", AlertAlarms="metrics")


def metrics_of(stack: Stack, event: dict[str, str]) -> set[str]:
    """Returns the metrics that count an event, evaluated by the filter patterns of the embedded CloudWatch."""
    found = set()
    for properties in stack.of_type("AWS::Logs::MetricFilter").values():
        matches = matcher(properties["FilterPattern"])
        if matches is None or matches(orjson.dumps(event)):
            found.add(properties["MetricTransformations"][0]["MetricName"])
    return found


def cfn_lint(template: Path, *regions: str) -> tuple[int, str]:
    tool = Path(sys.executable).with_name("cfn-lint")
    if not tool.exists() and not shutil.which("cfn-lint"):
        pytest.skip("cfn-lint is not installed: pip install cfn-lint")
    command = [tool if tool.exists() else "cfn-lint", "--regions", *regions, "--", template]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout


def test_cfn_lint_finds_nothing():
    assert cfn_lint(STACK, "ap-south-1", "us-east-1", "eu-west-1") == (0, "")


def test_the_template_is_small_enough_to_be_deployed_without_an_s3_bucket():
    assert len(STACK.read_bytes()) <= 51_200  # CloudFormation quotas, "Template body size in a request", read 2026-11


def test_the_trimmed_stack_is_valid_in_regions_without_log_alarms(tmp_path: Path):
    command = [sys.executable, "-I", "-S", "tools/trim_stack.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    template = tmp_path / "stack.yaml"
    template.write_text(done.stdout)

    assert cfn_lint(template, "us-gov-west-1", "cn-north-1", "us-east-1") == (0, "")
    assert Stack(template, AgentIdentity="none").resources.keys() == metrics_resources()


def metrics_resources() -> set[str]:
    return set(Stack(STACK, AgentIdentity="none", AlertAlarms="metrics").resources)


def test_the_stack_can_use_a_group_that_the_agent_made():
    stack = Stack(STACK, AgentIdentity="none", ExistingLogGroup="/falco/made")
    others = {
        group
        for properties in stack.resources.values()
        for group in re.findall(r"/falco/[\w-]+", json.dumps(properties))
    }

    assert "LogGroup" not in stack.resources
    assert others == {"/falco/made"}


def test_the_group_has_indexes_on_the_fields_of_the_queries_and_belongs_to_a_data_source(stack: Stack):
    group = stack.resources["LogGroup"]

    (index,) = group["FieldIndexPolicies"]
    assert set(index["Fields"]) >= {"rule", "priority", "hostname", "falcowatch.node", "kubernetes.pod_name"}
    assert len(index["Fields"]) <= 20
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]} == {
        "cw:datasource:name": "falco",
        "cw:datasource:type": "alerts",
    }


def test_anomalies_and_rankings_are_off_until_a_parameter_turns_them_on(stack: Stack):
    extra = Stack(STACK, AgentIdentity="none", AnomalyDetection="true", ContributorInsights="true")

    assert extra.resources.keys() - stack.resources.keys() == {"AnomalyDetector", "TopRulesRanking", "TopPodsRanking"}
    for rule in extra.of_type("AWS::CloudWatch::InsightRule").values():
        body = json.loads(rule["RuleBody"])
        assert body["LogGroupNames"] == ["/falco/eks-managed-cluster"]
        assert 1 <= len(body["Contribution"]["Keys"]) <= 4
    (pattern,) = [one["FilterPattern"] for one in extra.of_type("AWS::Logs::LogAnomalyDetector").values()]
    matches = matcher(pattern)
    assert matches is not None
    assert [matches(orjson.dumps(event)) for event in (ALERT, HEARTBEAT, SNAPSHOT)] == [True, False, False]


@pytest.mark.parametrize("name", ["AnomalyDetection", "ContributorInsights", "AlertAlarms", "LateAlertSeconds"])
def test_a_parameter_that_costs_money_says_so(stack: Stack, name: str):
    assert re.search(r"bills|charge|costs", stack.template["Parameters"][name]["Description"])


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ALERT, {"Critical", "Urgent", "AnyAlert"}),
        (MKDIR, {"Error", "AnyAlert"}),
        (DROP, {"SyscallDrop"}),
        (SNAPSHOT, set()),
        (BANNER, set()),
        (HEARTBEAT, {"Heartbeat"}),
        (OLDER_HEARTBEAT, {"Heartbeat"}),
        (HEARTBEAT_WITH_REJECTS, {"Heartbeat", "HeartbeatWithRejects"}),
        (own("gap", "Critical"), {"Gap"}),
        (own("Falco is silent", "Critical"), {"FalcoTrouble"}),
        (own("Falco vanished", "Critical"), {"FalcoTrouble"}),
        (own("Falco restarted", "Critical"), {"FalcoTrouble"}),
        (own("no Falco", "Critical"), {"FalcoTrouble"}),
        (own("dead letter lost", "Critical"), {"AgentTrouble"}),
        (own("enrichment down", "Critical"), {"AgentTrouble"}),
        (own("an event of a later version", "Critical"), {"AgentTrouble"}),
        (own("storm", "Warning"), set()),
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


TOPIC = "arn:aws:made-up:ap-south-1:123456789012:Topic"


def metric_of(alarm: dict[str, Any]) -> tuple[str, str]:
    """Returns namespace and name of the metric of an alarm, also of an alarm on an expression over one metric."""
    metric = alarm["Metrics"][0]["MetricStat"]["Metric"] if "Metrics" in alarm else alarm
    return metric["Namespace"], metric["MetricName"]


def test_every_alarm_uses_an_existing_metric_and_notifies_the_topic(stack: Stack, metrics_stack: Stack):
    made = {
        (one["MetricTransformations"][0]["MetricNamespace"], one["MetricTransformations"][0]["MetricName"])
        for one in stack.of_type("AWS::Logs::MetricFilter").values()
    }

    for each in (stack, metrics_stack):
        for name, alarm in each.of_type("AWS::CloudWatch::Alarm").items():
            assert metric_of(alarm) in made, name
            assert alarm["AlarmActions"] == [TOPIC], name
        for name, alarm in each.of_type("AWS::CloudWatch::LogAlarm").items():
            assert alarm["AlarmActions"] == [TOPIC], name


def test_every_metric_about_trouble_has_an_alarm(stack: Stack):
    alarms = {metric_of(alarm)[1] for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()}

    assert alarms == {"SyscallDrop", "FalcoTrouble", "AgentTrouble", "HeartbeatWithRejects", "Gap"}


def test_without_log_alarms_metric_alarms_watch_the_same(stack: Stack, metrics_stack: Stack):
    by_lines, by_metrics = stack.resources.keys(), metrics_stack.resources.keys()

    assert by_lines - by_metrics - {"EmailSubscription"} == {
        "LogAlarmRole",
        "AnyAlertLogAlarm",
        "UrgentLogAlarm",
        "NodeSilentLogAlarm",
    }
    assert by_metrics - by_lines == {"AnyAlertAlarm", "CriticalAlarm", "AgentSilentAlarm"}


@pytest.mark.parametrize(("alarm", "metric"), [("AnyAlertLogAlarm", "AnyAlert"), ("UrgentLogAlarm", "Urgent")])
@pytest.mark.parametrize(
    "event", [ALERT, MKDIR, DROP, SNAPSHOT, BANNER, HEARTBEAT, own("gap", "Critical")], ids=lambda one: str(one)[:60]
)
def test_a_log_alarm_selects_the_events_that_the_metric_counts(
    stack: Stack, alarm: str, metric: str, event: dict[str, str]
):
    query = stack.resources[alarm]["ScheduledQueryConfiguration"]["QueryString"]

    assert selects(query, event) == (metric in metrics_of(stack, event))


@pytest.mark.parametrize("alarm", ["AnyAlertLogAlarm", "UrgentLogAlarm"])
def test_a_log_alarm_sees_a_late_alert_once_and_puts_its_line_into_the_mail(stack: Stack, alarm: str):
    properties = stack.resources[alarm]
    query = properties["ScheduledQueryConfiguration"]
    minutes = int(re.findall(r"rate\((\d+) minute", query["ScheduleConfiguration"]["ScheduleExpression"])[0])
    late = ALERT | {"time": "2020-01-01T00:00:00.000000000Z"}

    assert selects(query["QueryString"], late, ingested_at=time.time() - 60 * minutes - 90)
    assert not selects(query["QueryString"], late, ingested_at=time.time() - 60 * minutes - 150)
    assert properties["ActionLogLineCount"] > 0
    assert properties["ActionLogLineRoleArn"] == query["ScheduledQueryRoleARN"] == "LogAlarmRole.Arn"
    assert query["ScheduleConfiguration"]["StartTimeOffset"] == 3600
    assert query["AggregationExpression"] == "count(*)"


def test_one_dead_node_of_many_raises_the_log_alarm():
    stack = Stack(STACK, AgentIdentity="none", ExpectedNodes="100")
    alarm = stack.resources["NodeSilentLogAlarm"]
    query = alarm["ScheduledQueryConfiguration"]
    window = query["ScheduleConfiguration"]["StartTimeOffset"]
    heartbeats = Settings().heartbeat_seconds

    nodes = {f"node-{number}" for number in range(99)}  # the hundredth node sends nothing

    assert query["AggregationExpression"] == "count_distinct(falcowatch.node)"
    assert alarm["ComparisonOperator"] == "LessThanThreshold"
    assert len(nodes) < int(alarm["Threshold"])
    assert alarm["TreatMissingData"] == "breaching"
    assert selects(query["QueryString"], HEARTBEAT)
    assert not selects(query["QueryString"], ALERT)
    assert 2 * heartbeats < window <= 11 * 60, "a node may lose one heartbeat; the guide promises 13 minutes"


def test_one_dead_node_of_many_raises_the_metric_alarm():
    stack = Stack(STACK, AgentIdentity="none", ExpectedNodes="100", AlertAlarms="metrics")
    alarm = stack.resources["AgentSilentAlarm"]
    heartbeats, nodes = alarm["Metrics"]
    per_node = heartbeats["MetricStat"]["Period"] / Settings().heartbeat_seconds

    def fires(sent: int) -> bool:
        return math.ceil(sent / 3) < int(alarm["Threshold"])

    assert per_node == 3
    assert nodes["Expression"] == "CEIL(heartbeats / 3)"
    assert not fires(100 * 3)
    assert not fires(100 * 3 - 1), "one heartbeat may be late"
    assert fires(99 * 3)


def test_the_alarm_of_the_walk_sums_over_five_minutes_with_threshold_one(metrics_stack: Stack):
    alarm = metrics_stack.resources["AnyAlertAlarm"]

    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Sum", 1, 300, 1)


def test_the_alarm_of_the_walk_can_count_all_log_events():
    stack = Stack(STACK, AgentIdentity="none", AnyAlertCounts="log-events")

    alarm = stack.resources["AnyEventAlarm"]

    assert not {"AnyAlertAlarm", "AnyAlertLogAlarm"} & stack.resources.keys()
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Logs", "IncomingLogEvents")
    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == ("Sum", 1, 300, 1)


def test_only_the_alarms_on_silent_nodes_fire_without_data(stack: Stack, metrics_stack: Stack):
    alarms = {
        name: alarm
        for each in (stack, metrics_stack)
        for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::LogAlarm")
        for name, alarm in each.of_type(kind).items()
    }

    breaching = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}

    assert breaching == {"AgentSilentAlarm", "NodeSilentLogAlarm"}


def test_the_infrequent_access_class_replaces_metric_filters_by_incoming_events():
    stack = Stack(STACK, AgentIdentity="none", LogClass="INFREQUENT_ACCESS")

    assert stack.of_type("AWS::Logs::MetricFilter") == stack.of_type("AWS::CloudWatch::LogAlarm") == {}
    assert stack.resources["LogGroup"]["FieldIndexPolicies"] == []
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    assert {(one["Namespace"], one["MetricName"]) for one in alarms.values()} == {("AWS/Logs", "IncomingLogEvents")}
    assert alarms["AnyEventAlarm"]["Dimensions"] == [{"Name": "LogGroupName", "Value": "/falco/eks-managed-cluster"}]


def test_the_default_log_group_is_the_default_of_the_agent(stack: Stack):
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
    # moto does not support NoValue in a list, hence the two Allow parameters. It ignores filters, alarms and queries.
    parameters = {
        "ClusterName": f"cluster-{identity}",
        "AgentIdentity": identity,
        "AllowExactResume": "true",
        "AllowDriftReport": "true",
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


def test_moto_accepts_every_filter_alarm_subscription_and_the_dashboard(aws: Any):
    stack = Stack(STACK, AgentIdentity="none", AlertAlarms="metrics", Email="security@example.com")
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
    assert len(filters) == len(stack.of_type("AWS::Logs::MetricFilter")) == 16
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == len(stack.of_type("AWS::CloudWatch::Alarm")) == 8
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["Endpoint"] == "security@example.com"
    assert cloudwatch.list_dashboards()["DashboardEntries"][0]["DashboardName"] == "Falco"
