"""The policies allow exactly the AWS calls that the agent makes, for one log group only."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from agent.cloudwatch.client import open_cloudwatch
from agent.core.values import Destination
from tests.deploy.agent_at_work import GROUP, agent_at_work, made_up_credentials
from tests.deploy.cloudformation import Stack
from tools.placeholders import findings

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "manifests/aws/iam-policy.json"
EXTRAS = sorted((ROOT / "manifests/aws").glob("iam-extra-*.json"))
AUDIT = ROOT / "manifests/aws/iam-audit.json"
AUDIT_KMS = ROOT / "manifests/aws/iam-audit-kms.json"
ALL = [POLICY, *EXTRAS, AUDIT, AUDIT_KMS]
STACK = ROOT / "manifests/aws/stack.yaml"

PERMISSION_ONLY = frozenset({"TagResource"})
"""CreateLogGroup with tags needs this permission. The agent never calls it (CreateLogGroup reference, read 2026-11)."""

AUDIT_ONLY = frozenset({"FilterLogEvents"})
"""Only `falcowatch audit` calls it, with the rights of whoever runs the audit and never with those of the agent."""

WITHOUT_GROUP = frozenset({"iam-extra-drift", "iam-extra-seal", "iam-audit-kms"})
"""Policies whose resource is not the log group."""

UNSCOPED = frozenset({"DescribeLogGroups"})
"""CloudWatch checks this permission for all log groups of the account: `log-group::log-stream:`."""


def statements_of(*paths: Path) -> list[dict[str, Any]]:
    return [statement for path in paths for statement in json.loads(path.read_text())["Statement"]]


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """The operations of CloudWatch Logs that the statements allow."""
    found = {action for one in statements for action in one["Action"]}
    return {action.removeprefix("logs:") for action in found if action.startswith("logs:")}


def actions_of_kms(statements: list[dict[str, Any]]) -> set[str]:
    return {action for one in statements for action in one["Action"] if action.startswith("kms:")}


def resources(statement: dict[str, Any]) -> list[str]:
    resource = statement["Resource"]
    return [resource] if isinstance(resource, str) else resource


def stack_statements(**parameters: str) -> list[dict[str, Any]]:
    stack = Stack(STACK, AgentIdentity="none", **parameters)
    statements: list[dict[str, Any]] = stack.resources["AgentPolicy"]["PolicyDocument"]["Statement"]
    return statements


async def operations_of_the_agent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Returns the operations that the agent calls with all options on, according to the embedded CloudWatch."""
    made_up_credentials(monkeypatch)
    options = {"retention_days": 90, "tags": {"team": "security"}, "deletion_protection": True, "log_class": "STANDARD"}
    async with agent_at_work(folder, **options) as at_work:
        # The agent reads events back only after a crash, so the test makes this call itself.
        async with open_cloudwatch(at_work.settings.cloudwatch, user_agent_extra="test") as client:
            stream = Destination(GROUP, f"{at_work.settings.node_name}/urgent")
            assert [message async for _, message in client.read_back(stream, 0, 1 << 42)]
            await client.drift(GROUP)
        return at_work.cloudwatch.requests.operations()


async def test_the_policy_covers_exactly_the_calls_of_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    called = await operations_of_the_agent(tmp_path, monkeypatch)

    assert actions(statements_of(POLICY, *EXTRAS)) == called | PERMISSION_ONLY


def test_the_policy_without_extras_allows_only_to_ship():
    assert actions(statements_of(POLICY)) == {"PutLogEvents", "CreateLogStream"}


def test_each_optional_permission_is_in_a_file_of_its_own():
    found = {path.stem: sorted(actions(statements_of(path))) for path in EXTRAS if not path.stem.endswith("seal")}

    assert found == {
        "iam-extra-create": ["CreateLogGroup", "TagResource"],
        "iam-extra-drift": ["DescribeLogGroups"],
        "iam-extra-readback": ["GetLogEvents"],
        "iam-extra-retention": ["PutRetentionPolicy"],
    }


