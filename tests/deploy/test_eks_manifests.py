"""The cluster file and the sample: valid, complete, and refused while a placeholder stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.conftest import validate_strictly

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "manifests/eks/cluster-config.yaml"
NGINX = ROOT / "manifests/sample/nginx2.yaml"
CHECK = ROOT / "manifests/check.py"
SCHEMA = ROOT / "tests/data/schemas/eksctl-v1alpha5.schema.json"


def cluster() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(CLUSTER.read_text())
    return document


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECK), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def uncommented(name: str) -> dict[str, Any]:
    """A section of the cluster file that stands there as a comment, uncommented."""
    lines = CLUSTER.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.strip() == f"# {name}:")
    indent = lines[start].index("#")
    block = []
    for line in lines[start:]:
        if not line[indent:].startswith("# "):
            break
        block.append(line[indent + 2 :])
    document: dict[str, Any] = yaml.safe_load("\n".join(block))
    return document


def test_the_cluster_file_fits_eksctls_schema():
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))

    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(cluster())]

    assert problems == []


def test_the_schema_check_would_notice_a_wrong_key():
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    broken = cluster() | {"managedNodegroups": []}

    assert not validator.is_valid(broken)


@pytest.mark.parametrize(("section", "parent"), [("nodeGroups", None), ("serviceAccounts", "iam")])
def test_the_variants_in_comments_fit_the_schema_too(section: str, parent: str | None):
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    document = cluster()

    variant = uncommented(section)
    if parent is None:
        document |= variant
    else:
        document[parent] |= variant

    assert [error.message for error in validator.iter_errors(document)] == []


def test_the_cluster_has_what_the_agent_needs():
    document = cluster()

    assert document["metadata"] == {"name": "eks-managed-cluster", "region": "ap-south-1"}
    assert document["iam"]["withOIDC"] is True
    assert "eks-pod-identity-agent" in {addon["name"] for addon in document["addons"]}
    association = document["iam"]["podIdentityAssociations"][0]
    assert (association["namespace"], association["serviceAccountName"]) == ("falcowatch", "falcowatch")
    nodes = document["managedNodeGroups"][0]
    assert (nodes["minSize"], nodes["maxSize"], nodes["volumeSize"]) == (1, 2, 20)
    assert nodes["disablePodIMDS"] is True


def test_the_check_names_each_placeholder_with_its_file_and_line():
    result = check("manifests/eks/cluster-config.yaml")

    assert result.returncode == 1
    lines = CLUSTER.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, start=1) if '"<YOUR-VPC-ID>"' in line)
    assert f"manifests/eks/cluster-config.yaml:{number}: <YOUR-VPC-ID> still stands" in result.stderr


def test_the_check_without_a_path_covers_what_the_walk_applies():
    result = check()

    assert result.returncode == 1
    files = {line.partition(":")[0] for line in result.stderr.splitlines()}
    assert files == {"manifests/aws/iam-policy.json", "manifests/eks/cluster-config.yaml"}


def test_the_check_does_not_mind_placeholders_in_comments(tmp_path: Path):
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text('id: vpc-1 # was "<YOUR-VPC-ID>"\n# other: "<YOUR-NODE-ROLE>"\n')

    assert check(manifest).returncode == 0


def test_the_check_reads_json_as_it_stands(tmp_path: Path):
    (tmp_path / "policy.json").write_text('{"Resource": "arn:aws:logs:#<YOUR-REGION>"}')

    result = check(tmp_path)

    assert result.returncode == 1
    assert "policy.json:1: <YOUR-REGION>" in result.stderr


def test_the_check_passes_once_every_value_is_filled_in(tmp_path: Path):
    filled = tmp_path / "cluster.yaml"
    filled.write_text(CLUSTER.read_text().replace("<YOUR-", "my-").replace(">", ""))

    assert check(filled).returncode == 0


def test_the_check_says_so_when_there_is_nothing_to_check(tmp_path: Path):
    result = check(tmp_path / "typo.yaml")

    assert result.returncode == 2
    assert "typo.yaml: no such file or folder" in result.stderr


def test_every_placeholder_is_written_in_the_one_way_that_the_check_knows():
    stray = [
        f"{path.name}: {word}"
        for path in (CLUSTER, ROOT / "manifests/aws/iam-policy.json", ROOT / "manifests/ecs/task-definition.yaml")
        for word in path.read_text().split('"')
        if "<" in word.replace("<YOUR-", "") and "falco" not in word and "\n" not in word
    ]

    assert stray == []


def test_the_sample_runs_three_nginx_pods_on_both_architectures():
    deployment = yaml.safe_load(NGINX.read_text())

    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert deployment["metadata"]["name"] == "nginx2"
    assert deployment["spec"]["replicas"] == 3
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"].items() >= deployment["spec"]["selector"]["matchLabels"].items()
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    expressions = {one["key"]: one["values"] for one in terms["nodeSelectorTerms"][0]["matchExpressions"]}
    assert expressions["kubernetes.io/arch"] == ["amd64", "arm64"]
    assert pod["spec"]["containers"][0]["ports"][0]["containerPort"] == 80
    assert "beta.kubernetes.io" not in NGINX.read_text()


def test_the_sample_fits_the_kubernetes_schema():
    validate_strictly([yaml.safe_load(NGINX.read_text())])


def test_each_manifest_opens_with_a_comment_that_holds_its_command():
    for path in sorted(ROOT.glob("manifests/*/*.yaml")):
        if path.parent.name == "agent":
            continue  # rendered from the chart

        lines = path.read_text().splitlines()
        head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]

        assert head, f"{path} opens without a comment"
        assert any(word in " ".join(head) for word in ("kubectl", "eksctl", "helm", "aws ")), f"{path}: no command"
