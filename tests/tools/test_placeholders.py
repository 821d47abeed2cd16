"""The placeholder check finds every value that a user must fill in, and ignores comments."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT

CLUSTER = ROOT / "manifests/eks/cluster-config.yaml"
EXTRAS = ("create", "drift", "readback", "retention", "seal")


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the check as a user does: as a script, from the root of the repository."""
    command = [sys.executable, "tools/placeholders.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_check_names_each_placeholder_with_its_file_and_line():
    result = check("manifests/eks/cluster-config.yaml")

    assert result.returncode == 1
    lines = CLUSTER.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, start=1) if '"<YOUR-VPC-ID>"' in line)
    assert f"manifests/eks/cluster-config.yaml:{number}: placeholder <YOUR-VPC-ID> is not filled in" in result.stderr


def test_the_check_needs_no_installed_package():
    command = [sys.executable, "-I", "-S", "tools/placeholders.py", "manifests/sample"]

    assert subprocess.run(command, capture_output=True, cwd=ROOT, check=False).returncode == 0


def test_the_check_without_a_path_covers_the_manifests_of_the_walk():
    result = check()

    assert result.returncode == 1
    files = {line.partition(":")[0] for line in result.stderr.splitlines()}
    policies = {"manifests/aws/iam-policy.json", *(f"manifests/aws/iam-extra-{name}.json" for name in EXTRAS)}
    policies |= {"manifests/aws/iam-audit.json", "manifests/aws/iam-audit-kms.json"}
    assert files == policies | {"manifests/eks/cluster-config.yaml"}


def test_the_check_ignores_placeholders_in_comments(tmp_path: Path):
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text('id: vpc-1 # was "<YOUR-VPC-ID>"\n# other: "<YOUR-NODE-ROLE>"\n')

    assert check(manifest).returncode == 0


def test_a_hash_in_json_does_not_begin_a_comment(tmp_path: Path):
    (tmp_path / "policy.json").write_text('{"Resource": "arn:aws:logs:#<YOUR-REGION>"}')

    result = check(tmp_path)

    assert result.returncode == 1
    assert "policy.json:1: placeholder <YOUR-REGION>" in result.stderr


def test_the_check_passes_after_every_value_is_filled_in(tmp_path: Path):
    filled = tmp_path / "cluster.yaml"
    filled.write_text(CLUSTER.read_text().replace("<YOUR-", "my-").replace(">", ""))

    assert check(filled).returncode == 0


def test_the_image_name_of_this_project_is_found_because_no_registry_has_it(tmp_path: Path):
    (tmp_path / "pod.yaml").write_text("containers:\n  - image: falcowatch/falcowatch:0.1.0\n")
    (tmp_path / "fine.yaml").write_text(
        "- image: 1.dkr.ecr.x.amazonaws.com/falcowatch:0.1.0\n- image: falcowatch/falcowatch-x\n"
    )

    result = check(tmp_path)

    assert result.returncode == 1
    assert result.stderr == (
        f"{tmp_path}/pod.yaml:2: image falcowatch/falcowatch is in no registry; name the repository of your image\n"
    )


def test_the_kustomize_base_needs_an_image_once(tmp_path: Path):
    base = tmp_path / "agent"
    shutil.copytree(ROOT / "manifests/agent", base)

    result = check(base)

    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [f"{base}/kustomization.yaml"]
    kustomization = base / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("newName: falcowatch/", "newName: registry.example/"))
    assert check(base).returncode == 0


@pytest.mark.parametrize(
    ("config", "group"),
    [
        ("{}", "falco"),
        ("cluster_name: other", "/falco/other"),
        ("cluster_name: prod", None),
        ("# cluster_name: other\ncluster_name: prod # the name", None),
        ("cloudwatch: {region: eu-west-1, log_group: /falco/prod}", None),
        ("cluster_name: prod\ncloudwatch:\n  log_group: '/audit/{cluster}'\n", "/audit/prod"),
        ("cloudwatch:\n  log_group: /falco/{namespace}\n", None),
    ],
)
def test_a_log_group_that_the_policy_does_not_permit_is_found(tmp_path: Path, config: str, group: str | None):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copytree(ROOT / "manifests/aws", tmp_path / "manifests/aws")
    policy = tmp_path / "manifests/aws/iam-policy.json"
    policy.write_text(policy.read_text().replace("<YOUR-LOG-GROUP>", "/falco/prod"))
    (tmp_path / "manifests/agent").mkdir()
    (tmp_path / "manifests/agent/config.yaml").write_text(config)
    command = [sys.executable, "tools/placeholders.py", "manifests/agent"]

    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert result.returncode == (1 if group else 0)
    if group:
        assert f"the log group is {group}, but manifests/aws/iam-policy.json permits /falco/prod" in result.stderr


def test_make_runs_the_check_without_installing_anything(tmp_path: Path):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("tools", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "Makefile", tmp_path)

    result = subprocess.run(["make", "check-manifests"], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert "manifests/eks/cluster-config.yaml" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path):
    result = check(tmp_path / "typo.yaml")

    assert result.returncode == 2
    assert "typo.yaml: no such file or directory" in result.stderr
