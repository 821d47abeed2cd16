"""The placeholder check finds every value that a user must fill in, and ignores comments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools import ROOT

CLUSTER = ROOT / "manifests/eks/cluster-config.yaml"
EXTRAS = ("create", "drift", "readback", "retention")


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


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path):
    result = check(tmp_path / "typo.yaml")

    assert result.returncode == 2
    assert "typo.yaml: no such file or directory" in result.stderr
