"""The eksctl cluster file and the sample deployment are valid and complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.conftest import validate_strictly

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "manifests/eks/cluster-config.yaml"
NGINX = ROOT / "manifests/sample/nginx2.yaml"
SCHEMA = ROOT / "tests/data/schemas/eksctl-v1alpha5.schema.json"


def cluster() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(CLUSTER.read_text())
    return document


def uncommented(name: str) -> dict[str, Any]:
    """Parses a section that the cluster file contains as a comment."""
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


def test_the_schema_rejects_a_wrong_key():
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    broken = cluster() | {"managedNodegroups": []}

    assert not validator.is_valid(broken)


@pytest.mark.parametrize(("section", "parent"), [("nodeGroups", None), ("serviceAccounts", "iam")])
def test_the_commented_variants_fit_the_schema(section: str, parent: str | None):
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


def test_every_placeholder_has_the_form_that_the_check_finds():
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


def test_each_manifest_begins_with_a_comment_that_contains_its_command():
    for path in sorted(ROOT.glob("manifests/*/*.yaml")):
        if path.parent.name == "agent":
            continue  # generated from the chart

        lines = path.read_text().splitlines()
        head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]

        assert head, f"{path} does not begin with a comment"
        assert any(word in " ".join(head) for word in ("kubectl", "eksctl", "helm", "aws ")), f"{path}: no command"