def test_the_audit_and_the_fleet_only_read_events_of_the_group():
    (statement,) = statements_of(AUDIT)

    group = "arn:<YOUR-PARTITION>:logs:<YOUR-REGION>:<YOUR-ACCOUNT-ID>:log-group:<YOUR-LOG-GROUP>"
    assert statement["Action"] == ["logs:FilterLogEvents"]
    assert resources(statement) == [group, f"{group}:*"]


@pytest.mark.parametrize(
    ("path", "action"), [(AUDIT_KMS, "kms:Verify"), (ROOT / "manifests/aws/iam-extra-seal.json", "kms:Sign")]
)
def test_the_agents_only_sign_with_one_key_and_the_audit_only_verifies(path: Path, action: str):
    (statement,) = statements_of(path)

    assert actions_of_kms([statement]) == set(statement["Action"]) == {action}
    assert statement["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/falcowatch-seals"}}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_partition_region_account_and_group_are_placeholders_that_the_check_finds(path: Path):
    found = {name for finding in findings(path) for name in re.findall("<YOUR-[A-Z-]+>", finding.text)}

    expected = {"<YOUR-PARTITION>", "<YOUR-REGION>", "<YOUR-ACCOUNT-ID>"}
    assert found == (expected if path.stem in WITHOUT_GROUP else expected | {"<YOUR-LOG-GROUP>"})


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_command_of_the_guide_fills_in_every_placeholder(partition: str, tmp_path: Path):
    (block,) = re.findall(r"^```sh\n(sed .*?)^```", (ROOT / "docs/iam.md").read_text(), re.MULTILINE | re.DOTALL)
    folder = tmp_path / "manifests/aws"
    folder.mkdir(parents=True)
    for path in ALL:
        shutil.copy(path, folder)

    command = block.replace("<YOUR-PARTITION>|aws|", f"<YOUR-PARTITION>|{partition}|")
    subprocess.run(["sh", "-c", command.split("python")[0]], cwd=tmp_path, check=True)

    assert [one for path in folder.iterdir() for one in findings(path)] == []
    (shipping,) = statements_of(folder / "iam-policy.json")
    assert (
        resources(shipping)[0] == f"arn:{partition}:logs:ap-south-1:123456789012:log-group:/falco/eks-managed-cluster"
    )


def test_the_policy_covers_every_operation_that_the_code_names():
    service = botocore.session.get_session().get_service_model("logs")
    spellings = {form: name for name in service.operation_names for form in (name, xform_name(name))}
    source = "\n".join(path.read_text() for path in sorted((ROOT / "agent/cloudwatch").rglob("*.py")))

    words = re.findall(r'(?:"|client\.)(\w+)(?:"|\()', source)

    called = {spellings[word] for word in words if word in spellings}
    assert actions(statements_of(POLICY, *EXTRAS)) == called - AUDIT_ONLY | PERMISSION_ONLY


@pytest.mark.parametrize(
    "sid", ["ShipAlerts", "CreateTheGroupWhenMissing", "SetTheRetentionOfANewGroup", "ReadBackForExactResume"]
)
def test_permissions_are_limited_to_the_named_group(sid: str):
    statement = next(one for one in statements_of(POLICY, *EXTRAS) if one["Sid"] == sid)

    group = "arn:<YOUR-PARTITION>:logs:<YOUR-REGION>:<YOUR-ACCOUNT-ID>:log-group:<YOUR-LOG-GROUP>"
    assert resources(statement) == [group, f"{group}:*"]


def test_only_a_describe_permission_is_not_limited_to_the_group():
    statements = [one for one in statements_of(*ALL) if not actions_of_kms([one])]

    wide = [one for one in statements if not all("<YOUR-LOG-GROUP>" in arn for arn in resources(one))]

    assert actions(wide) == UNSCOPED


