"""Fixtures of all deployment tests: real helm and kubectl, found or fetched, run offline in a home of their own.

`helm` and `kubectl` are functions from arguments to a finished process (text output, never raising); a machine where
a tool cannot be had skips with the reason. `documents` cuts a YAML stream into objects, `validate_strictly` holds
them against the Kubernetes API's own schemas.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.binaries import MissingTool, find, helm_environment

Runner = Callable[..., subprocess.CompletedProcess[str]]

KUBERNETES_VERSIONS = ("1.31", "1.37")
"""The oldest and the newest that kubernetes-validate and our users have."""


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return _runner("helm", tmp_path_factory.mktemp("helm-home"))


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return _runner("kubectl", tmp_path_factory.mktemp("kubectl-home"))


def _runner(name: str, home: Path) -> Runner:
    try:
        tool = find(name)
    except MissingTool as error:
        pytest.skip(str(error))
    environment = helm_environment(home) | {"KUBECONFIG": str(home / "no-kubeconfig")}

    def run(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [tool, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, env=environment)

    return run


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a YAML stream, empty documents left out."""
    return [document for document in yaml.safe_load_all(text) if document]


def validate_strictly(objects: list[dict[str, Any]]) -> None:
    """Raises kubernetes-validate's error for an unknown or missing field or a wrong type, in any of our versions.

    Kinds of custom resources have no schema there; their tests look at them themselves.
    """
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs the dev group's kubernetes-validate")
    for item in objects:
        if item["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        for version in KUBERNETES_VERSIONS:
            kubernetes_validate.validate(item, version, strict=True)
