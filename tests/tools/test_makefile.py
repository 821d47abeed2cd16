"""The Makefile explains every target, and each target runs something that exists."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tools import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: ((?:.|\\\n)+?)$(?<!\\)", MAKEFILE, re.MULTILINE)


def targets() -> list[str]:
    assert TARGETS is not None
    return TARGETS[1].replace("\\\n", " ").split()


def make(*arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_explains_every_target():
    explained = re.findall(r"^  ([a-z0-9-]+) +\S", make("help"), re.MULTILINE)

    assert sorted(explained) == sorted(targets())


def test_every_module_that_a_target_runs_exists():
    modules = re.findall(r"python -m ((?:tools|tests)[\w.]*)", MAKEFILE)

    paths = [ROOT / module.replace(".", "/") for module in modules]
    assert len(paths) > 5
    assert [path for path in paths if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists())] == []


def test_a_release_pushes_image_and_chart_with_the_version_of_the_tag_and_signs_both():
    printed = make("-n", "release", "IMAGE=ghcr.io/someone/falcowatch:1.2.3", "CHARTS=oci://ghcr.io/someone/charts")

    assert "--platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max --push" in printed
    assert "--build-arg VERSION=1.2.3" in printed
    assert "cosign sign --yes ghcr.io/someone/falcowatch:1.2.3@" in printed
    assert "helm package helm/falcowatch --version 1.2.3 --app-version 1.2.3" in printed
    assert "helm push build/falcowatch-1.2.3.tgz oci://ghcr.io/someone/charts" in printed
    assert "cosign sign --yes ghcr.io/someone/charts/falcowatch@" in printed