def test_the_policy_of_the_stack_does_not_allow_to_create_the_group():
    assert actions(stack_statements()) == {"PutLogEvents", "CreateLogStream"}


@pytest.mark.parametrize(
    ("parameter", "action"), [("AllowExactResume", "GetLogEvents"), ("AllowDriftReport", "DescribeLogGroups")]
)
def test_the_stack_allows_more_only_if_a_parameter_says_so(parameter: str, action: str):
    extra = actions(stack_statements(**{parameter: "true"})) - actions(stack_statements())

    assert extra == {action}


def test_the_policy_of_the_stack_names_a_group_that_exists_already():
    (shipping,) = stack_statements(ExistingLogGroup="/falco/made-by-the-agent")

    group = "arn:aws:logs:ap-south-1:123456789012:log-group:/falco/made-by-the-agent"
    assert resources(shipping) == [group, f"{group}:*"]


def test_the_role_of_the_log_alarms_reads_only_this_group():
    stack = Stack(STACK, AgentIdentity="none")

    (policy,) = stack.resources["LogAlarmRole"]["Policies"]
    query, results = policy["PolicyDocument"]["Statement"]

    group = "arn:aws:logs:ap-south-1:123456789012:log-group:/falco/eks-managed-cluster"
    assert resources(query) == [group, f"{group}:*"]
    assert not actions([results]) & {"GetLogEvents", "FilterLogEvents", "StartQuery", "PutLogEvents"}


def test_the_policy_of_the_stack_is_limited_to_its_own_group():
    for statement in stack_statements(AllowExactResume="true", AllowDriftReport="true"):
        if actions([statement]) <= UNSCOPED:
            continue
        group = "arn:aws:logs:ap-south-1:123456789012:log-group:/falco/eks-managed-cluster"
        assert resources(statement) == [group, f"{group}:*"]


def test_every_statement_is_explained_in_the_documentation():
    guide = (ROOT / "docs/iam.md").read_text()

    sids = {one["Sid"] for one in statements_of(*ALL)}

    assert {sid for sid in sids if f"`{sid}`" not in guide} == set()


def test_irsa_trusts_one_service_account_of_one_cluster():
    provider = "oidc.eks.ap-south-1.amazonaws.com/id/ABC123"
    stack = Stack(STACK, AgentIdentity="irsa", OidcProvider=provider)

    trust = json.loads(stack.resources["IrsaRole"]["AssumeRolePolicyDocument"])["Statement"][0]

    assert trust["Principal"]["Federated"] == f"arn:aws:iam::123456789012:oidc-provider/{provider}"
    assert trust["Condition"]["StringEquals"] == {
        f"{provider}:aud": "sts.amazonaws.com",
        f"{provider}:sub": "system:serviceaccount:falcowatch:falcowatch",
    }


def test_pod_identity_trusts_one_service_account_of_one_cluster():
    stack = Stack(STACK, AgentIdentity="pod-identity")

    trust = stack.resources["PodIdentityRole"]["AssumeRolePolicyDocument"]["Statement"][0]

    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "123456789012",
        "aws:RequestTag/eks-cluster-name": "eks-managed-cluster",
        "aws:RequestTag/kubernetes-namespace": "falcowatch",
        "aws:RequestTag/kubernetes-service-account": "falcowatch",
    }


@pytest.mark.parametrize(
    ("identity", "made"),
    [("none", set()), ("irsa", {"IrsaRole"}), ("pod-identity", {"PodIdentityRole", "PodIdentityAssociation"})],
)
def test_the_stack_creates_only_the_role_that_a_parameter_selects(identity: str, made: set[str]):
    stack = Stack(STACK, AgentIdentity=identity, OidcProvider="oidc.eks.ap-south-1.amazonaws.com/id/ABC123")

    of_agent = {name for name in stack.resources if name.endswith(("Role", "Association"))} - {"LogAlarmRole"}
    assert of_agent == made
